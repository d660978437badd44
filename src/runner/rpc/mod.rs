//! More than one machine: layers of a model on workers, by llama.cpp's RPC backend.
//!
//! llama.cpp's client takes a worker's address and believes in it: where nobody is there, or somebody
//! else, it aborts the program. So [`connect`] speaks the first words of the protocol itself
//! (`protocol.rs`), with time-outs, and hands on only workers that answered. What it aborts for later (a
//! worker that was ended) and what it waits for without end (one that hangs) `watch.rs` makes an error of.
//!
//! On the other side a [`Worker`] is llama.cpp's server behind a door of ours (`door.rs`): the server
//! itself has one client at a time, waits for a silent one for ever, and answers nobody meanwhile.

mod cache;
mod door;
mod endpoint;
mod error;
mod ggml;
mod protocol;
mod watch;
mod worker;

use std::io;
use std::net::{SocketAddr, SocketAddrV4, ToSocketAddrs};
use std::time::Duration;

pub use endpoint::Endpoint;
pub use error::RpcError;
pub use watch::Loss;
pub(super) use watch::computing;
pub use worker::{Offer, Visit, Worker, WorkerOptions};

use protocol::Connection;

/// How long a worker may take to answer the first words. Ours takes 3 seconds to say that it is busy.
const PATIENCE: Duration = Duration::from_secs(5);

/// A worker that is ready.
#[derive(Clone, Debug)]
pub struct Remote {
    /// As it was asked for.
    pub endpoint: Endpoint,
    /// Bytes that it says are free, of all its devices.
    pub free: u64,
    address: SocketAddrV4,
}

/// Makes the devices of these workers devices of llama.cpp, for models loaded from now on. Where one is
/// lost later, `on_loss` is called, on any thread; it ends the program.
///
/// # Errors
/// Where a worker is not there, or is something else; then no worker is used.
pub fn connect(endpoints: &[Endpoint], on_loss: Loss) -> Result<Vec<Remote>, RpcError> {
    if endpoints.is_empty() {
        return Ok(Vec::new());
    }
    let backend = ggml::Rpc::find()?;
    for (i, endpoint) in endpoints.iter().enumerate() {
        if endpoints[..i].contains(endpoint) {
            let endpoint = endpoint.clone();
            return Err(RpcError::Twice { endpoint });
        }
    }
    let remotes = endpoints.iter().map(meet).collect::<Result<Vec<_>, _>>()?;
    watch::begin(&remotes, on_loss);
    let _computing = computing();
    for remote in &remotes {
        backend.add_worker(remote.address)?;
    }
    Ok(remotes)
}

/// Asks a worker who it is.
fn meet(endpoint: &Endpoint) -> Result<Remote, RpcError> {
    let address = resolve(&endpoint.host, endpoint.port).map_err(|error| RpcError::Unresolved {
        endpoint: endpoint.clone(),
        reason: error.to_string(),
    })?;
    let address = address.ok_or_else(|| RpcError::NotIpv4 {
        endpoint: endpoint.clone(),
    })?;
    let failed = |error| RpcError::of_meeting(endpoint, error);
    let mut connection = Connection::open(address, PATIENCE).map_err(failed)?;
    let devices = connection.devices().map_err(|_| RpcError::Busy {
        endpoint: endpoint.clone(),
    })?;
    let mut free = 0_u64;
    for device in 0..devices {
        free = free.saturating_add(connection.free_memory(device).map_err(failed)?);
    }
    Ok(Remote {
        endpoint: endpoint.clone(),
        free,
        address,
    })
}

/// The address of a host by which llama.cpp can reach it, which is an IPv4 one; `None` where it has others.
fn resolve(host: &str, port: u16) -> io::Result<Option<SocketAddrV4>> {
    let mut found = (host, port)
        .to_socket_addrs()?
        .filter_map(|address| match address {
            SocketAddr::V4(address) => Some(address),
            SocketAddr::V6(_) => None,
        });
    Ok(found.next())
}
