//! `swallow-gguf convert`

use crate::cli::ConvertArgs;

pub(super) fn execute(args: ConvertArgs) -> anyhow::Result<()> {
    anyhow::bail!("not built yet: {args:?}")
}
