//! The `swallow-gguf` command: parse, run, print the cause chain, exit code.

use std::process::ExitCode;

use clap::Parser;
use swallow_gguf::{
    cli::{Cli, with_long_gpu_layers},
    commands,
};

fn main() -> ExitCode {
    match commands::execute(Cli::parse_from(with_long_gpu_layers(std::env::args_os()))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
