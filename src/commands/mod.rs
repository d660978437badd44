//! One file per subcommand; each is thin.

mod bench;
mod convert;
mod inspect;
mod run;

use std::io::{ErrorKind, Write, stdout};

use anyhow::Context;

use crate::cli::{Cli, Command};

/// Runs what the command line asks for.
///
/// # Errors
/// Whatever stopped the command, with the file or tensor it concerns.
pub fn execute(cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        Command::Convert(args) => convert::execute(args),
        Command::Run(args) => run::execute(args),
        Command::Inspect(args) => inspect::execute(args),
        Command::Bench(args) => bench::execute(args.bench),
    }
}

/// Writes to stdout. A reader that has seen enough (`| head`) is no error.
fn print(text: &str) -> anyhow::Result<()> {
    let mut out = stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write to stdout"),
    }
}
