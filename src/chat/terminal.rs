//! The chat in the terminal: lines in, answers and the effects of commands out.

use std::io::{self, Write};

use anyhow::Context as _;

use super::attachments::Attachments;
use super::command::{Line, help, near};
use super::editor::{LineEditor, Typed};
use super::{Talk, TypeAhead, note};
use crate::runner::{Conversation, Ended};

mod commands;

/// Reads lines, those of `type_ahead` first, and answers them until the user leaves.
///
/// # Errors
/// Where the terminal cannot be read or written.
pub fn chat(
    talk: &mut Talk<'_>,
    conversation: &mut Conversation,
    type_ahead: TypeAhead,
) -> anyhow::Result<()> {
    let editor = LineEditor::new().context("cannot edit lines in this terminal")?;
    let mut chat = Chat {
        talk,
        conversation,
        type_ahead: &type_ahead,
        editor,
        attachments: Attachments::default(),
    };
    chat.talk.interrupts.begin_chat();
    let left = chat.answer_lines();
    chat.talk.keeping.end(chat.conversation, &chat.talk.session);
    chat.talk.keeping.say_where();
    if left.is_ok() {
        type_ahead.release();
    }
    left
}

/// A chat that goes on.
struct Chat<'a, 'm> {
    talk: &'a mut Talk<'m>,
    conversation: &'a mut Conversation,
    type_ahead: &'a TypeAhead,
    editor: LineEditor,
    /// Files for the next question.
    attachments: Attachments,
}

/// What is said of a first Ctrl-C.
const LEAVES: &str = "Ctrl-C once more leaves; so do Ctrl-D and /quit";

/// What comes after a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// The next line.
    Line,
    /// The same, but Ctrl-C stopped the answer, so that another one leaves.
    CtrlCLeaves,
    /// The end of the chat.
    Leave,
}

impl Chat<'_, '_> {
    fn answer_lines(&mut self) -> anyhow::Result<()> {
        let mut next = Next::Line;
        while next != Next::Leave {
            // Whatever the line before has changed.
            self.talk
                .keeping
                .keep(self.conversation, &self.talk.session);
            if self.talk.interrupts.came_between() {
                next = Next::CtrlCLeaves;
                note(LEAVES);
            }
            let typed = self.read_with(LineEditor::read);
            next = match typed.context("cannot read from the terminal")? {
                Typed::End => Next::Leave,
                Typed::Interrupted if next == Next::CtrlCLeaves => Next::Leave,
                Typed::Interrupted => {
                    note(LEAVES);
                    Next::CtrlCLeaves
                }
                Typed::LeftMessage => Next::Line,
                Typed::NotUtf8 => {
                    note("the line is not UTF-8 and cannot be read; set the terminal to UTF-8");
                    next
                }
                Typed::Message(input) if input.quoted && !input.text.trim().is_empty() => {
                    self.obey(Line::Say(&input.text))?
                }
                Typed::Message(input) => self.obey(Line::parse(&input.text))?,
            };
        }
        Ok(())
    }

    /// Reads from the terminal, first what was typed ahead.
    fn read_with<T>(&mut self, read: impl FnOnce(&mut LineEditor) -> T) -> T {
        let (type_ahead, editor) = (self.type_ahead, &mut self.editor);
        let interrupts = &self.talk.interrupts;
        interrupts.reading(|| type_ahead.give(|| read(editor)))
    }

    /// Does what a line asks for.
    fn obey(&mut self, line: Line<'_>) -> anyhow::Result<Next> {
        match line {
            Line::Blank => {}
            Line::Quit => return Ok(Next::Leave),
            Line::Say(question) => return self.ask(question),
            Line::Regenerate => return self.answer_again(),
            Line::Retry(seed) => return self.retry(seed),
            Line::Edit => return self.edit(),
            Line::Undo => self.undo(),
            Line::System(text) => self.set_system(text),
            Line::Set("") => self.show_settings()?,
            Line::Set(text) => self.set(text),
            Line::Read("") => self.list_attachments(),
            Line::Read(path) => self.attach(path),
            Line::Export("") => note("`/export` needs the name of a new file"),
            Line::Export(path) => self.export(path),
            Line::Save(name) => self.save_as(name),
            Line::Load(name) => self.load(name),
            Line::Sessions => self.list_chats()?,
            Line::Stats => self.show_stats()?,
            Line::Clear => {
                self.conversation.clear();
                self.attachments.clear();
                note("what was said is forgotten");
            }
            Line::Help => print(&help())?,
            Line::Superfluous(name) => note(&format!("`{name}` takes nothing behind it")),
            Line::Unknown(name) => note(&match near(name) {
                Some(near) => format!("there is no `{name}`; is `{near}` meant?"),
                None => format!("there is no `{name}`; /help lists the commands"),
            }),
        }
        Ok(Next::Line)
    }

    /// Asks a question, with the files that wait for it.
    fn ask(&mut self, question: &str) -> anyhow::Result<Next> {
        self.conversation.ask(self.attachments.with(question));
        let answered = self.answer()?;
        if answered.is_some() {
            self.attachments.clear();
        }
        Ok(answered.unwrap_or(Next::Line))
    }

    /// Answers the last question. `None` where that fails, and the question is taken back.
    fn answer(&mut self) -> anyhow::Result<Option<Next>> {
        let answer = match self.talk.answer(self.conversation) {
            Ok(answer) => answer,
            Err(error) => {
                // The chat goes on: the next question may be shorter.
                self.conversation.take_back();
                let error = anyhow::Error::new(error);
                let _ = writeln!(io::stderr(), "error: {error:#}");
                return Ok(None);
            }
        };
        if let Some(error) = self.talk.screen.take_error() {
            return Err(error).context("cannot write to stdout");
        }
        match answer.ended {
            Ended::Interrupted => note("stopped; Ctrl-C once more leaves"),
            Ended::Limit => note("stopped at the most tokens that `-n` allows"),
            _ if answer.text.is_empty() && answer.thoughts.is_empty() => {
                note("the model has no answer");
            }
            _ => {}
        }
        let _ = writeln!(io::stdout());
        Ok(Some(match answer.ended {
            Ended::Interrupted => Next::CtrlCLeaves,
            _ => Next::Line,
        }))
    }
}

/// Writes what was asked for.
fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(text.as_bytes());
    written
        .and_then(|()| stdout.flush())
        .context("cannot write to stdout")
}
