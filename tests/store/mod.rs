//! `swallow-gguf run` of what is converted or chosen first, and `swallow-gguf models`.

mod checkpoint;
mod hub;
#[cfg(unix)]
pub(crate) mod interrupted;
mod models;
mod recipe;
mod types;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::SystemTime,
};

use tempfile::TempDir;

use crate::{
    hub::program,
    support::{checkpoint, small_moe, text},
};

/// An address where nothing answers.
const NOWHERE: &str = "http://127.0.0.1:9";

/// A home with a store and a cache of its own.
pub(crate) struct Home {
    dir: TempDir,
    endpoint: String,
}

/// What a run has said, and how it ended.
#[derive(Debug)]
pub(crate) struct Said {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Home {
    fn new(endpoint: &str) -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            endpoint: endpoint.into(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A small checkpoint in a folder.
    fn checkpoint(&self, name: &str) -> PathBuf {
        checkpoint(self.dir.path(), name, &small_moe())
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = program(&self.endpoint, &self.path("hf"));
        command
            .args(args)
            .current_dir(self.dir.path())
            .env("SWALLOW_GGUF_MODELS", self.path("models"))
            .env("XDG_STATE_HOME", self.path("state"))
            .env("XDG_DATA_HOME", self.path("data"))
            .stdin(std::process::Stdio::null());
        command
    }

    /// `run MODEL`, a token of whose is enough.
    fn run_command(&self, model: &str, args: &[&str]) -> Command {
        let mut command = self.command(&["run", model]);
        command.args(["--raw", "-p", "a", "-n", "1", "-t", "1", "--temp", "0"]);
        command.args(args);
        command
    }

    fn run(&self, model: &str, args: &[&str]) -> Said {
        Said::of(&self.run_command(model, args).output().unwrap())
    }

    /// As [`Home::run`], and it must succeed; what was said on stderr.
    fn runs(&self, model: &str, args: &[&str]) -> String {
        let said = self.run(model, args);
        assert_eq!(said.code, Some(0), "{model} {args:?}: {said:?}");
        said.stderr
    }

    /// As [`Home::run`], and it must fail; the error.
    fn fails(&self, model: &str, args: &[&str]) -> String {
        self.run(model, args).error()
    }

    /// `models` with further arguments.
    fn models(&self, args: &[&str]) -> Said {
        let mut command = self.command(&["models"]);
        Said::of(&command.args(args).output().unwrap())
    }

    /// All that `models` lists.
    pub(crate) fn listed(&self) -> Vec<serde_json::Value> {
        let said = self.models(&["--json"]);
        assert_eq!(said.code, Some(0), "{said:?}");
        serde_json::from_str(&said.stdout).unwrap()
    }

    /// The names that `models` lists.
    fn names(&self) -> Vec<String> {
        let listed = self.listed();
        let name = |model: &serde_json::Value| model["name"].as_str().unwrap().to_owned();
        listed.iter().map(name).collect()
    }

    /// The file of the only model of the store.
    fn file(&self) -> PathBuf {
        let listed = self.listed();
        assert_eq!(listed.len(), 1, "{listed:?}");
        listed[0]["path"].as_str().unwrap().into()
    }
}

impl Said {
    fn of(output: &Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }

    /// The last line, which must be an error.
    fn error(&self) -> String {
        assert_eq!(self.code, Some(1), "{self:?}");
        let line = self.stderr.lines().last().unwrap_or_default();
        let error = line.strip_prefix("error: ");
        error.unwrap_or_else(|| panic!("{self:?}")).to_owned()
    }
}

/// What tells a file from one that was written again.
fn stamp(path: &Path) -> (SystemTime, u64) {
    let found = fs::metadata(path).unwrap();
    #[cfg(unix)]
    let id = std::os::unix::fs::MetadataExt::ino(&found);
    #[cfg(not(unix))]
    let id = 0;
    (found.modified().unwrap(), id)
}
