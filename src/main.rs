//! The `swallow-gguf` command: parse, run, print the cause chain, exit code.

use std::process::ExitCode;

use clap::Parser;
use swallow_gguf::{
    cli::{Cli, Command, with_long_options},
    commands,
    convert::ConvertError,
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
    match error.downcast_ref() {
        Some(ConvertError::Interrupted | ConvertError::InterruptedKept { .. }) => {
            ExitCode::from(INTERRUPTED)
        }
        _ if compares => ExitCode::from(TROUBLE),
        _ => ExitCode::FAILURE,
    }
}
