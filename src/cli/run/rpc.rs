//! The options of `run` and `devices` for other machines.

use clap::Args;

use crate::runner::rpc::Endpoint;

/// Other machines.
#[derive(Debug, Args)]
pub struct RpcArgs {
    /// Use these workers, too, which `swallow-gguf rpc-worker` starts on other machines; the port is 50052
    /// unless given. What goes to a worker and comes back is not encrypted
    #[arg(long = "rpc", value_name = "HOST[:PORT]", value_delimiter = ',', help_heading = super::engine::DEVICES)]
    pub workers: Vec<Endpoint>,
}
