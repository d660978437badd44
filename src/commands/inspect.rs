//! `swallow-gguf inspect`

use crate::{cli::InspectArgs, gguf::Gguf, inspect};

pub(super) fn execute(args: InspectArgs) -> anyhow::Result<()> {
    let gguf = Gguf::open(&args.file)?;
    super::print(&if args.json {
        inspect::json(&gguf, &args.file)
    } else {
        inspect::text(&gguf, args.tensors)
    })
}
