//! The `swallow-gguf` command: parse, run, print the cause chain, exit code.

use std::process::ExitCode;

use clap::Parser;
use swallow_gguf::{cli::Cli, commands};

fn main() -> ExitCode {
    match commands::execute(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
