//! The chat in the terminal.

use std::io::{self, Write};

use anyhow::Context as _;

use super::command::{HELP, Line};
use super::editor::{LineEditor, Typed};
use super::{Talk, TypeAhead, note};
use crate::runner::{Conversation, Ended};

/// Reads lines, those of `type_ahead` first, and answers them until the user leaves.
///
/// # Errors
/// Where the terminal cannot be read or written.
pub fn chat(
    talk: &mut Talk<'_>,
    conversation: &mut Conversation,
    type_ahead: TypeAhead,
) -> anyhow::Result<()> {
    let left = answer_lines(talk, conversation, &type_ahead);
    talk.keeping.end(conversation, &talk.session);
    if left.is_ok() {
        type_ahead.release();
    }
    left
}

fn answer_lines(
    talk: &mut Talk<'_>,
    conversation: &mut Conversation,
    type_ahead: &TypeAhead,
) -> anyhow::Result<()> {
    let mut editor = LineEditor::new().context("cannot edit lines in this terminal")?;
    // Ctrl-C leaves where the one before was not followed by anything else.
    let mut ctrl_c_leaves = false;
    loop {
        // Whatever the line before has changed.
        talk.keeping.keep(conversation, &talk.session);
        let typed = type_ahead.give(|| editor.read());
        let line = match typed.context("cannot read from the terminal")? {
            Typed::End => return Ok(()),
            Typed::Interrupted if ctrl_c_leaves => return Ok(()),
            Typed::Interrupted => {
                ctrl_c_leaves = true;
                note("Ctrl-C once more leaves; so do Ctrl-D and /quit");
                continue;
            }
            Typed::NotUtf8 => {
                note("the line is not UTF-8 and cannot be read; set the terminal to UTF-8");
                continue;
            }
            Typed::Line(line) => line,
        };
        ctrl_c_leaves = false;
        match Line::parse(&line) {
            Line::Blank => {}
            Line::Quit => return Ok(()),
            Line::Help => writeln!(io::stdout(), "{HELP}").context("cannot write to stdout")?,
            Line::Clear => {
                conversation.clear();
                note("what was said is forgotten");
            }
            Line::System(text) => set_system(conversation, text),
            Line::Save(name) => talk.keeping.save_as(name, conversation, &talk.session),
            Line::Load(name) => talk.keeping.load(name, conversation, &mut talk.session),
            Line::Sessions => match talk.keeping.list() {
                Some(table) => write!(io::stdout(), "{table}").context("cannot write to stdout")?,
                None => note("no chat is kept yet"),
            },
            Line::Unknown(name) => note(&format!("there is no `{name}`; /help lists the commands")),
            Line::Regenerate => {
                if conversation.ask_again() {
                    ctrl_c_leaves = answer(talk, conversation)?;
                } else {
                    note("nothing was asked yet");
                }
            }
            Line::Say(question) => {
                conversation.ask(question);
                ctrl_c_leaves = answer(talk, conversation)?;
            }
        }
    }
}

/// Answers the last question. True where Ctrl-C stopped the answer.
fn answer(talk: &mut Talk<'_>, conversation: &mut Conversation) -> anyhow::Result<bool> {
    let answer = match talk.answer(conversation) {
        Ok(answer) => answer,
        Err(error) => {
            // The chat goes on: the next question may be shorter.
            conversation.take_back();
            let error = anyhow::Error::new(error);
            let _ = writeln!(io::stderr(), "error: {error:#}");
            return Ok(false);
        }
    };
    if let Some(error) = talk.screen.take_error() {
        return Err(error).context("cannot write to stdout");
    }
    match answer.ended {
        Ended::Interrupted => note("stopped; Ctrl-C once more leaves"),
        Ended::Limit => note("stopped at the most tokens that `-n` allows"),
        _ if answer.text.is_empty() => note("the model has no answer"),
        _ => {}
    }
    let _ = writeln!(io::stdout());
    Ok(answer.ended == Ended::Interrupted)
}

fn set_system(conversation: &mut Conversation, text: &str) {
    if text.is_empty() {
        conversation.set_system(None);
        note("there is no system message now");
    } else if conversation.template().takes_system() {
        conversation.set_system(Some(text.to_owned()));
        note("the system message holds from the next answer on");
    } else {
        let template = conversation.template().name();
        note(&format!(
            "the chat template `{template}` has no place for a system message"
        ));
    }
}
