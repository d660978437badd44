//! A chat on a worker that is lost.

use rustix::process::Signal;

use super::talkative;
use super::terminal::{Terminal, is_ordinary};
use crate::rpc::{Worker, run};

#[test]
fn a_lost_worker_leaves_the_terminal_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let template = dir.path().join("template.jinja");
    std::fs::write(&template, "{{ messages[-1].content }}").unwrap();
    let worker = Worker::start(&[]);
    let mut command = run(&talkative(dir.path()), &[&worker.address]);
    command
        .args(["--no-loop-stop", "--chat-template"])
        .arg(&template)
        .env("XDG_STATE_HOME", dir.path());
    let mut chat = Terminal::new().run(&mut command);
    chat.terminal.wait_for("\r\x1b[K> ");
    chat.terminal.type_in("go\r");
    chat.terminal.wait_for("go\r\nw");
    worker.signal(Signal::KILL);
    assert_eq!(chat.end().code(), Some(1));
    let error = format!(
        "\r\nerror: the worker {} is gone: nothing listens there",
        worker.address
    );
    chat.terminal.wait_for(&error);
    assert!(is_ordinary(&chat.terminal.modes()));
}
