//! `swallow-gguf quantize`

use super::{fetch, write};
use crate::{
    cli::QuantizeArgs,
    convert::{Conversion, GgufOptions},
    plan::Wishes,
};

pub(super) fn execute(args: &QuantizeArgs) -> anyhow::Result<()> {
    let cancel = write::cancel_on_interrupt()?;
    let conversion = Conversion::of_gguf(&GgufOptions {
        source: fetch::gguf(&args.source)?.into_owned(),
        wishes: Wishes {
            allow_requantize: args.allow_requantize,
            ..write::wishes(&args.write)?
        },
    })?;
    write::execute(&conversion, &args.write, &cancel)
}
