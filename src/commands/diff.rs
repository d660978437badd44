//! `swallow-gguf diff`

use std::process::ExitCode;

use super::fetch;
use crate::{cli::DiffArgs, compare};

pub(super) fn execute(args: &DiffArgs) -> anyhow::Result<ExitCode> {
    let diff = compare::diff(&fetch::gguf(&args.a)?, &fetch::gguf(&args.b)?)?;
    super::print(&if args.json { diff.json() } else { diff.text() })?;
    Ok(match diff.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(super::FOUND),
    })
}
