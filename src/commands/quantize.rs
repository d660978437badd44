//! `swallow-gguf quantize`

use super::write;
use crate::{
    cli::QuantizeArgs,
    convert::{Conversion, GgufOptions},
    plan::Wishes,
};

pub(super) fn execute(args: &QuantizeArgs) -> anyhow::Result<()> {
    let cancel = write::cancel_on_interrupt()?;
    let conversion = Conversion::of_gguf(&GgufOptions {
        source: args.source.clone(),
        wishes: Wishes {
            allow_requantize: args.allow_requantize,
            ..write::wishes(&args.write)?
        },
    })?;
    write::execute(&conversion, &args.write, &cancel)
}
