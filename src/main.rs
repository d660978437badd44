//! The `swallow-gguf` command: parse, run, print the cause chain, exit code.

use std::process::ExitCode;

use clap::Parser;
use swallow_gguf::{
    cli::{Cli, Command, with_long_options},
    commands,
    convert::ConvertError,
    merge::MergeError,
    store::StoreError,
};

/// What a shell gives a program that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

/// What `diff` and `verify` end with where they could not do their work: 1 says what they found.
const TROUBLE: u8 = 2;

fn main() -> ExitCode {
    let cli = Cli::parse_from(with_long_options(std::env::args_os()));
    let compares = matches!(cli.command, Command::Diff(_) | Command::Verify(_));
    let error = match commands::execute(cli) {
        Ok(code) => return code,
        Err(error) => error,
    };
    eprintln!("error: {error:#}");
    if is_interrupted(&error) {
        ExitCode::from(INTERRUPTED)
    } else if compares {
        ExitCode::from(TROUBLE)
    } else {
        ExitCode::FAILURE
    }
}

fn is_interrupted(error: &anyhow::Error) -> bool {
    let converting = error
        .downcast_ref()
        .is_some_and(ConvertError::is_interrupted);
    let merging = error.downcast_ref().is_some_and(MergeError::is_interrupted);
    let storing = error.downcast_ref().is_some_and(StoreError::is_interrupted);
    converting || merging || storing
}
