//! What the commands do.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use anyhow::Context as _;

use super::{Chat, Next, print};
use crate::chat::markdown::markdown;
use crate::chat::text_editor::TextEditor;
use crate::chat::{figures, note, paths};
use crate::runner::settings::{SETTINGS, Setting};

impl Chat<'_, '_> {
    pub(super) fn answer_again(&mut self) -> anyhow::Result<Next> {
        if !self.conversation.ask_again() {
            note("nothing was asked yet");
            return Ok(Next::Line);
        }
        Ok(self.answer()?.unwrap_or(Next::Line))
    }

    /// Another seed, the one given or a random one, and the last question again.
    pub(super) fn retry(&mut self, given: &str) -> anyhow::Result<Next> {
        if self.conversation.is_empty() {
            return self.answer_again();
        }
        let options = self.talk.session.options_mut();
        let chosen = if given.is_empty() { "-1" } else { given };
        if let Err(expected) = Setting::SEED.set(options, chosen) {
            note(&format!("`/retry {given}`: {expected}"));
            return Ok(Next::Line);
        }
        note(&format!("seed {}", options.sampling.seed));
        if options.sampling.temperature <= 0.0 {
            note("at temperature 0 every seed gives the same; `/set temp 0.8` makes it random");
        }
        self.answer_again()
    }

    pub(super) fn save_as(&mut self, name: &str) {
        let session = &self.talk.session;
        self.talk.keeping.save_as(name, self.conversation, session);
    }

    pub(super) fn load(&mut self, name: &str) {
        let session = &mut self.talk.session;
        self.talk.keeping.load(name, self.conversation, session);
    }

    pub(super) fn list_chats(&self) -> anyhow::Result<()> {
        match self.talk.keeping.list() {
            Some(table) => print(&table)?,
            None => note("no chat is kept yet"),
        }
        Ok(())
    }

    pub(super) fn undo(&mut self) {
        match self.conversation.take_back() {
            Some(turn) => note(&format!("taken back: {}", beginning(&turn.question))),
            None => note("nothing was asked yet"),
        }
    }

    /// Lets the user change the last question, or write the first, and answers it.
    pub(super) fn edit(&mut self) -> anyhow::Result<Next> {
        let before = self.conversation.turns().to_vec();
        let old = before.last().map_or("", |turn| &turn.question);
        let Some(new) = self.changed(old)? else {
            return Ok(Next::Line);
        };
        if new.trim().is_empty() {
            note("the question is empty, so nothing is asked");
            return Ok(Next::Line);
        }
        if new == old {
            note("the question is the same; `/regen` answers it anew");
            return Ok(Next::Line);
        }
        self.conversation.take_back();
        self.conversation.ask(new);
        let answered = self.answer()?;
        if answered.is_none() {
            let system = self.conversation.system().map(ToOwned::to_owned);
            self.conversation.restore(system, before);
        }
        Ok(answered.unwrap_or(Next::Line))
    }

    /// What the user makes of `text`; `None` where that is nothing.
    fn changed(&mut self, text: &str) -> anyhow::Result<Option<String>> {
        let Some(editor) = TextEditor::of_user() else {
            let changed = self.read_with(|line| line.change(text));
            return changed.context("cannot read from the terminal");
        };
        let run = || self.type_ahead.lend(|| editor.edit(text));
        Ok(match self.talk.interrupts.lend(run) {
            Ok(changed) => Some(changed),
            Err(error) => {
                let _ = writeln!(io::stderr(), "error: {error}");
                None
            }
        })
    }

    pub(super) fn set_system(&mut self, text: &str) {
        let template = self.conversation.template();
        if text.is_empty() {
            self.conversation.set_system(None);
            note("there is no system message now");
        } else if template.takes_system() {
            self.conversation.set_system(Some(text.to_owned()));
            note("the system message holds from the next answer on");
        } else {
            let name = template.name();
            note(&format!(
                "the chat template `{name}` has no place for a system message"
            ));
        }
    }

    /// Every option, with its value and what it does.
    pub(super) fn show_settings(&mut self) -> anyhow::Result<()> {
        let options = self.talk.session.options_mut();
        let mut text = String::new();
        for setting in SETTINGS {
            let value = setting.value(options);
            // Writing into a string cannot fail.
            let _ = writeln!(text, "{:<18} {value:<8} {}", setting.name, setting.about);
        }
        print(&text)
    }

    /// Sets an option, or shows it where no value is given.
    pub(super) fn set(&mut self, text: &str) {
        let ends = |c: char| c.is_whitespace() || c == '=';
        let (name, value) = match text.split_once(ends) {
            Some((name, value)) => (name, value.trim_start_matches(ends)),
            None => (text, ""),
        };
        let setting = match Setting::find(name) {
            Ok(setting) => setting,
            Err(unknown) => return note(&unknown),
        };
        let options = self.talk.session.options_mut();
        if value.is_empty() {
            let value = setting.value(options);
            return note(&format!("{} {value} ({})", setting.name, setting.about));
        }
        match setting.set(options, value) {
            Ok(()) => note(&format!("{} {}", setting.name, setting.value(options))),
            Err(expected) => note(&format!("`{} {value}`: {expected}", setting.name)),
        }
    }

    pub(super) fn attach(&mut self, path: &str) {
        let path = paths::typed(path);
        let session = &self.talk.session;
        let added = self
            .attachments
            .add(&path, session.context(), |text| session.count_tokens(text));
        match added {
            Ok(tokens) => note(&format!(
                "`{}` goes into the next question: {}",
                path.display(),
                figures::tokens(tokens)
            )),
            Err(error) => {
                let _ = writeln!(io::stderr(), "error: {error}");
            }
        }
    }

    pub(super) fn list_attachments(&self) {
        let mut files = self.attachments.list().peekable();
        if files.peek().is_none() {
            note("no file waits for the next question; `/read PATH` puts one into it");
        }
        for (name, tokens) in files {
            note(&format!(
                "`{name}` waits for the next question: {}",
                figures::tokens(tokens)
            ));
        }
    }

    /// Writes the chat into a file that is not there yet.
    pub(super) fn export(&self, path: &str) {
        let path = paths::typed(path);
        if self.conversation.is_empty() {
            return note("nothing was said yet");
        }
        let text = markdown(self.conversation.system(), self.conversation.turns());
        match write_new(&path, &text) {
            Ok(()) => note(&format!("the chat is in `{}`", path.display())),
            Err(error) => {
                let path = path.display();
                let _ = match error.kind() {
                    io::ErrorKind::AlreadyExists => writeln!(
                        io::stderr(),
                        "error: `{path}` is there already; give the name of a new file"
                    ),
                    _ => writeln!(io::stderr(), "error: `{path}` cannot be written: {error}"),
                };
            }
        }
    }

    pub(super) fn show_stats(&self) -> anyhow::Result<()> {
        let turns = self.conversation.turns().len();
        print(&self.talk.totals.report(&self.talk.session, turns))
    }
}

/// Writes a file that is there whole or not at all.
fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    let written = file
        .write_all(text.as_bytes())
        .and_then(|()| file.sync_all());
    if written.is_err() {
        // What is there of it is of no use; that it cannot be written is said already.
        let _ = fs::remove_file(path);
    }
    written
}

/// How a message begins, for a note of one line.
fn beginning(text: &str) -> String {
    let line = text.trim().lines().next().unwrap_or_default();
    let short = console::truncate_str(line, 60, "…");
    let dots = if short == line && line.len() < text.trim().len() {
        "…"
    } else {
        ""
    };
    format!("{short}{dots}")
}
