//! `swallow-gguf verify`

use std::{process::ExitCode, sync::Arc};

use super::fetch;
use crate::{
    cli::VerifyArgs,
    compare::{self, Reference},
};

pub(super) fn execute(args: &VerifyArgs) -> anyhow::Result<ExitCode> {
    let file = fetch::gguf(&args.file)?;
    let reference = match &args.against {
        None => None,
        Some(given) => {
            // Nothing is written, so Ctrl-C may end the program as it is.
            let source = fetch::checkpoint(given, false, &Arc::default())?;
            Some(Reference {
                sample: !args.full,
                source: source.without(&args.skip_tensors),
            })
        }
    };
    let verification = compare::verify(&file, reference.as_ref())?;
    for note in verification
        .against
        .iter()
        .flat_map(|against| &against.notes)
    {
        eprintln!("note: {note}");
    }
    super::print(&if args.json {
        verification.json()
    } else {
        verification.text()
    })?;
    Ok(match verification.is_well() {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(super::FOUND),
    })
}
