//! `swallow-gguf run` from outside.

mod answers;
mod conversation;
mod errors;
mod repeats;
#[cfg(unix)]
mod terminal;
#[cfg(unix)]
mod typed;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use swallow_gguf::gguf::Gguf;

use crate::support::{checkpoint, converted, small_moe, swallow_gguf, text};

/// `swallow-gguf run -m MODEL`, on one thread, because the other tests run beside it.
fn run(model: &Path) -> Command {
    let mut command = swallow_gguf();
    command.args(["run", "-t", "1", "-m"]).arg(model);
    command.stdin(std::process::Stdio::null());
    command
}

/// Runs with these arguments.
fn output(model: &Path, args: &[&str]) -> Output {
    run(model).args(args).output().unwrap()
}

/// Runs with these arguments, which must succeed; gives what is on stdout and on stderr.
fn succeed(model: &Path, args: &[&str]) -> (String, String) {
    let output = output(model, args);
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{args:?}: {stderr}");
    (stdout, stderr)
}

/// Runs with these arguments, which must fail with one error line; gives that line.
fn fail(model: &Path, args: &[&str]) -> String {
    let output = output(model, args);
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{args:?}: {stderr}");
    assert!(output.stdout.is_empty(), "{args:?}: {output:?}");
    let line = stderr.lines().last().unwrap_or_default();
    let error = line.strip_prefix("error: ");
    error.unwrap_or_else(|| panic!("{stderr}")).to_owned()
}

/// A model that says numbered words, and soon the same one for ever.
pub(crate) fn talkative(dir: &Path) -> PathBuf {
    let source = checkpoint(dir, "source", &small_moe());
    let model = dir.join("talkative.gguf");
    let mut bytes = converted(&source, &model, &["-t", "f16"]);
    let gguf = Gguf::open(&model).unwrap();
    let output = gguf.tensor("output.weight").unwrap();
    // Special tokens and bytes come before the words. Without weights they are never the most
    // likely.
    let row = output.size() as usize / 300;
    let begin = (gguf.data_offset + output.offset) as usize;
    bytes[begin..begin + 259 * row].fill(0);
    std::fs::write(&model, bytes).unwrap();
    model
}
