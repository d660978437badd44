//! What is typed into the chat, and when.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;

use rustix::process::Signal;
use rustix::termios::{LocalModes, Termios};

use super::room::{ASKS, QUOTES, Room, questions, quit};
use super::terminal::{Terminal, is_ordinary};

#[test]
fn lines_that_come_at_once_are_all_there() {
    let room = Room::new();
    let mut chat = room.chat(QUOTES);
    chat.terminal.type_in("one\rtwo\r三つ目は日本語\rfo");
    chat.terminal.wait_for("三つ目は日本語>");
    // The beginning of the fourth is there to be gone on with, and corrected.
    chat.terminal.type_in("x\x7fur\r");
    chat.terminal.wait_for("four>");
    // More than a terminal's queue, and than the editor reads at a time. Paths of a kanji are cut
    // at every place by these.
    let many: Vec<String> = (0..700).map(|i| format!("{i} 言葉")).collect();
    chat.terminal.type_in(
        many.iter()
            .map(|line| format!("{line}\r"))
            .collect::<String>(),
    );
    chat.terminal.wait_for("699 言葉>");
    let shown = quit(chat);
    let mut expected = vec!["one", "two", "三つ目は日本語", "four"];
    expected.extend(many.iter().map(String::as_str));
    assert_eq!(questions(&shown), expected);
}

#[test]
fn ctrl_c_between_lines_that_come_at_once_takes_nothing_with_it() {
    let room = Room::new();
    let mut chat = room.chat(QUOTES);
    chat.terminal.type_in("one\r\x03two\rthr\x03three\r");
    chat.terminal.wait_for("three>");
    assert_eq!(questions(&quit(chat)), ["one", "two", "three"]);
}

#[test]
fn a_marked_paste_is_one_message() {
    let room = Room::new();
    let mut chat = room.chat(QUOTES);
    let paste = "\x1b[200~first line\rsecond line\r三行目\x1b[201~";
    chat.terminal.type_in(format!("{paste}\rnext\r"));
    chat.terminal.wait_for("next>");
    assert_eq!(
        questions(&quit(chat)),
        ["first line/second line/三行目", "next"]
    );
}

#[test]
fn what_is_typed_while_the_model_loads_is_there_at_the_first_prompt() {
    let room = Room::new();
    let (mut chat, template) = room.loading();
    // Pastes are marked from here on.
    chat.terminal.wait_for("\x1b[?2004h");
    chat.terminal
        .type_in("early\r早い\r\x1b[200~a\rb\x1b[201~\runfini");
    fs::write(&template, QUOTES).unwrap();
    chat.terminal.wait_for("a/b>");
    let before = chat.terminal.shown();
    let (loading, chatting) = before.split_once("/help for help").unwrap();
    assert!(!loading.contains("early"), "shown: {loading:?}");
    assert!(chatting.contains("early\r\nerror: "), "{chatting:?}");
    chat.terminal.type_in("shed\r");
    chat.terminal.wait_for("unfinished>");
    assert_eq!(
        questions(&quit(chat)),
        ["early", "早い", "a/b", "unfinished"]
    );
}

#[test]
fn what_is_typed_before_the_program_is_there_too() {
    let room = Room::new();
    let template = room.template(QUOTES);
    let mut terminal = Terminal::new();
    terminal.type_in("one\rtwo\r");
    // The terminal has shown it, so it is in its queue.
    terminal.wait_for("two");
    let chat = terminal.run(&mut room.command(&template));
    chat.terminal.wait_for("two>");
    assert_eq!(questions(&quit(chat)), ["one", "two"]);
}

#[test]
fn what_is_typed_during_an_answer_waits_for_its_end() {
    let room = Room::new();
    let mut chat = room.chat(ASKS);
    chat.terminal.type_in("tell\r");
    chat.terminal.wait_for("tell\r\nw");
    chat.terminal.type_in("/mine\r/yours\r日本語");
    // Ctrl-C stops the answer, and what was typed before it stays.
    chat.terminal.type_in("\x03");
    chat.terminal.wait_for("there is no `/mine`");
    chat.terminal.wait_for("日本語");
    let before = chat.terminal.shown();
    chat.terminal.type_in("\x15");
    let shown = quit(chat);
    assert!(shown.contains("there is no `/yours`"), "{shown:?}");
    let answer = before.split_once("tell\r\n").map(|(_, after)| after);
    let answer = answer.and_then(|after| after.split_once("stopped; Ctrl-C once more leaves"));
    let (answer, after) = answer.unwrap_or_else(|| panic!("{before:?}"));
    let words = answer.trim_start_matches(|c| c != 'w');
    assert!(
        words
            .chars()
            .all(|c| c == 'w' || c.is_ascii_digit() || c.is_whitespace()),
        "{words:?}"
    );
    let order = [
        "> ",
        "/mine\r\n",
        "there is no `/mine`",
        "/yours\r\n",
        "日本語",
    ];
    let mut rest = after;
    for expected in order {
        let found = rest.split_once(expected);
        rest = found
            .unwrap_or_else(|| panic!("{expected:?} in {after:?}"))
            .1;
    }
}

#[test]
fn ctrl_d_typed_ahead_ends_the_chat_at_its_prompt() {
    let room = Room::new();
    let (mut chat, template) = room.loading();
    chat.terminal.type_in("last\r\x04");
    fs::write(&template, QUOTES).unwrap();
    let status = chat.end();
    let shown = chat.terminal.shown();
    assert!(status.success(), "{shown:?}");
    assert_eq!(questions(&shown), ["last"]);
    assert!(is_ordinary(&chat.terminal.modes()));
    assert!(shown.ends_with("\x1b[?2004l"), "{shown:?}");
}

#[test]
fn ctrl_c_while_the_model_loads_leaves() {
    let room = Room::new();
    let (mut chat, _template) = room.loading();
    chat.terminal.type_in("rm -rf everything\r");
    chat.terminal.type_in("\x03");
    let status = chat.end();
    assert_eq!(status.code(), Some(130));
    assert!(is_ordinary(&chat.terminal.modes()));
    // What was written for the model is not there for the shell.
    assert_eq!(chat.terminal.waiting(), 0);
    assert!(!chat.terminal.shown().contains("everything"));
}

#[test]
fn a_second_ctrl_c_leaves_in_the_middle_of_an_answer() {
    let room = Room::new();
    let mut chat = room.chat(ASKS);
    chat.terminal.type_in("tell\r");
    chat.terminal.wait_for("tell\r\nw");
    chat.terminal.type_in("\x03");
    chat.terminal.wait_for("stopped; Ctrl-C once more leaves");
    chat.terminal.wait_for_times(2, "> ");
    chat.terminal.type_in("\x03");
    let status = chat.end();
    assert!(status.success(), "{}", chat.terminal.shown());
    assert!(is_ordinary(&chat.terminal.modes()));
}

#[test]
fn a_signal_puts_the_terminal_back() {
    let room = Room::new();
    for (signal, at_prompt) in [
        (Signal::TERM, true),
        (Signal::TERM, false),
        (Signal::HUP, false),
        (Signal::QUIT, false),
        (Signal::ABORT, false),
    ] {
        let mut chat = room.chat(ASKS);
        if !at_prompt {
            chat.terminal.type_in("tell\r");
            chat.terminal.wait_for("tell\r\nw");
        }
        chat.signal(signal);
        let status = chat.end();
        assert_eq!(status.signal(), Some(signal.as_raw()), "{status:?}");
        assert!(is_ordinary(&chat.terminal.modes()), "{signal:?}");
    }
}

#[test]
fn an_error_puts_the_terminal_back() {
    let room = Room::new();
    let (mut chat, template) = room.loading();
    fs::write(&template, "{% if %}").unwrap();
    let status = chat.end();
    assert_eq!(status.code(), Some(1));
    assert!(is_ordinary(&chat.terminal.modes()));
    assert!(
        chat.terminal.shown().contains("error: "),
        "{}",
        chat.terminal.shown()
    );
}

#[test]
fn bytes_that_are_no_characters_do_not_end_the_chat() {
    let room = Room::new();
    let mut chat = room.chat(QUOTES);
    chat.terminal.type_in(b"\xff");
    chat.terminal.wait_for("the line is not UTF-8");
    chat.terminal.type_in("next\r");
    chat.terminal.wait_for("next>");
    assert_eq!(questions(&quit(chat)), ["next"]);
}

/// Where the line editor does not edit, the terminal gathers lines, and shows them when they are
/// asked for.
#[test]
fn a_terminal_that_can_do_nothing() {
    let room = Room::new();
    let (mut chat, template) = room.loading_on("dumb");
    chat.terminal.type_in("early\r早い\r");
    fs::write(&template, QUOTES).unwrap();
    chat.terminal.wait_for("早い>");
    chat.wait_for_modes("shown", is_ordinary);
    chat.terminal.type_in("later\r");
    chat.terminal.wait_for("later>");
    chat.wait_for_modes("shown", is_ordinary);
    let shown = quit(chat);
    assert_eq!(questions(&shown), ["early", "早い", "later"]);
    assert!(shown.contains("> later\r\n"), "{shown:?}");
    assert!(!shown.contains('\x1b'), "{shown:?}");
}

/// In a shell that knows jobs: it stops, leaves the shell an ordinary terminal, and goes on.
#[test]
fn ctrl_z_at_the_prompt_and_in_an_answer() {
    let room = Room::new();
    let template = room.template(ASKS);
    let chat = room.command(&template);
    let script = "\"$@\"; echo stop-1; read go; fg; echo stop-2; read go; fg";
    let mut shell = Command::new("sh");
    shell
        .args(["-m", "-c", script, "sh"])
        .arg(chat.get_program())
        .args(chat.get_args())
        .env("XDG_STATE_HOME", room.path());
    let mut jobs = Terminal::new().run(&mut shell);
    jobs.terminal.wait_for("\r\x1b[K> ");
    let held = |modes: &Termios| !modes.local_modes.contains(LocalModes::ECHO);

    jobs.terminal.type_in("te\x1a");
    jobs.terminal.wait_for("stop-1");
    assert!(is_ordinary(&jobs.terminal.modes()));
    jobs.terminal.type_in("\r");
    // The line is shown again.
    jobs.terminal.wait_for("\r\x1b[K> te");
    jobs.wait_for_modes("held", held);
    jobs.terminal.type_in("ll\r");

    jobs.terminal.wait_for("ll\r\nw");
    jobs.terminal.type_in("rm -rf everything\r\x1a");
    jobs.terminal.wait_for("stop-2");
    assert!(is_ordinary(&jobs.terminal.modes()));
    // What was written for the model is not there for the shell.
    assert_eq!(jobs.terminal.waiting(), 0);
    jobs.terminal.type_in("\r");
    jobs.wait_for_modes("held", held);
    jobs.terminal.type_in("\x03");
    jobs.terminal.wait_for("stopped; Ctrl-C once more leaves");
    let shown = quit(jobs);
    assert!(!shown.contains("everything"));
}
