//! The commands of the chat, and messages of several lines.

use std::fs;

use super::room::{ASKS, QUOTES, Room, questions, quit};
use super::terminal::Running;

/// A chat template that asks the model, but for the question `show`: that one is answered at once by an
/// error that quotes all that was said.
const SHOWS: &str = "\
{%- if messages[-1].content == 'show' -%}
  {{- raise_exception('<' + messages | map(attribute='content') | join('|') + '>') -}}
{%- endif -%}
{{- messages | map(attribute='content') | join(' ') -}}";

/// Types a line, and waits for what comes of it.
fn enter(chat: &mut Running, line: &str, expected: &str) {
    let before = chat.terminal.shown().matches(expected).count();
    chat.terminal.type_in(format!("{line}\r"));
    chat.terminal.wait_for_times(before + 1, expected);
}

/// Asks, and waits for the end of an answer of as many tokens as are allowed.
fn ask(chat: &mut Running, line: &str) {
    enter(
        chat,
        line,
        "stopped at the most tokens that `-n` allows\r\n\r\n",
    );
}

/// `/edit`s a question, which stands in the line then.
fn edit(chat: &mut Running, question: &str) {
    enter(chat, "/edit", &format!("\r\x1b[K> {question}\r"));
}

/// What was said so far.
fn said(chat: &mut Running) -> Vec<String> {
    enter(chat, "show", "|show>");
    let shown = chat.terminal.shown();
    let said = questions(&shown).pop().unwrap();
    let said = said.strip_suffix("|show").unwrap();
    said.split('|').map(str::to_owned).collect()
}

#[test]
fn what_was_said_can_be_taken_back_and_changed() {
    let room = Room::new();
    let mut chat = room.chat_with(SHOWS, |command| {
        command.args(["-n", "2"]);
    });
    enter(&mut chat, "/undo", "nothing was asked yet");
    enter(&mut chat, "/retry", "nothing was asked yet\r\n");
    ask(&mut chat, "one");
    ask(&mut chat, "two");
    let first = said(&mut chat);
    assert_eq!(
        (first[0].as_str(), first[2].as_str(), first.len()),
        ("one", "two", 4)
    );
    // Without an editor the question stands in the line, to be changed.
    edit(&mut chat, "two");
    ask(&mut chat, "\x01日本 \x05!");
    let edited = said(&mut chat);
    assert_eq!(edited[..3], [&first[0], &first[1], "日本 two!"]);
    // Left, emptied, or as it was: nothing is asked.
    edit(&mut chat, "日本 two!");
    chat.terminal.type_in("\x03");
    enter(
        &mut chat,
        "/edit\r\x15",
        "the question is empty, so nothing is asked",
    );
    enter(
        &mut chat,
        "/edit\r",
        "the question is the same; `/regen` answers it anew",
    );
    assert_eq!(said(&mut chat), edited);
    ask(&mut chat, "/regen");
    ask(&mut chat, "/retry 7");
    let shown = chat.terminal.shown();
    assert!(shown.contains("/retry 7\r\nseed 7\r\nat temperature 0 every seed gives the same"));
    // At temperature 0 it is the same answer.
    assert_eq!(said(&mut chat), edited);
    enter(&mut chat, "/system 短く", "the system message holds");
    enter(&mut chat, "/undo", "taken back: 日本 two!");
    assert_eq!(said(&mut chat), ["短く", &first[0], &first[1]]);
    enter(&mut chat, "/undo", "taken back: one");
    enter(&mut chat, "/undo now", "`/undo` takes nothing behind it");
    enter(&mut chat, "/edti", "is `/edit` meant?");
    quit(chat);
}

#[test]
fn the_question_is_changed_in_the_users_editor() {
    let room = Room::new();
    let editor = room.path().join("my editor.sh");
    let script = "#!/bin/sh\nstty -a >\"$2.modes\"\ncp \"$3\" \"$2.before\"\n\
                  printf 'line 1\\n三行目\\n\\n' >\"$3\"\nexit \"$1\"\n";
    fs::write(&editor, script).unwrap();
    let log = room.path().join("log");
    let command = |code: &str| format!("sh '{}' {code} '{}'", editor.display(), log.display());

    let mut chat = room.chat_with(QUOTES, |chat| {
        chat.env("EDITOR", command("0")).env("VISUAL", " ");
    });
    enter(&mut chat, "/edit", "line 1/三行目>");
    // It had a terminal like any other.
    let modes = fs::read_to_string(log.with_extension("modes")).unwrap();
    for mode in [" icanon", " echo ", "isig ", "-noflsh"] {
        assert!(modes.contains(mode), "{mode}: {modes}");
    }
    assert_eq!(
        fs::read_to_string(log.with_extension("before")).unwrap(),
        "\n"
    );
    enter(&mut chat, "next", "next>");
    quit(chat);

    let mut chat = room.chat_with(QUOTES, |chat| {
        chat.env("EDITOR", "true").env("VISUAL", command("3"));
    });
    enter(
        &mut chat,
        "/edit",
        "ended with exit status: 3, so nothing is asked",
    );
    assert_eq!(
        questions(&quit(chat).replace("error: the editor", "")),
        [""; 0]
    );

    let mut chat = room.chat_with(QUOTES, |chat| {
        chat.env("EDITOR", "no-such-editor -w");
    });
    enter(
        &mut chat,
        "/edit",
        "error: the editor `no-such-editor -w` of $EDITOR cannot be started: ",
    );
    quit(chat);
}

#[test]
fn options_are_set_and_shown() {
    let room = Room::new();
    let mut chat = room.chat(ASKS);
    enter(&mut chat, "/set n_predict 2", "n-predict 2\r\n");
    ask(&mut chat, "tell");
    enter(
        &mut chat,
        "/set temp 101",
        "`temp 101`: expected a number from 0 to 100",
    );
    enter(
        &mut chat,
        "/set tmep 1",
        "there is no option `tmep`; is `temp` meant?",
    );
    enter(&mut chat, "/set temp", "temp 0 (");
    enter(&mut chat, "/set top-k=7", "top-k 7\r\n");
    enter(&mut chat, "/set", "loop-stop          off");
    let shown = chat.terminal.shown();
    assert!(shown.contains("top-k              7  "), "{shown}");
    enter(&mut chat, "/stats", "last answer  2 tokens, ");
    let shown = chat.terminal.shown();
    let context = shown.rsplit("context      ").next().unwrap();
    let numbers: Vec<usize> = context
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|number| number.parse().ok())
        .take(3)
        .collect();
    // The last token of an answer is not evaluated.
    assert!(numbers[0] > 1 && numbers[1] == 60000, "{context}");
    assert_eq!(numbers[0] + numbers[2], numbers[1]);
    quit(chat);
}

#[test]
fn files_are_read_into_the_next_question() {
    let room = Room::new();
    fs::write(room.path().join("お茶 メモ.txt"), "緑\n").unwrap();
    fs::write(room.path().join("b.txt"), "b").unwrap();
    fs::write(room.path().join("c.bin"), b"a\0").unwrap();
    let mut chat = room.chat(QUOTES);
    enter(&mut chat, "/read", "no file waits for the next question");
    // Tab completes, and escapes the space.
    enter(&mut chat, "/read お\t", "`お茶 メモ.txt` goes into");
    enter(
        &mut chat,
        "/read ~/b.txt",
        "/b.txt` goes into the next question: ",
    );
    enter(
        &mut chat,
        "/read c.bin",
        "error: `c.bin`: it is not text, expected a text file",
    );
    enter(
        &mut chat,
        "/read d.txt",
        "error: `d.txt`: there is no such file; is `b.txt` meant?",
    );
    enter(&mut chat, "/read", "`b.txt` waits for the next question: ");
    // The template's error takes the question back, and the files wait again.
    for question in ["what?", "and?"] {
        enter(&mut chat, question, &format!("{question}>"));
    }
    enter(&mut chat, "/clear", "forgotten");
    enter(&mut chat, "plain", "<plain>");
    let files = "`お茶 メモ.txt`://```/緑/```//`b.txt`://```/b/```//";
    let shown = quit(chat);
    let (_, asked) = shown.split_once("`b.txt` waits").unwrap();
    assert_eq!(
        questions(asked),
        [&format!("{files}what?"), &format!("{files}and?"), "plain"]
    );
}

#[test]
fn the_chat_is_written_as_markdown() {
    let room = Room::new();
    let mut chat = room.chat_with(ASKS, |command| {
        command.args(["-n", "2"]);
    });
    enter(&mut chat, "/export a.md", "nothing was said yet");
    enter(&mut chat, "/export", "needs the name of a new file");
    ask(&mut chat, "お元気?");
    enter(&mut chat, "/export 会話 1.md", "the chat is in `会話 1.md`");
    enter(&mut chat, "/undo", "taken back: お元気?");
    ask(&mut chat, "tell");
    enter(
        &mut chat,
        "/export 会話 1.md",
        "error: `会話 1.md` is there already; give the name of a new file",
    );
    enter(
        &mut chat,
        "/export no/such/folder.md",
        "error: `no/such/folder.md` cannot be written: ",
    );
    quit(chat);
    let written = fs::read_to_string(room.path().join("会話 1.md")).unwrap();
    let answer = written.strip_prefix("## User\n\nお元気?\n\n## Assistant\n\nw");
    assert!(
        answer.is_some_and(|answer| answer.ends_with('\n')),
        "{written}"
    );
}

#[test]
fn a_message_may_have_several_lines() {
    let room = Room::new();
    let mut chat = room.chat(QUOTES);
    enter(
        &mut chat,
        "\"\"\"\rone\r\r/quit\r三\r\"\"\"",
        "<one///quit/三>",
    );
    enter(&mut chat, "a \\\rb\\\rc", "<a /b/c>");
    let shown = chat.terminal.shown();
    assert!(
        shown.contains("\r\x1b[K. "),
        "the further lines have a prompt of their own"
    );
    // Ctrl-C leaves the message, also in a line with text, and what comes after it stays. It is a key
    // where a line is read.
    enter(&mut chat, "\"\"\"\rlost", "lost\r\n");
    chat.terminal.wait_for_times(9, "K. \r");
    chat.terminal.type_in("lost too\x03next\r");
    chat.terminal.wait_for("<next>");
    chat.terminal.type_in("lost \\\r");
    chat.terminal.wait_for_times(10, "K. \r");
    chat.terminal.type_in("\x03");
    enter(&mut chat, "last", "<last>");
    // A message of another chat is one entry of the history, in which the key goes up line by line.
    quit(chat);
    let mut chat = room.chat(QUOTES);
    let up = "\x1b[A";
    enter(&mut chat, &up.repeat(4), "<a /b/c>");
    enter(&mut chat, &up.repeat(10), "<one///quit/三>");
    let shown = quit(chat);
    assert_eq!(questions(&shown), ["a /b/c", "one///quit/三"]);
}
