//! One request and its answer: the layer between the HTTP library and what the hub means.
//!
//! Redirects are followed here and not by the library, for two reasons: the token must go to the
//! hub's own origin and nowhere else, and the answers on the way carry what the hub says of a file.
//! Bodies are asked for as they are (`Accept-Encoding: identity`), because ranges, lengths and
//! digests are those of the plain bytes.

#[cfg(test)]
mod tests;

use std::{
    io::{self, Read},
    ops::Range,
    sync::atomic::{AtomicU64, Ordering},
    time::SystemTime,
};

use ureq::{
    Agent, Body,
    http::{HeaderMap, Response, Uri},
    tls::{RootCerts, TlsConfig},
};

use super::{
    config::Config,
    error::HubError,
    retry::{Failure, RetryPolicy, rate_limit, retry_after},
};

/// Redirects in a row that are followed.
const MAX_HOPS: usize = 5;

/// What went over the network.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) requests: AtomicU64,
    pub(super) bytes: AtomicU64,
}

/// On which connections a request is made, and who waits for it.
pub(super) struct Caller<'a> {
    /// Has the connections; `Agent::shutdown` ends a request that waits.
    pub(super) agent: &'a Agent,
    /// Whether the answer is still of use.
    pub(super) wanted: &'a dyn Fn() -> bool,
    /// Told of bytes as they arrive.
    pub(super) arrived: &'a dyn Fn(usize),
}

/// The method of a request.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Method {
    Get,
    Head,
}

/// The last answer on the way that a request took, and what the earlier ones said.
pub(super) struct Answer {
    /// The address that answered.
    pub(super) url: String,
    /// Whether that is the hub itself and no CDN.
    pub(super) from_hub: bool,
    /// Where it redirects to, when the way ended before that.
    pub(super) location: Option<String>,
    /// The first `X-Repo-Commit`, `X-Linked-Etag` and `X-Linked-Size` on the way.
    pub(super) commit: Option<String>,
    pub(super) linked_etag: Option<String>,
    pub(super) linked_size: Option<u64>,
    response: Response<Body>,
}

/// Makes the connections for one client or one worker.
pub(super) fn agent(policy: &RetryPolicy) -> Agent {
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::PlatformVerifier)
        .build();
    let config = Agent::config_builder()
        .tls_config(tls)
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .user_agent(concat!("swallow-gguf/", env!("CARGO_PKG_VERSION")))
        .accept_encoding("identity")
        .timeout_resolve(Some(policy.connect_timeout))
        .timeout_connect(Some(policy.connect_timeout))
        .timeout_per_read(Some(policy.read_timeout))
        .timeout_per_write(Some(policy.read_timeout))
        .max_idle_connections_per_host(8)
        .build();
    config.into()
}

/// Asks for `url`, for `range` of it where one is given, and follows redirects; with
/// `stop_at_link`, not one that names the file it links to.
pub(super) fn request(
    caller: &Caller<'_>,
    config: &Config,
    counters: &Counters,
    method: Method,
    url: &str,
    range: Option<&Range<u64>>,
    stop_at_link: bool,
) -> Result<Answer, Failure> {
    let mut url = url.to_owned();
    let (mut commit, mut linked_etag, mut linked_size) = (None, None, None);
    for _ in 0..=MAX_HOPS {
        let from_hub = same_origin(&url, &config.endpoint);
        let mut request = match method {
            Method::Get => caller.agent.get(&url),
            Method::Head => caller.agent.head(&url),
        };
        if let Some(token) = config.token.as_ref().filter(|_| from_hub) {
            request = request.header("authorization", format!("Bearer {}", token.secret()));
        }
        if let Some(range) = range {
            request = request.header("range", format!("bytes={}-{}", range.start, range.end - 1));
        }
        counters.requests.fetch_add(1, Ordering::Relaxed);
        let response = request
            .call()
            .map_err(|error| Failure::passing(format!("{}: {}", host(&url), words(&error))))?;
        counters
            .bytes
            .fetch_add(head_bytes(response.headers()), Ordering::Relaxed);

        let header = |name: &str| header(response.headers(), name);
        commit = commit.or_else(|| header("x-repo-commit"));
        linked_etag = linked_etag.or_else(|| header("x-linked-etag").map(|e| plain_etag(&e)));
        linked_size = linked_size.or_else(|| header("x-linked-size")?.parse().ok());
        let location = match response.status().as_u16() {
            301 | 302 | 303 | 307 | 308 => header("location"),
            _ => None,
        };
        let target = location.map(|to| joined(&url, &to)).transpose()?;
        match target {
            Some(to) if !(stop_at_link && linked_etag.is_some()) => url = to,
            location => {
                return Ok(Answer {
                    url,
                    from_hub,
                    location,
                    commit,
                    linked_etag,
                    linked_size,
                    response,
                });
            }
        }
    }
    Err(Failure::passing(format!(
        "more than {MAX_HOPS} redirects, the last to {}",
        host(&url)
    )))
}

impl Answer {
    pub(super) fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    pub(super) fn header(&self, name: &str) -> Option<String> {
        header(self.response.headers(), name)
    }

    /// The `ETag` of this very answer.
    pub(super) fn etag(&self) -> Option<String> {
        self.header("etag").map(|etag| plain_etag(&etag))
    }

    pub(super) fn content_length(&self) -> Option<u64> {
        self.header("content-length")?.parse().ok()
    }

    /// Fails where the body is not the plain bytes.
    pub(super) fn check_encoding(&self) -> Result<(), Failure> {
        match self.header("content-encoding").as_deref() {
            None | Some("identity") => Ok(()),
            Some(other) => Err(Failure::passing(format!(
                "{} encodes the body as `{other}`, expected plain bytes",
                host(&self.url)
            ))),
        }
    }

    /// Reads the body into `buf`, which it must fill and end with. `gained` is the number of bytes
    /// that are good, also where it fails.
    pub(super) fn read_into(
        mut self,
        caller: &Caller<'_>,
        counters: &Counters,
        buf: &mut [u8],
        gained: &mut usize,
    ) -> Result<(), Failure> {
        let host = host(&self.url);
        let len = buf.len();
        let mut body = self.response.body_mut().as_reader();
        while *gained < len {
            if !(caller.wanted)() {
                return Err(HubError::Interrupted.into());
            }
            match body.read(&mut buf[*gained..]) {
                Ok(0) => {
                    return Err(Failure::passing(format!(
                        "{host} broke off after {gained} of {len} bytes"
                    )));
                }
                Ok(n) => {
                    *gained += n;
                    counters.bytes.fetch_add(n as u64, Ordering::Relaxed);
                    (caller.arrived)(n);
                }
                Err(error) => {
                    let error = words(&ureq::Error::from(error));
                    return Err(Failure::passing(format!(
                        "{host} after {gained} of {len} bytes: {error}"
                    )));
                }
            }
        }
        // Seeing the end is also what gives the connection back for the next request.
        match body.read(&mut [0]) {
            Ok(0) => Ok(()),
            Ok(_) => {
                *gained = 0;
                Err(Failure::passing(format!(
                    "{host} sent more than {len} bytes"
                )))
            }
            // All is here; that the connection cannot be used again is no concern.
            Err(_) => Ok(()),
        }
    }

    /// The whole body, of at most `limit` bytes; `None` where it is longer.
    pub(super) fn read_whole(
        mut self,
        caller: &Caller<'_>,
        counters: &Counters,
        limit: u64,
    ) -> Result<Option<Vec<u8>>, Failure> {
        let host = host(&self.url);
        let expected = self.content_length();
        if expected.is_some_and(|len| len > limit) {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        let mut part = vec![0; 64 << 10];
        let mut body = self.response.body_mut().as_reader();
        loop {
            if !(caller.wanted)() {
                return Err(HubError::Interrupted.into());
            }
            let n = body.read(&mut part).map_err(|error| {
                let error = words(&ureq::Error::from(error));
                Failure::passing(format!("{host} after {} bytes: {error}", bytes.len()))
            })?;
            counters.bytes.fetch_add(n as u64, Ordering::Relaxed);
            (caller.arrived)(n);
            bytes.extend_from_slice(&part[..n]);
            if bytes.len() as u64 > limit {
                return Ok(None);
            }
            if n == 0 {
                break;
            }
        }
        match expected {
            Some(expected) if expected != bytes.len() as u64 => Err(Failure::passing(format!(
                "{host} broke off after {} of {expected} bytes",
                bytes.len()
            ))),
            _ => Ok(Some(bytes)),
        }
    }

    /// An answer that is not the one hoped for, as a failure: 408, 425, 429 and 5xx pass.
    pub(super) fn passing(&self) -> Option<Failure> {
        let status = self.status();
        matches!(status, 408 | 425 | 429 | 500..=599).then(|| Failure::Passing {
            reason: format!("{} answers HTTP {status}", host(&self.url)),
            after: self
                .header("retry-after")
                .and_then(|value| retry_after(&value, SystemTime::now()))
                .or_else(|| rate_limit(&self.header("ratelimit")?)),
        })
    }
}

/// A header's value, with what does not belong on a terminal left out and an end.
fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    let value = String::from_utf8_lossy(headers.get(name)?.as_bytes());
    Some(
        value
            .chars()
            .filter(|c| !c.is_control())
            .take(8192)
            .collect(),
    )
}

/// An `ETag` as the cache's file names have it: without quotes and the mark of a weak one.
fn plain_etag(etag: &str) -> String {
    etag.trim_start_matches("W/").trim_matches('"').to_owned()
}

/// About what the head of an answer took on the wire.
fn head_bytes(headers: &HeaderMap) -> u64 {
    let lines = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 4);
    (lines.sum::<usize>() + "HTTP/1.1 200 OK\r\n\r\n".len()) as u64
}

/// Scheme, host and port of an address.
fn origin(url: &str) -> Option<(String, String, u16)> {
    let uri: Uri = url.parse().ok()?;
    let scheme = uri.scheme_str()?.to_lowercase();
    let port = match scheme.as_str() {
        "https" => 443,
        "http" => 80,
        _ => return None,
    };
    Some((
        scheme,
        uri.host()?.to_lowercase(),
        uri.port_u16().unwrap_or(port),
    ))
}

fn same_origin(a: &str, b: &str) -> bool {
    let a = origin(a);
    a.is_some() && a == origin(b)
}

/// The host of an address, for messages: a CDN's address is long and signed.
pub(super) fn host(url: &str) -> String {
    let uri = url.parse::<Uri>().ok();
    let host = uri.and_then(|uri| uri.authority().map(|a| a.as_str().to_owned()));
    host.unwrap_or_else(|| "the server".into())
}

/// Where a redirect leads from `base`.
fn joined(base: &str, to: &str) -> Result<String, Failure> {
    let wrong = |why: &str| Failure::passing(format!("{} redirects {why}", host(base)));
    let (scheme, host, _) = origin(base).ok_or_else(|| wrong("from no address"))?;
    let target = if to.contains("://") {
        to.to_owned()
    } else if let Some(rest) = to.strip_prefix("//") {
        format!("{scheme}://{rest}")
    } else if to.starts_with('/') {
        let port = base
            .parse::<Uri>()
            .ok()
            .and_then(|uri| uri.port_u16())
            .map_or_else(String::new, |port| format!(":{port}"));
        format!("{scheme}://{host}{port}{to}")
    } else {
        return Err(wrong("to a relative path"));
    };
    let (new_scheme, ..) = origin(&target).ok_or_else(|| wrong("to no address"))?;
    if scheme == "https" && new_scheme == "http" {
        return Err(wrong("from https to http"));
    }
    Ok(target)
}

/// An error of the library in plain words.
fn words(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            "the connection ended".into()
        }
        ureq::Error::Io(error) => error.to_string(),
        ureq::Error::HostNotFound => "the host is not known".into(),
        ureq::Error::Timeout(ureq::Timeout::Connect | ureq::Timeout::Resolve) => {
            "no connection in time".into()
        }
        ureq::Error::Timeout(_) => "nothing arrived in time".into(),
        other => other.to_string(),
    }
}
