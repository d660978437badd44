//! The `swallow-gguf` command: parse, run, print the cause chain, exit code.

use std::process::ExitCode;

use clap::Parser;
use swallow_gguf::{cli::Cli, commands, convert::ConvertError};

/// What a shell gives a program that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    let Err(error) = commands::execute(Cli::parse()) else {
        return ExitCode::SUCCESS;
    };
    eprintln!("error: {error:#}");
    match error.downcast_ref() {
        Some(ConvertError::Interrupted) => ExitCode::from(INTERRUPTED),
        _ => ExitCode::FAILURE,
    }
}
