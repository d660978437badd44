//! Workers that are lost, or taken.

use std::io::Read as _;
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal};

use super::{Worker, error, lines, output, run, wait};
use crate::run::talkative;
use crate::support::text;

/// An answer that goes on for ever, and has begun.
fn begin(model: &std::path::Path, workers: &[&str]) -> Child {
    let mut child = run(model, workers)
        .args(["--gpu-layers", "all", "--tensor-split", "1,1"])
        .args(["--no-loop-stop", "-p", "a", "--chat-template", "chatml"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let begun = child.stdout.as_mut().unwrap().read(&mut [0]).unwrap();
    assert_eq!(
        begun,
        1,
        "{:?}",
        lines(child.stderr.take().unwrap())
            .iter()
            .collect::<Vec<_>>()
    );
    // Its further text is read, so that it does not wait for that.
    let mut stdout = child.stdout.take().unwrap();
    std::thread::spawn(move || std::io::copy(&mut stdout, &mut std::io::sink()));
    child
}

/// The answer ends with an error that names the worker.
fn told(mut child: Child) -> String {
    let stderr = lines(child.stderr.take().unwrap());
    let status = wait(&mut child);
    let stderr: Vec<String> = stderr.iter().collect();
    assert_eq!(status.code(), Some(1), "{status}: {stderr:?}");
    stderr.last().cloned().unwrap_or_default()
}

#[test]
fn a_worker_that_is_killed_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let model = talkative(dir.path());
    let (one, two) = (Worker::start(&[]), Worker::start(&[]));
    let child = begin(&model, &[&one.address, &two.address]);
    two.signal(Signal::KILL);
    let error = told(child);
    let expected = format!(
        "error: the worker {} is gone: nothing listens there",
        two.address
    );
    assert!(error.starts_with(&expected), "{error}");

    // The other one is ready for the next.
    let next = output(run(&model, &[&one.address]).args(["-n", "2", "--raw", "-p", "a"]));
    assert!(next.status.success(), "{}", text(&next.stderr));
}

#[test]
fn a_worker_that_hangs_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let model = talkative(dir.path());
    let (one, two) = (Worker::start(&[]), Worker::start(&[]));
    let child = begin(&model, &[&one.address, &two.address]);
    // Until the first question for its health is answered.
    std::thread::sleep(std::time::Duration::from_secs(1));
    one.signal(Signal::STOP);
    let error = told(child);
    let expected = format!(
        "error: the worker {} is gone: it has not answered",
        one.address
    );
    assert!(error.starts_with(&expected), "{error}");
}

#[test]
fn a_worker_has_one_client() {
    let dir = tempfile::tempdir().unwrap();
    let model = talkative(dir.path());
    let (one, two) = (Worker::start(&[]), Worker::start(&[]));
    let mut first = begin(&model, &[&one.address, &two.address]);
    let second = error(run(&model, &[&one.address]).args(["--raw", "-p", "a"]));
    let expected = format!("the worker {} works for another program", one.address);
    assert!(second.starts_with(&expected), "{second}");
    rustix::process::kill_process(Pid::from_child(&first), Signal::KILL).unwrap();
    wait(&mut first);
    one.wait_for("its memory is free again");
    let third = output(run(&model, &[&one.address]).args(["-n", "2", "--raw", "-p", "a"]));
    assert!(third.status.success(), "{}", text(&third.stderr));
}
