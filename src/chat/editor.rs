//! The line that is typed: editing, history, completion of commands.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::DefaultHistory;
use rustyline::validate::Validator;
use rustyline::{
    Cmd, ConditionalEventHandler, Config, Context, Editor, Event, EventContext, EventHandler,
    Helper, KeyEvent, Movement, RepeatCount,
};

use super::command;
use crate::places;

/// What stands before the typed line.
const PROMPT: &str = "> ";

/// Lines kept between chats.
const HISTORY_LINES: usize = 1000;

/// What was typed.
pub(super) enum Typed {
    Line(String),
    /// Ctrl-C, in an empty line.
    Interrupted,
    /// Bytes that are no characters. What came with them is lost.
    NotUtf8,
    /// Ctrl-D
    End,
}

/// Reads lines from the terminal.
pub(super) struct LineEditor {
    editor: Editor<Commands, DefaultHistory>,
    /// Ctrl-C ended the line.
    interrupted: Arc<AtomicBool>,
    history_file: Option<PathBuf>,
}

impl LineEditor {
    pub(super) fn new() -> Result<Self, ReadlineError> {
        let config = Config::builder()
            .max_history_size(HISTORY_LINES)?
            .history_ignore_space(true)
            // Pastes are marked already, answers included.
            .bracketed_paste(false)
            .build();
        let mut editor = Editor::with_config(config)?;
        editor.set_helper(Some(Commands));
        let interrupted = Arc::default();
        let ctrl_c = EventHandler::Conditional(Box::new(CtrlC(Arc::clone(&interrupted))));
        editor.bind_sequence(KeyEvent::ctrl('C'), ctrl_c);
        let history_file = history_file();
        if let Some(file) = &history_file {
            // There is none yet, or it cannot be read: the chat goes on without.
            let _ = editor.load_history(file);
        }
        Ok(Self {
            editor,
            interrupted,
            history_file,
        })
    }

    pub(super) fn read(&mut self) -> Result<Typed, ReadlineError> {
        let styled = console::style(PROMPT).green().bold().to_string();
        let typed = self.editor.readline(&(PROMPT, styled));
        if self.interrupted.swap(false, Ordering::SeqCst) {
            return Ok(Typed::Interrupted);
        }
        match typed {
            Ok(line) => {
                self.remember(&line);
                Ok(Typed::Line(line))
            }
            Err(ReadlineError::Interrupted) => Ok(Typed::Interrupted),
            Err(ReadlineError::Eof) => Ok(Typed::End),
            Err(ReadlineError::Io(error)) if error.kind() == ErrorKind::InvalidData => {
                Ok(Typed::NotUtf8)
            }
            Err(error) => Err(error),
        }
    }

    /// Adds the line to the history, and to its file at once, in case the chat is killed.
    fn remember(&mut self, line: &str) {
        let added = self.editor.add_history_entry(line).unwrap_or(false);
        if let Some(file) = self.history_file.as_ref().filter(|_| added) {
            let written = match file.parent().map(std::fs::create_dir_all) {
                Some(Err(error)) => Err(ReadlineError::Io(error)),
                _ => self.editor.append_history(file),
            };
            if written.is_err() {
                // A history that cannot be kept is no reason to disturb the chat, once or twice.
                self.history_file = None;
            }
        }
    }
}

/// Where the history is kept: in the user's folder for what programs remember.
fn history_file() -> Option<PathBuf> {
    Some(places::state()?.join("chat-history"))
}

/// Ctrl-C in a line with text removes the text, as in a shell. In an empty one it ends the line:
/// rustyline would end with an error and lose what was typed after it.
struct CtrlC(Arc<AtomicBool>);

impl ConditionalEventHandler for CtrlC {
    fn handle(
        &self,
        _: &Event,
        _: RepeatCount,
        _: bool,
        context: &EventContext<'_>,
    ) -> Option<Cmd> {
        if context.line().is_empty() {
            self.0.store(true, Ordering::SeqCst);
            return Some(Cmd::AcceptLine);
        }
        Some(Cmd::Kill(Movement::WholeBuffer))
    }
}

/// Completes the commands.
struct Commands;

impl Completer for Commands {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _context: &Context<'_>,
    ) -> Result<(usize, Vec<String>), ReadlineError> {
        let typed = &line[..position];
        let mut candidates = Vec::new();
        if typed.starts_with('/') {
            let matching = command::NAMES.iter().filter(|name| name.starts_with(typed));
            candidates.extend(matching.map(ToString::to_string));
        }
        Ok((0, candidates))
    }
}

impl Hinter for Commands {
    type Hint = String;
}

impl Highlighter for Commands {}

impl Validator for Commands {}

impl Helper for Commands {}
