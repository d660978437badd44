//! Proposed tokens: what they change, which is nothing but the time; and the measurements of it.

mod bench;
mod distribution;
mod draft;
mod text;

use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::support::{swallow_gguf, text};

/// A prompt whose answer repeats it.
const COPY: &str = "Repeat this text exactly: The museum is open every day from nine to five, except on \
    Mondays. Visitors who come to the museum by bus should get off at the town hall, and walk \
    across the bridge. The entrance of the museum is on the left, next to the bakery.";

/// `swallow-gguf run -m MODEL`, which keeps nothing.
fn run(model: &Path) -> Command {
    let mut command = swallow_gguf();
    command.args(["run", "--no-session", "-m"]).arg(model);
    command.stdin(Stdio::null());
    command
}

/// Runs it, which must succeed; gives what is on stdout and on stderr.
fn succeed(command: &mut Command) -> (String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    let (stdout, stderr) = (text(&stdout), text(&stderr));
    assert!(status.success(), "{stderr}");
    (stdout, stderr)
}

/// Tokens that were proposed, and those of them that were right, as `--stats` says.
fn speculated(stderr: &str) -> (usize, usize) {
    let line = stderr.lines().find_map(|line| {
        let (_, figures) = line.split_once("speculation: ")?;
        let (proposed, rest) = figures.split_once(" tokens proposed, ")?;
        let (right, _) = rest.split_once(' ')?;
        Some((proposed.parse().ok()?, right.parse().ok()?))
    });
    line.unwrap_or_default()
}
