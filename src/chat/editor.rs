//! The line that is typed: editing, history, messages of several lines.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustyline::error::ReadlineError;
use rustyline::history::DefaultHistory;
use rustyline::{
    Cmd, ConditionalEventHandler, Config, Editor, Event, EventContext, EventHandler, KeyEvent,
    Movement, RepeatCount,
};

use super::block::{Block, Input};
use super::completion::Completions;
use crate::places;

/// What stands before the typed line.
const PROMPT: &str = "> ";

/// The same, in the further lines of a message.
const GOES_ON: &str = ". ";

/// Lines kept between chats.
const HISTORY_LINES: usize = 1000;

/// What was typed.
pub(super) enum Typed {
    Message(Input),
    /// Ctrl-C, in an empty line.
    Interrupted,
    /// Ctrl-C, in a message of several lines, which is given up.
    LeftMessage,
    /// Bytes that are no characters. What came with them is lost.
    NotUtf8,
    /// Ctrl-D
    End,
}

/// Reads lines from the terminal.
pub(super) struct LineEditor {
    editor: Editor<Completions, DefaultHistory>,
    /// The lines before the one that is typed, where they are one message.
    block: Block,
    ctrl_c: CtrlC,
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
        editor.set_helper(Some(Completions::default()));
        let ctrl_c = CtrlC::default();
        let handler = EventHandler::Conditional(Box::new(ctrl_c.clone()));
        editor.bind_sequence(KeyEvent::ctrl('C'), handler);
        let history_file = history_file();
        if let Some(file) = &history_file {
            // There is none yet, or it cannot be read: the chat goes on without.
            let _ = editor.load_history(file);
        }
        Ok(Self {
            editor,
            block: Block::default(),
            ctrl_c,
            history_file,
        })
    }

    /// Reads a message or a command, of one line or several.
    pub(super) fn read(&mut self) -> Result<Typed, ReadlineError> {
        loop {
            let goes_on = self.block.is_open();
            self.ctrl_c.leaves.store(goes_on, Ordering::SeqCst);
            let prompt = if goes_on { GOES_ON } else { PROMPT };
            match self.read_line(prompt, "")? {
                LineEnd::Entered(line) => {
                    if let Some(input) = self.block.push(&line) {
                        self.remember(&input.typed);
                        return Ok(Typed::Message(input));
                    }
                }
                LineEnd::Interrupted if goes_on => {
                    self.block = Block::default();
                    return Ok(Typed::LeftMessage);
                }
                LineEnd::Interrupted => return Ok(Typed::Interrupted),
                LineEnd::NotUtf8 => return Ok(Typed::NotUtf8),
                LineEnd::EndOfInput => return Ok(Typed::End),
            }
        }
    }

    /// Reads `text` again, changed by the user; it may have several lines. `None` where the user leaves
    /// it.
    pub(super) fn change(&mut self, text: &str) -> Result<Option<String>, ReadlineError> {
        self.ctrl_c.leaves.store(true, Ordering::SeqCst);
        match self.read_line(PROMPT, text)? {
            LineEnd::Entered(text) => Ok(Some(text)),
            _ => Ok(None),
        }
    }

    fn read_line(&mut self, prompt: &str, text: &str) -> Result<LineEnd, ReadlineError> {
        let styled = console::style(prompt).green().bold().to_string();
        let typed = self
            .editor
            .readline_with_initial(&(prompt, styled), (text, ""));
        if self.ctrl_c.heard.swap(false, Ordering::SeqCst) {
            return Ok(LineEnd::Interrupted);
        }
        match typed {
            Ok(line) => Ok(LineEnd::Entered(line)),
            Err(ReadlineError::Interrupted) => Ok(LineEnd::Interrupted),
            Err(ReadlineError::Eof) => Ok(LineEnd::EndOfInput),
            Err(ReadlineError::Io(error)) if error.kind() == ErrorKind::InvalidData => {
                Ok(LineEnd::NotUtf8)
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

/// How a line ended.
enum LineEnd {
    Entered(String),
    Interrupted,
    NotUtf8,
    EndOfInput,
}

/// Ctrl-C in a line with text removes the text, as in a shell. In an empty one, and where it leaves the
/// whole message, it ends the line: rustyline would end with an error and lose what was typed after it.
#[derive(Clone, Default)]
struct CtrlC {
    /// It ended the line.
    heard: Arc<AtomicBool>,
    /// It ends a line with text too.
    leaves: Arc<AtomicBool>,
}

impl ConditionalEventHandler for CtrlC {
    fn handle(
        &self,
        _: &Event,
        _: RepeatCount,
        _: bool,
        context: &EventContext<'_>,
    ) -> Option<Cmd> {
        if context.line().is_empty() || self.leaves.load(Ordering::SeqCst) {
            self.heard.store(true, Ordering::SeqCst);
            return Some(Cmd::AcceptLine);
        }
        Some(Cmd::Kill(Movement::WholeBuffer))
    }
}
