//! What can go wrong between machines.

use std::io;
use std::net::SocketAddrV4;
use std::path::PathBuf;

use indicatif::DecimalBytes;

use super::Endpoint;
use super::protocol::{Failure, VERSION};
use crate::runner::RunnerError;

/// Why there are no workers, or no worker.
#[derive(Debug, thiserror::Error)]
pub enum RpcError {
    /// llama.cpp was built without its RPC backend.
    #[error(
        "this build has no workers, because its llama.cpp was compiled without RPC: build it in the \
         project's folder, whose `.cargo/config.toml` asks for that, or with `GGML_RPC=ON` in the environment"
    )]
    NotBuilt,

    /// llama.cpp cannot be started.
    #[error("{0}")]
    Backend(String),

    /// One worker is named twice.
    #[error("the worker {endpoint} is given twice")]
    Twice {
        /// The worker.
        endpoint: Endpoint,
    },

    /// No host of this name.
    #[error("the worker {endpoint} is not found: {reason}")]
    Unresolved {
        /// The worker.
        endpoint: Endpoint,
        /// What the system says.
        reason: String,
    },

    /// llama.cpp's RPC backend knows IPv4 alone.
    #[error("the worker {endpoint} has no IPv4 address, which llama.cpp needs")]
    NotIpv4 {
        /// The worker.
        endpoint: Endpoint,
    },

    /// A worker is to listen on something that is no address.
    #[error(
        "cannot listen on `{host}`: expected an IPv4 address of this machine, or 0.0.0.0 for all of them"
    )]
    NoAddress {
        /// The host.
        host: String,
    },

    /// Nobody answers at the address.
    #[error(
        "no worker answers at {endpoint}: {reason}; start one there with `swallow-gguf rpc-worker{flags}`",
        flags = flags(.endpoint)
    )]
    NobodyThere {
        /// The worker.
        endpoint: Endpoint,
        /// What the system says.
        reason: String,
    },

    /// Somebody takes the connection and says nothing.
    #[error(
        "what listens at {endpoint} says nothing: it is not a worker, or one of llama.cpp's that serves another \
         program now"
    )]
    Silent {
        /// The worker.
        endpoint: Endpoint,
    },

    /// Somebody says something else.
    #[error(
        "what listens at {endpoint} is not a worker, or one of another version: expected one that speaks \
         version {VERSION} of llama.cpp's RPC, as `swallow-gguf rpc-worker` of this version does"
    )]
    Stranger {
        /// The worker.
        endpoint: Endpoint,
    },

    /// A worker of another version.
    #[error(
        "the worker {endpoint} speaks version {found} of llama.cpp's RPC, expected {VERSION}: run the same \
         version of swallow-gguf on both machines"
    )]
    Version {
        /// The worker.
        endpoint: Endpoint,
        /// Its version.
        found: String,
    },

    /// A worker that has a client already.
    #[error(
        "the worker {endpoint} works for another program: end that one, or start a second worker on another port"
    )]
    Busy {
        /// The worker.
        endpoint: Endpoint,
    },

    /// llama.cpp finds no device on a worker that has answered.
    #[error("llama.cpp finds no device on the worker {address}")]
    NoDevice {
        /// The worker.
        address: SocketAddrV4,
    },

    /// Anybody could use the worker.
    #[error(
        "`{host}` can be reached from other machines, and a worker asks nobody who they are: anyone there could \
         run computations here and read and write the worker's memory; if the network is yours alone, add \
         `--i-know-it-is-open`"
    )]
    Open {
        /// The address asked for.
        host: String,
    },

    /// The address is taken, or not ours.
    #[error("cannot listen on {address}: {reason}")]
    Listen {
        /// The address.
        address: SocketAddrV4,
        /// Why not.
        reason: String,
    },

    /// More is offered than there is.
    #[error("{} of memory are more than {device} has free, which is {}", DecimalBytes(*.wanted), DecimalBytes(*.free))]
    Memory {
        /// Bytes asked for.
        wanted: u64,
        /// Bytes there are.
        free: u64,
        /// The device.
        device: String,
    },

    /// No such device.
    #[error("no device is called `{name}`{meant}; there are {}", .known.join(", "))]
    Device {
        /// The name.
        name: String,
        /// The name that was probably meant, in words.
        meant: String,
        /// All names.
        known: Vec<String>,
    },

    /// The folder for tensors cannot be used.
    #[error("cannot use `{}` for the cache", .path.display())]
    Cache {
        /// The folder or file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },

    /// llama.cpp's server ended, or never began.
    #[error("llama.cpp's RPC server did not start; `-v` shows its log")]
    Server,
}

impl From<RunnerError> for RpcError {
    fn from(error: RunnerError) -> Self {
        Self::Backend(error.to_string())
    }
}

impl RpcError {
    pub(super) fn of_meeting(endpoint: &Endpoint, failure: Failure) -> Self {
        let endpoint = endpoint.clone();
        match failure {
            Failure::NoConnection(error) => Self::NobodyThere {
                endpoint,
                reason: reason(&error),
            },
            Failure::Silent => Self::Silent { endpoint },
            Failure::Stranger => Self::Stranger { endpoint },
            Failure::Version(found) => Self::Version {
                endpoint,
                found: found.to_string(),
            },
        }
    }
}

/// What the system says, in words that are the same everywhere where it is one of the two usual things.
pub(super) fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "nothing listens there".to_owned(),
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => {
            "the machine does not answer (it is off, or a firewall is between)".to_owned()
        }
        _ => error.to_string(),
    }
}

/// What a worker is to be started with, to be found at an endpoint.
fn flags(endpoint: &Endpoint) -> String {
    let is_here = endpoint.host == "localhost"
        || endpoint
            .host
            .parse::<std::net::Ipv4Addr>()
            .is_ok_and(|ip| ip.is_loopback());
    let mut flags = String::new();
    if !is_here {
        flags += " --host 0.0.0.0 --i-know-it-is-open";
    }
    if endpoint.port != Endpoint::PORT {
        flags += &format!(" --port {}", endpoint.port);
    }
    flags
}
