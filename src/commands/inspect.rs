//! `swallow-gguf inspect`

use crate::cli::InspectArgs;

pub(super) fn execute(args: InspectArgs) -> anyhow::Result<()> {
    anyhow::bail!("not built yet: {args:?}")
}
