//! `swallow-gguf sessions`: its options.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `swallow-gguf sessions`
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Chats are kept by `run`, and taken up with `run --session NAME` or `--continue`. Their texts are kept \
until they are removed; what the model held at their end, so that they are taken up at once, of the \
ten used last, 8 GB at most."
)]
pub struct SessionsArgs {
    /// What to do; without it the chats are listed.
    #[command(subcommand)]
    pub command: Option<SessionsCommand>,

    /// Print JSON on stdout
    #[arg(long)]
    pub json: bool,
}

/// What to do with kept chats.
#[derive(Debug, Subcommand)]
pub enum SessionsCommand {
    /// List the chats, the one used last first
    #[command(visible_alias = "ls")]
    List {
        /// Print JSON on stdout
        #[arg(long)]
        json: bool,
    },
    /// Show what was said in a chat
    Show {
        /// Name of the chat
        name: String,
    },
    /// Write a chat as Markdown
    Export {
        /// Name of the chat
        name: String,

        /// File to write [default: stdout]
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,

        /// Replace the file where it is there already
        #[arg(short, long, requires = "output")]
        force: bool,
    },
    /// Remove chats
    Rm {
        /// Names of the chats
        #[arg(value_name = "NAME", required = true)]
        names: Vec<String>,
    },
}
