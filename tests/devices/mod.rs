//! Memory and devices of `run`, and `swallow-gguf devices`, on a build for the CPU.

mod estimates;
mod lora;
mod options;

use std::path::Path;
use std::process::{Output, Stdio};

use crate::support::{swallow_gguf, text};

/// Runs `swallow-gguf run -m MODEL` with these arguments, for one greedy token on one thread where they
/// do not say otherwise.
fn output(model: &Path, args: &[&str]) -> Output {
    let mut command = swallow_gguf();
    command
        .args(["run", "-t", "1", "--temp", "0", "-m"])
        .arg(model);
    command.args(args).stdin(Stdio::null());
    command.output().unwrap()
}

/// As [`output`], and it must succeed: stdout, and stderr.
fn succeed(model: &Path, args: &[&str]) -> (String, String) {
    let output = output(model, args);
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{args:?}: {stderr}");
    (stdout, stderr)
}

/// As [`output`], and it must fail with one line on stderr and nothing on stdout.
fn fail(model: &Path, args: &[&str]) -> String {
    let output = output(model, args);
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{args:?}: {stderr}");
    assert!(output.stdout.is_empty(), "{args:?}: {output:?}");
    let error = stderr
        .strip_prefix("error: ")
        .and_then(|error| error.strip_suffix('\n'));
    let error = error.unwrap_or_else(|| panic!("{args:?}: {stderr}"));
    assert!(!error.contains('\n'), "{args:?}: {stderr}");
    error.to_owned()
}
