//! The user's own editor, for a message.

use std::env;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::{Command, ExitStatus};

use crate::source::text_file::{self, FileProblem};

/// The longest message, in bytes.
const MAX_MESSAGE: u64 = 16 << 20;

/// Why a message could not be edited.
#[derive(Debug, thiserror::Error)]
pub(super) enum EditError {
    /// The file to edit could not be made.
    #[error("a file to edit cannot be made: {0}")]
    File(io::Error),
    /// The editor could not be started.
    #[error("the editor `{command}` of ${variable} cannot be started: {error}")]
    Start {
        command: String,
        variable: &'static str,
        error: io::Error,
    },
    /// It failed, which is how an editor is left without a change.
    #[error("the editor `{command}` ended with {status}, so nothing is asked")]
    Failed { command: String, status: ExitStatus },
    /// What it left is no text.
    #[error("the edited message: {0}")]
    Text(FileProblem),
}

/// An editor that the user has named.
#[derive(Debug)]
pub(super) struct TextEditor {
    variable: &'static str,
    command: String,
}

impl TextEditor {
    /// The one in `$VISUAL`, else the one in `$EDITOR`.
    pub(super) fn of_user() -> Option<Self> {
        ["VISUAL", "EDITOR"].into_iter().find_map(|variable| {
            let command = env::var(variable).ok()?;
            (!command.trim().is_empty()).then_some(Self { variable, command })
        })
    }

    /// What becomes of `text` in the editor, without the line ends that editors put last.
    pub(super) fn edit(&self, text: &str) -> Result<String, EditError> {
        let mut file = tempfile::Builder::new()
            .prefix("message-")
            .suffix(".md")
            .tempfile()
            .map_err(EditError::File)?;
        writeln!(file, "{text}").map_err(EditError::File)?;
        // Closed, because Windows lets nobody else write it; still removed at the end.
        let path = file.into_temp_path();
        let status = self.start(&path).map_err(|error| EditError::Start {
            command: self.command.clone(),
            variable: self.variable,
            error,
        })?;
        if !status.success() {
            return Err(EditError::Failed {
                command: self.command.clone(),
                status,
            });
        }
        let edited = text_file::read_text(&path, MAX_MESSAGE).map_err(EditError::Text)?;
        // An editor may remove a file that is emptied.
        Ok(edited
            .unwrap_or_default()
            .trim_end_matches(['\r', '\n'])
            .to_owned())
    }

    fn start(&self, file: &Path) -> io::Result<ExitStatus> {
        let words = match cfg!(windows) {
            true => None,
            false => shlex::split(&self.command),
        };
        // With arguments, as in `code --wait`.
        let words =
            words.unwrap_or_else(|| self.command.split_whitespace().map(str::to_owned).collect());
        let (program, arguments) = words.split_first().ok_or(io::ErrorKind::NotFound)?;
        Command::new(program).args(arguments).arg(file).status()
    }
}
