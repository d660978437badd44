//! The `swallow-gguf` command: parse, run, print the cause chain, exit code.

use std::process::ExitCode;

use clap::Parser;
use swallow_gguf::{
    cli::{Cli, with_long_gpu_layers},
    commands,
    convert::ConvertError,
};

/// What a shell gives a program that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    let cli = Cli::parse_from(with_long_gpu_layers(std::env::args_os()));
    let Err(error) = commands::execute(cli) else {
        return ExitCode::SUCCESS;
    };
    eprintln!("error: {error:#}");
    match error.downcast_ref() {
        Some(ConvertError::Interrupted) => ExitCode::from(INTERRUPTED),
        _ => ExitCode::FAILURE,
    }
}
