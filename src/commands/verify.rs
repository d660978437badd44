//! `swallow-gguf verify`

use std::process::ExitCode;

use crate::{cli::VerifyArgs, compare};

pub(super) fn execute(args: &VerifyArgs) -> anyhow::Result<ExitCode> {
    let verification = compare::verify(&args.file, args.against.as_deref())?;
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
