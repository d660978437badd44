//! `swallow-gguf devices`: its options.

use clap::Args;

use super::RpcArgs;

/// `swallow-gguf devices`
#[derive(Debug, Args)]
pub struct DevicesArgs {
    /// Other machines.
    #[command(flatten)]
    pub rpc: RpcArgs,

    /// Write JSON
    #[arg(long)]
    pub json: bool,
}
