//! `swallow-gguf run`

use crate::cli::RunArgs;

pub(super) fn execute(args: RunArgs) -> anyhow::Result<()> {
    anyhow::bail!("not built yet: {args:?}")
}
