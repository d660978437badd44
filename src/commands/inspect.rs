//! `swallow-gguf inspect`

use super::fetch;
use crate::{cli::InspectArgs, gguf::Gguf, inspect};

pub(super) fn execute(args: InspectArgs) -> anyhow::Result<()> {
    let file = fetch::gguf(&args.file)?;
    let gguf = Gguf::open(&file)?;
    super::print(&if args.json {
        inspect::json(&gguf, &file)
    } else {
        inspect::text(&gguf, args.tensors)
    })
}
