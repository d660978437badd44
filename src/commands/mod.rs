//! One file per subcommand; each is thin.

mod bench;
mod convert;
mod devices;
mod diff;
mod fetch;
mod inspect;
mod merge;
mod quantize;
mod run;
mod sessions;
mod verify;
mod write;

use std::{
    io::{ErrorKind, Write, stdout},
    process::ExitCode,
};

use anyhow::Context;

use crate::cli::{Cli, Command};

/// What `diff` and `verify` end with where they ran and found something.
const FOUND: u8 = 1;

/// Runs what the command line asks for, and tells the exit code.
///
/// # Errors
/// Whatever stopped the command, with the file or tensor it concerns.
pub fn execute(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        Command::Convert(args) => convert::execute(&args),
        Command::Merge(args) => merge::execute(&args),
        Command::Quantize(args) => quantize::execute(&args),
        Command::Run(args) => run::execute(args),
        Command::Devices(args) => devices::execute(&args),
        Command::Sessions(args) => sessions::execute(args),
        Command::Inspect(args) => inspect::execute(args),
        Command::Diff(args) => return diff::execute(&args),
        Command::Verify(args) => return verify::execute(&args),
        Command::Bench(args) => bench::execute(args.bench),
    }
    .map(|()| ExitCode::SUCCESS)
}

/// Writes to stdout. A reader that has seen enough (`| head`) is no error.
fn print(text: &str) -> anyhow::Result<()> {
    let mut out = stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write to stdout"),
    }
}
