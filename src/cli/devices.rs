//! `swallow-gguf devices`: its options.

use clap::Args;

/// `swallow-gguf devices`
#[derive(Debug, Args)]
pub struct DevicesArgs {
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}
