//! Chats that are kept and taken up again.

#[cfg(unix)]
mod chat;
mod commands;
mod damage;
mod state;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use crate::run::talkative;
use crate::support::{swallow_gguf, text};

/// A chat template that asks the model all that was said.
const TALKS: &str = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant:";

/// A user's home with a small model, a template and no chats.
pub(crate) struct Home {
    pub(crate) dir: TempDir,
    pub(crate) model: PathBuf,
    pub(crate) template: PathBuf,
}

impl Home {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let model = talkative(dir.path());
        let template = dir.path().join("template.jinja");
        fs::write(&template, TALKS).unwrap();
        Self {
            dir,
            model,
            template,
        }
    }

    /// The program at this home.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = swallow_gguf();
        command
            .args(args)
            .env("HOME", self.dir.path())
            .env("XDG_STATE_HOME", self.dir.path())
            .env("LOCALAPPDATA", self.dir.path())
            .stdin(Stdio::null());
        command
    }

    /// `run` with the model, in short answers that are the same every time.
    pub(crate) fn run(&self, args: &[&str]) -> Command {
        let mut command = self.command(&["run", "-t", "1", "--temp", "0", "--no-loop-stop", "-m"]);
        command
            .arg(&self.model)
            .arg("--chat-template")
            .arg(&self.template);
        // What is given last holds.
        if !args.contains(&"-n") {
            command.args(["-n", "6"]);
        }
        command.args(args);
        command
    }

    /// The output of a run that must succeed: stdout and stderr.
    pub(crate) fn answer(&self, args: &[&str]) -> (String, String) {
        succeeded(&self.run(args).output().unwrap())
    }

    /// The error of a run that must fail.
    pub(crate) fn refused(&self, args: &[&str]) -> String {
        failed(&self.run(args).output().unwrap())
    }

    /// `sessions` with these arguments, which must succeed.
    pub(crate) fn sessions(&self, args: &[&str]) -> (String, String) {
        succeeded(
            &self
                .command(&[&["sessions"], args].concat())
                .output()
                .unwrap(),
        )
    }

    /// The folder of the chats.
    pub(crate) fn folder(&self) -> PathBuf {
        let found = ["", "state", "Library/Application Support"].into_iter();
        let found = found.map(|under| self.dir.path().join(under).join("swallow-gguf/sessions"));
        let mut found = found.filter(|folder| folder.is_dir());
        found
            .next()
            .unwrap_or_else(|| self.dir.path().join("swallow-gguf/sessions"))
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    /// The names in the folder, sorted.
    pub(crate) fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder()).into_iter().flatten();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }
}

pub(crate) fn succeeded(output: &Output) -> (String, String) {
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{stderr}");
    (stdout, stderr)
}

fn failed(output: &Output) -> String {
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(output.stdout.is_empty(), "{output:?}");
    let line = stderr.lines().last().unwrap_or_default();
    line.strip_prefix("error: ")
        .unwrap_or_else(|| panic!("{stderr}"))
        .to_owned()
}

/// Tokens of the prompt that were read, and that were held, as `--stats` tells.
fn figures(stderr: &str) -> (usize, usize) {
    let line = stderr.lines().find(|line| line.starts_with("prompt: "));
    let line = line.unwrap_or_else(|| panic!("{stderr}"));
    let numbers: Vec<usize> = line
        .split([' ', ','])
        .filter_map(|word| word.parse().ok())
        .collect();
    // The speed between them is no whole number.
    (numbers[0], *numbers.last().unwrap())
}

/// What each line of a chat's file says: role and content.
fn said(path: &Path) -> Vec<(String, String)> {
    let text = fs::read_to_string(path).unwrap();
    let lines = text.lines().skip(1);
    lines
        .map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            let field = |name: &str| line[name].as_str().unwrap().to_owned();
            assert!(line["time"].is_string(), "{line}");
            (field("role"), field("content"))
        })
        .collect()
}
