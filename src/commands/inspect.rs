//! `swallow-gguf inspect`

use super::{fetch, slip};
use crate::{cli::InspectArgs, gguf::Gguf, inspect};

pub(super) fn execute(args: InspectArgs) -> anyhow::Result<()> {
    slip::require_no_folder(&args.file)?;
    let file = fetch::gguf(&args.file)?;
    let gguf = Gguf::open(&file)?;
    super::print(&if args.json {
        inspect::json(&gguf, &file)
    } else {
        inspect::text(&gguf, args.tensors)
    })
}
