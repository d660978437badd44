//! The options of `run` for the chat that is kept.

use clap::Args;

/// What is kept, and what is taken up.
#[derive(Debug, Args)]
#[command(next_help_heading = "Kept chats")]
pub struct SessionArgs {
    /// Chat to take up, or the name of a new one; with -p, the prompt is its next question
    #[arg(long, value_name = "NAME", conflicts_with_all = ["raw", "no_session"])]
    pub session: Option<String>,

    /// Take up the chat that was last used with this model
    #[arg(long = "continue", conflicts_with_all = ["raw", "session", "no_session"])]
    pub take_up_last: bool,

    /// Do not keep the chat
    #[arg(long)]
    pub no_session: bool,
}
