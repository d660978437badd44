//! `HOST:PORT`.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

/// Where a worker is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// A name or an IPv4 address.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl Endpoint {
    /// The port of a worker unless another one is asked for, as in llama.cpp.
    pub const PORT: u16 = 50052;
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.starts_with('[') || text.parse::<Ipv6Addr>().is_ok() {
            return Err(
                "expected a host with an IPv4 address, which is all that llama.cpp's workers have"
                    .to_owned(),
            );
        }
        let (host, port) = match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        };
        let port = match port {
            None => Self::PORT,
            Some(port) => match port.parse() {
                Ok(port @ 1..) => port,
                _ => {
                    return Err(format!(
                        "expected a port from 1 to 65535 after the `:`, found `{port}`"
                    ));
                }
            },
        };
        let is_of_host = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_');
        if host.is_empty() || !host.chars().all(is_of_host) {
            return Err("expected HOST:PORT, for example 192.168.1.5:50052".to_owned());
        }
        Ok(Self {
            host: host.to_owned(),
            port,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_may_be_left_out() {
        let parsed = |text: &str| {
            text.parse::<Endpoint>()
                .map(|endpoint| endpoint.to_string())
        };
        assert_eq!(parsed("laptop"), Ok("laptop:50052".to_owned()));
        assert_eq!(parsed(" 10.0.0.2:7"), Ok("10.0.0.2:7".to_owned()));
        assert_eq!(parsed("a-b.local:65535"), Ok("a-b.local:65535".to_owned()));
        for wrong in [
            "", ":", ":1", "a:", "a:0", "a:65536", "a:1:2", "a b", "::1", "[::1]:5", "http://a",
            "a/b", "a:-1", "a:+1x",
        ] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }
}
