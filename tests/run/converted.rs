//! A chat with a checkpoint, which is converted first.

use super::terminal::{Terminal, is_ordinary};
use crate::store::interrupted::{home, wait_for_a_span};

#[test]
fn in_a_terminal_keys_wait_and_ctrl_c_ends_it() {
    let home = home();
    let chat = || {
        home.command(&[
            "run",
            "Large",
            "-t",
            "1",
            "-n",
            "1",
            "--type",
            "q8_0",
            "--chat-template",
            "chatml",
        ])
    };
    let mut running = Terminal::new().run(&mut chat());
    wait_for_a_span(&home);
    running.terminal.type_in("\x03");
    assert_eq!(
        running.end().code(),
        Some(130),
        "{}",
        running.terminal.shown()
    );
    let shown = running.terminal.shown();
    assert!(
        shown.contains("are kept, and the same command goes on"),
        "{shown}"
    );
    assert!(is_ordinary(&running.terminal.modes()));

    let mut running = Terminal::new().run(&mut chat());
    running
        .terminal
        .wait_for("going on where an earlier conversion was ended");
    running.terminal.type_in("/quit\r");
    assert_eq!(
        running.end().code(),
        Some(0),
        "{}",
        running.terminal.shown()
    );
    let shown = running.terminal.shown();
    assert!(shown.contains("/help for help"), "{shown}");
    assert_eq!(home.listed()[0]["finished"], true);
}
