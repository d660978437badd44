//! A chat with a model that says numbered words, in a folder of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::termios::LocalModes;
use tempfile::TempDir;

use super::terminal::{Running, Terminal, is_ordinary};
use super::{run, talkative};

/// A chat template with which a question is answered at once by an error that quotes it.
pub(super) const QUOTES: &str =
    "{{ raise_exception('<' + messages[-1].content | replace('\\n', '/') + '>') }}";

/// A chat template that asks the model.
pub(super) const ASKS: &str = "{{ messages[-1].content }}";

/// A folder with a model and templates.
pub(super) struct Room {
    dir: TempDir,
    model: PathBuf,
}

impl Room {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let model = talkative(dir.path());
        Self { dir, model }
    }

    pub(super) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(super) fn command(&self, template: &Path) -> Command {
        let mut command = run(&self.model);
        command
            .args(["--temp", "0", "-c", "60000", "--no-loop-stop"])
            .arg("--chat-template")
            .arg(template)
            .env("XDG_STATE_HOME", self.dir.path())
            .env("HOME", self.dir.path())
            .env_remove("VISUAL")
            .env_remove("EDITOR")
            .current_dir(self.dir.path());
        command
    }

    pub(super) fn template(&self, source: &str) -> PathBuf {
        let path = self.dir.path().join("template.jinja");
        fs::write(&path, source).unwrap();
        path
    }

    /// A chat that is at its first prompt.
    pub(super) fn chat(&self, template: &str) -> Running {
        self.chat_with(template, |_| {})
    }

    /// As [`Self::chat`], of a command that is changed.
    pub(super) fn chat_with(&self, template: &str, change: impl FnOnce(&mut Command)) -> Running {
        let template = self.template(template);
        let mut command = self.command(&template);
        change(&mut command);
        let chat = Terminal::new().run(&mut command);
        chat.terminal.wait_for("/help for help\r\n");
        chat.terminal.wait_for("\r\x1b[K> ");
        chat
    }

    /// A chat that waits for the other end of a pipe, where its template comes from.
    pub(super) fn loading(&self) -> (Running, PathBuf) {
        self.loading_on("xterm")
    }

    /// As [`Self::loading`], in a terminal of this kind.
    pub(super) fn loading_on(&self, kind: &str) -> (Running, PathBuf) {
        let template = self.dir.path().join("pipe.jinja");
        let made = Command::new("mkfifo").arg(&template).status().unwrap();
        assert!(made.success());
        let chat = Terminal::new().run_as(kind, &mut self.command(&template));
        chat.wait_for_modes("held", |modes| {
            !modes.local_modes.contains(LocalModes::ECHO)
        });
        (chat, template)
    }
}

/// What the chat was asked, in order.
pub(super) fn questions(shown: &str) -> Vec<&str> {
    let quoted = shown.split("error: ").skip(1);
    quoted
        .map(|error| {
            let question = error
                .split_once('<')
                .and_then(|(_, rest)| rest.split_once('>'));
            question.unwrap_or_else(|| panic!("{error}")).0
        })
        .collect()
}

/// `/quit`s, and gives everything that was shown.
pub(super) fn quit(mut chat: Running) -> String {
    chat.terminal.type_in("/quit\r");
    let status = chat.end();
    let shown = chat.terminal.shown();
    assert!(status.success(), "{shown}");
    assert!(
        is_ordinary(&chat.terminal.modes()),
        "{:?}",
        chat.terminal.modes()
    );
    shown
}
