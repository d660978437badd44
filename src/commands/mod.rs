//! One file per subcommand; each is thin.

mod bench;
mod convert;
mod inspect;
mod run;

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
