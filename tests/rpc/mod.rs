//! `swallow-gguf rpc-worker`, and `run` with workers.

mod lost;
mod refused;
mod split;

use std::io::{BufRead as _, BufReader, Read};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use crate::support::{swallow_gguf, text};

/// For a machine that is busy with other tests; nothing waits so long.
const PATIENCE: Duration = Duration::from_secs(120);

/// A worker on a port of this machine.
pub(crate) struct Worker {
    child: Child,
    pub(crate) address: String,
    /// What it said before it listened.
    pub(crate) greeting: String,
    lines: Receiver<String>,
}

/// `swallow-gguf rpc-worker` on one thread.
fn rpc_worker(port: &str) -> Command {
    let mut command = swallow_gguf();
    command.args(["rpc-worker", "--port", port, "-t", "1"]);
    command.env("NO_COLOR", "1");
    command
}

impl Worker {
    pub(crate) fn start(args: &[&str]) -> Self {
        let mut child = rpc_worker("0")
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = lines(child.stderr.take().unwrap());
        let mut greeting = String::new();
        let address = loop {
            let Ok(line) = lines.recv_timeout(PATIENCE) else {
                let _ = child.kill();
                panic!("no worker: {greeting}");
            };
            greeting += &line;
            greeting.push('\n');
            if let Some((_, rest)) = line.split_once("listening on ") {
                break rest.split(';').next().unwrap().to_owned();
            }
        };
        Self {
            child,
            address,
            greeting,
            lines,
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Waits for a line that it says when it listens.
    fn wait_for(&self, expected: &str) {
        loop {
            let line = self.lines.recv_timeout(PATIENCE).unwrap();
            if line.contains(expected) {
                return;
            }
        }
    }

    /// Ends it by `signal`, which must end it; gives what it wrote on stdout.
    fn end(mut self, signal: Signal) -> String {
        self.signal(signal);
        let status = self.child.wait().unwrap();
        assert_eq!(status.signal(), Some(signal.as_raw()), "{status}");
        let mut stdout = String::new();
        let mut pipe = self.child.stdout.take().unwrap();
        pipe.read_to_string(&mut stdout).unwrap();
        stdout
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The lines of a program's stderr, as they come.
fn lines(stderr: ChildStderr) -> Receiver<String> {
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    lines
}

/// `swallow-gguf run -m MODEL --temp 0` with workers.
pub(crate) fn run(model: &Path, workers: &[&str]) -> Command {
    let mut command = swallow_gguf();
    command.args(["run", "-t", "1", "--temp", "0", "-c", "30000", "-m"]);
    command.arg(model).env("NO_COLOR", "1");
    if !workers.is_empty() {
        command.args(["--rpc", &workers.join(",")]);
    }
    command.stdin(Stdio::null());
    command
}

/// Runs with an end: a program that hangs is ended, and fails the test.
fn output(command: &mut Command) -> Output {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let stderr = lines(child.stderr.take().unwrap());
    let mut stdout = child.stdout.take().unwrap();
    let reads = thread::spawn(move || {
        let mut bytes = Vec::new();
        stdout.read_to_end(&mut bytes).unwrap();
        bytes
    });
    let status = wait(&mut child);
    let stderr: Vec<String> = stderr.iter().collect();
    Output {
        status,
        stdout: reads.join().unwrap(),
        stderr: stderr.join("\n").into_bytes(),
    }
}

/// Waits for a program, which must end by itself.
fn wait(child: &mut Child) -> std::process::ExitStatus {
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if began.elapsed() > PATIENCE {
            let _ = child.kill();
            let _ = child.wait();
            panic!("it hangs");
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// The one error of a program that must fail.
fn error(command: &mut Command) -> String {
    let output = output(command);
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    let line = stderr.lines().last().unwrap_or_default();
    let error = line.strip_prefix("error: ");
    error.unwrap_or_else(|| panic!("{stderr}")).to_owned()
}
