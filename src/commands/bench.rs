//! `swallow-gguf bench`

use crate::cli::Bench;

pub(super) fn execute(args: Bench) -> anyhow::Result<()> {
    anyhow::bail!("not built yet: {args:?}")
}
