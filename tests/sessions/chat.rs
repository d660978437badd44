//! Chats in a terminal.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rustix::process::Signal;

use super::{Home, figures, said};
use crate::run::terminal::{Running, Terminal};

impl Home {
    /// A chat that is at its first prompt.
    fn chat(&self, args: &[&str]) -> Running {
        let chat = Terminal::new().run(&mut self.run(args));
        chat.terminal.wait_for("/help for help\r\n");
        chat.terminal.wait_for(EMPTY_PROMPT);
        chat
    }

    /// The name of the only chat.
    fn only_chat(&self) -> String {
        let files = self.files();
        let mut chats = files.iter().filter_map(|file| file.strip_suffix(".jsonl"));
        let chat = chats
            .next()
            .unwrap_or_else(|| panic!("{files:?}"))
            .to_owned();
        assert_eq!(chats.next(), None, "{files:?}");
        chat
    }
}

/// How the line editor draws a prompt at which nothing is typed.
const EMPTY_PROMPT: &str = "\r\x1b[K> \r\x1b[2C";

/// Types a line, and waits for the prompt after what it brings.
fn type_line(chat: &mut Running, line: &str) {
    let prompts = chat.terminal.shown().matches(EMPTY_PROMPT).count();
    chat.terminal.type_in(format!("{line}\r"));
    chat.terminal.wait_for_times(prompts + 1, EMPTY_PROMPT);
}

fn quit(mut chat: Running) -> String {
    chat.terminal.type_in("/quit\r");
    let status = chat.end();
    let shown = chat.terminal.shown();
    assert!(status.success(), "{shown}");
    shown
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_chat_is_kept_and_taken_up() {
    let home = Home::new();
    let mut chat = home.chat(&[]);
    assert_eq!(home.files(), [""; 0], "nothing was said yet");
    type_line(&mut chat, "日本の首都は?");
    type_line(&mut chat, "second");
    quit(chat);
    let name = home.only_chat();
    assert!(name.starts_with("20") && name.len() >= 15, "{name}");
    let (text, state) = (format!("{name}.jsonl"), format!("{name}.state"));
    assert_eq!(home.files(), [text.as_str(), state.as_str()]);
    assert_eq!(
        (mode(&home.file(&text)), mode(&home.file(&state))),
        (0o600, 0o600)
    );
    assert_eq!(mode(&home.folder()), 0o700);
    let before = said(&home.file(&text));
    let roles: Vec<&str> = before.iter().map(|(role, _)| role.as_str()).collect();
    assert_eq!(roles, ["user", "assistant", "user", "assistant"]);
    assert_eq!(before[0].1, "日本の首都は?");

    let mut chat = home.chat(&["--continue", "--stats"]);
    let shown = chat.terminal.shown();
    assert!(
        shown.contains(&format!("`{name}` is taken up: 2 turns, the last of 20")),
        "{shown:?}"
    );
    assert!(
        shown.contains(&format!("> second\r\n{}", before[3].1.trim())),
        "{shown:?}"
    );
    type_line(&mut chat, "third");
    let shown = quit(chat);
    let (_, held) = figures(&shown.replace('\r', ""));
    assert!(held > 30, "{shown}");
    let after = said(&home.file(&text));
    assert_eq!((&after[..4], after.len()), (&before[..], 6));
    assert_eq!(home.only_chat(), name);
}

#[test]
fn a_chat_that_is_killed_loses_at_most_the_answer_under_way() {
    let home = Home::new();
    let mut chat = home.chat(&["--session", "killed", "-n", "-1", "-c", "60000"]);
    chat.terminal.type_in("first\r");
    chat.terminal.wait_for("first\r\nw");
    chat.terminal.type_in("\x03");
    chat.terminal.wait_for("stopped; Ctrl-C once more leaves");
    chat.terminal.wait_for_times(2, EMPTY_PROMPT);
    let path = home.file("killed.jsonl");
    let first = said(&path);
    assert_eq!(first.len(), 2);
    chat.terminal.type_in("二番目\r");
    chat.terminal.wait_for("二番目\r\nw");
    chat.signal(Signal::KILL);
    chat.end();
    let found = said(&path);
    assert_eq!(found[..2], first[..]);
    assert_eq!(found[2..], [("user".to_owned(), "二番目".to_owned())]);

    // Nobody holds it any more, and the question can be answered now.
    let mut chat = home.chat(&["--session", "killed"]);
    let shown = chat.terminal.shown();
    assert!(
        shown.contains("it has no answer yet; /regen answers it"),
        "{shown:?}"
    );
    type_line(&mut chat, "/regen");
    quit(chat);
    let found = said(&path);
    assert_eq!((found.len(), found[3].0.as_str()), (4, "assistant"));
    assert_eq!(found[..2], first[..]);
}

#[test]
fn a_terminal_that_goes_away_leaves_the_text() {
    let home = Home::new();
    let mut chat = home.chat(&["--session", "c"]);
    type_line(&mut chat, "first");
    chat.signal(Signal::HUP);
    chat.end();
    assert_eq!(said(&home.file("c.jsonl")).len(), 2);
    let (_, stderr) = home.answer(&["--session", "c", "-p", "x"]);
    assert_eq!(stderr, "");
}

#[test]
fn nothing_is_left_where_nothing_is_to_be_kept() {
    let home = Home::new();
    let mut chat = home.chat(&["--no-session"]);
    type_line(&mut chat, "first");
    type_line(&mut chat, "/save x");
    let shown = quit(chat);
    assert!(shown.contains("this chat is not kept"), "{shown}");
    assert!(!home.folder().exists());
    // Nor where nothing was said, or nothing could be answered.
    quit(home.chat(&["--session", "x"]));
    assert_eq!(home.files(), [""; 0]);
    fs::write(&home.template, "{{ raise_exception('no') }}").unwrap();
    let mut chat = home.chat(&[]);
    type_line(&mut chat, "first");
    quit(chat);
    assert_eq!(home.files(), [""; 0]);
}

#[test]
fn one_chat_in_two_windows_is_refused() {
    let home = Home::new();
    let mut chat = home.chat(&["--session", "c"]);
    type_line(&mut chat, "first");
    let error = home.refused(&["--session", "c", "-p", "x"]);
    assert_eq!(
        error,
        "the chat `c` is open in another window; end it there first"
    );
    let error = home.command(&["sessions", "rm", "c"]).output().unwrap();
    assert!(super::failed(&error).contains("is open in another window"));
    // It can be looked at.
    assert!(home.sessions(&["show", "c"]).0.starts_with("> first\n"));
    quit(chat);
    home.sessions(&["rm", "c"]);
    assert_eq!(home.files(), [""; 0]);
}

#[test]
fn chats_are_saved_loaded_listed_and_begun_anew() {
    let home = Home::new();
    let mut chat = home.chat(&["--stats"]);
    type_line(&mut chat, "one");
    type_line(&mut chat, "/save 旅行");
    assert_eq!(home.only_chat(), "旅行");
    type_line(&mut chat, "two");
    // What was said so far stays, and what follows is another chat.
    type_line(&mut chat, "/clear");
    type_line(&mut chat, "three");
    let said_in = |name: &str| said(&home.file(&format!("{name}.jsonl")));
    assert_eq!(said_in("旅行").len(), 4);
    type_line(&mut chat, "/save 旅行");
    assert!(
        chat.terminal
            .shown()
            .contains("there is a chat `旅行` already")
    );
    type_line(&mut chat, "/save b");
    // Of a chat that has a name, a copy stays.
    type_line(&mut chat, "/save c");
    type_line(&mut chat, "four");
    assert_eq!((said_in("b").len(), said_in("c").len()), (2, 4));
    type_line(&mut chat, "/sessions");
    let shown = chat.terminal.shown();
    let list = shown.rsplit_once("NAME").unwrap().1;
    assert!(
        ["旅行", "b", "c"].iter().all(|name| list.contains(name)),
        "{list}"
    );

    type_line(&mut chat, "/load 旅");
    type_line(&mut chat, "/load");
    type_line(&mut chat, "/load 旅行");
    let shown = chat.terminal.shown();
    assert!(shown.contains("there is no chat `旅`"), "{shown}");
    assert!(shown.contains("`旅行` is taken up: 2 turns"), "{shown}");
    let loaded = shown.rsplit_once("`旅行` is taken up").unwrap().0;
    assert!(
        loaded.ends_with(" s\r\n") && loaded.contains(" loaded in "),
        "{loaded}"
    );
    type_line(&mut chat, "five");
    quit(chat);
    let questions: Vec<String> = said_in("旅行")
        .into_iter()
        .step_by(2)
        .map(|(_, content)| content)
        .collect();
    assert_eq!(questions, ["one", "two", "five"]);
    assert_eq!(said_in("c").len(), 4);
}

#[test]
fn a_system_message_is_kept_with_the_chat() {
    let home = Home::new();
    let mut chat = home.chat(&["--session", "c", "--system", "old"]);
    type_line(&mut chat, "first");
    type_line(&mut chat, "/system new");
    quit(chat);
    let found = said(&home.file("c.jsonl"));
    assert_eq!(found[0], ("system".to_owned(), "new".to_owned()));
    assert_eq!(found.len(), 3);
}
