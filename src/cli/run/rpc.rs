//! The options of `run` for other machines.

use clap::Args;

use crate::runner::rpc::Endpoint;

/// Other machines.
#[derive(Debug, Args)]
pub struct RpcArgs {
    /// Put layers on these workers, which `swallow-gguf rpc-worker` starts; the port is 50052 unless given.
    /// What goes to a worker and comes back is neither encrypted nor checked
    #[arg(long = "rpc", value_name = "HOST[:PORT]", value_delimiter = ',')]
    pub workers: Vec<Endpoint>,
}
