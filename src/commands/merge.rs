//! `swallow-gguf merge`

use std::sync::Arc;

use super::write;
use crate::{
    cli::{LayoutArg, MergeArgs},
    convert::{Conversion, MergeWishes, MergedCheckpoint},
    hub::{Client, Config, RetryPolicy},
    merge::{Layout, Merge, MergeOptions},
    model::chat_template,
};

pub(super) fn execute(args: &MergeArgs) -> anyhow::Result<()> {
    let chat_template = args
        .chat_template
        .as_deref()
        .map(chat_template::load)
        .transpose()?;
    let cancel = write::cancel_on_interrupt()?;
    let stop = Arc::clone(&cancel);
    let merge = Merge::open(&MergeOptions {
        recipe: args.recipe.clone(),
        name: args.name.clone(),
        seed: args.seed,
        experts_per_token: args.experts_per_token,
        gates: args.gates.clone(),
        client: Client::new(Config::from_env()?, RetryPolicy::default(), stop),
    })?;
    if let Some(path) = args.save_gates.as_ref().filter(|_| !args.write.dry_run) {
        merge.save_gates(path, args.write.force)?;
    }
    let Some(dir) = &args.write_safetensors else {
        let wanted = MergeWishes {
            wishes: write::wishes(&args.write)?,
            chat_template,
        };
        let conversion = Conversion::of_merge(merge, &wanted)?;
        return write::execute(&conversion, &args.write, &cancel);
    };
    let layout = match args.layout {
        LayoutArg::Separate => Layout::Separate,
        LayoutArg::Fused => Layout::Fused,
    };
    let checkpoint = MergedCheckpoint::new(merge, layout, args.shard_size)?;
    write::execute_checkpoint(&checkpoint, dir, &args.write, &cancel)
}
