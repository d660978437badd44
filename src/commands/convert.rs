//! `swallow-gguf convert`

use super::{fetch, print, write};
use crate::{
    cli::ConvertArgs,
    convert::{CheckpointOptions, Conversion},
    model::{chat_template, families},
};

pub(super) fn execute(args: &ConvertArgs) -> anyhow::Result<()> {
    let Some(source) = &args.source else {
        return print(&families::list());
    };
    let chat_template = args
        .chat_template
        .as_deref()
        .map(chat_template::load)
        .transpose()?;
    let cancel = write::cancel_on_interrupt()?;
    let conversion = Conversion::of_checkpoint(&CheckpointOptions {
        source: fetch::checkpoint(source, args.download, &cancel)?.without(&args.skip_tensors),
        wishes: write::wishes(&args.write)?,
        chat_template,
        pre: args.pre,
    })?;
    write::execute(&conversion, &args.write, &cancel)
}
