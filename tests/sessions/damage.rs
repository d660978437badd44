//! Files of chats that are not as they were written.

use std::fs;

use super::{Home, said};

/// A chat of three turns.
fn chat(home: &Home) -> Vec<String> {
    for question in ["first", "二番目", "third"] {
        home.answer(&["--session", "c", "-p", question]);
    }
    let lines = fs::read_to_string(home.file("c.jsonl")).unwrap();
    lines.lines().map(str::to_owned).collect()
}

#[test]
fn a_damaged_line_is_told_and_the_others_are_taken_up() {
    let home = Home::new();
    let mut lines = chat(&home);
    let whole = lines.clone();
    lines[3].replace_range(10.., "\u{0}\u{0}\u{0}");
    let damaged = lines.join("\n") + "\n";
    fs::write(home.file("c.jsonl"), &damaged).unwrap();

    let (shown, stderr) = home.sessions(&["show", "c"]);
    assert!(
        stderr.contains("line 4 of `") && stderr.contains("is left out"),
        "{stderr}"
    );
    assert!(
        shown.contains("> first\n") && shown.contains("> third\n"),
        "{shown}"
    );
    assert!(!shown.contains("二番目"), "{shown}");
    let (_, stderr) = home.sessions(&[]);
    assert!(stderr.contains("`c`: 1 line is damaged"), "{stderr}");
    // Looking at it changes nothing.
    assert_eq!(fs::read_to_string(home.file("c.jsonl")).unwrap(), damaged);

    let (_, stderr) = home.answer(&["--session", "c", "-p", "fourth"]);
    assert!(stderr.contains("line 4 of `"), "{stderr}");
    assert!(
        stderr.contains("what the file was before is in `"),
        "{stderr}"
    );
    let questions: Vec<String> = said(&home.file("c.jsonl"))
        .into_iter()
        .filter(|(role, _)| role == "user")
        .map(|(_, content)| content)
        .collect();
    assert_eq!(questions, ["first", "third", "fourth"]);
    // What was there is there.
    assert_eq!(
        fs::read_to_string(home.file("c.jsonl.damaged")).unwrap(),
        damaged
    );
    let (_, stderr) = home.answer(&["--session", "c", "-p", "fifth"]);
    assert_eq!(stderr, "", "it is whole now");
    assert!(
        whole.len() == 7 && home.files().len() == 3,
        "{:?}",
        home.files()
    );
    home.sessions(&["rm", "c"]);
    assert_eq!(home.files(), [""; 0]);
}

#[test]
fn a_cut_file_is_taken_up_as_far_as_it_goes() {
    let home = Home::new();
    let whole = chat(&home).join("\n") + "\n";
    // Within the last answer, within the question before it, at the end of a line, in the first line.
    let in_answer = whole.len() - 20;
    let in_question = whole.find("third").unwrap() + 2;
    let at_line_end = whole.rfind("{\"role\":\"user\"").unwrap();
    for (end, turns, is_cut) in [
        (in_answer, 3, true),
        (in_question, 2, true),
        (at_line_end, 2, false),
        (30, 0, true),
        (0, 0, false),
    ] {
        fs::write(home.file("c.jsonl"), &whole[..end]).unwrap();
        let (shown, stderr) = home.sessions(&["show", "c"]);
        assert_eq!(shown.matches("> ").count(), turns, "{end}: {shown}");
        assert_eq!(
            stderr.contains("is left out: it is cut"),
            is_cut,
            "{end}: {stderr}"
        );
        let (_, stderr) = home.answer(&["--session", "c", "-p", "next"]);
        assert_eq!(stderr.contains("it is cut"), is_cut, "{end}: {stderr}");
        // A question without an answer gives way to the next.
        let kept = turns.min(2);
        assert_eq!(said(&home.file("c.jsonl")).len(), 2 * kept + 2, "{end}");
    }
}

#[test]
fn lines_by_hand_are_a_chat() {
    let home = Home::new();
    home.answer(&["--session", "x", "-p", "x"]);
    let text = "{\"role\":\"user\",\"content\":\"q\"}\n\n{\"role\":\"assistant\",\"content\":\"a\",\"mood\":1}";
    fs::write(home.file("mine.jsonl"), text).unwrap();
    let (shown, _) = home.sessions(&["show", "mine"]);
    assert_eq!(shown, "> q\na\n");
    home.answer(&["--session", "mine", "-p", "more"]);
    let expected = ["q", "a", "more"];
    let said = said(&home.file("mine.jsonl"));
    assert!(
        said.iter()
            .map(|(_, content)| content)
            .zip(expected)
            .all(|(a, b)| a == b),
        "{said:?}"
    );
}

#[test]
fn a_chat_of_a_newer_version_is_left_alone() {
    let home = Home::new();
    home.answer(&["--session", "c", "-p", "q"]);
    let newer = "{\"session\":2,\"what\":\"ever\"}\n";
    fs::write(home.file("c.jsonl"), newer).unwrap();
    let error = home.refused(&["--session", "c", "-p", "q"]);
    assert!(
        error.contains("is a chat of version 2, expected at most 1"),
        "{error}"
    );
    let (_, stderr) = home.sessions(&[]);
    assert!(stderr.contains("version 2"), "{stderr}");
    assert_eq!(fs::read_to_string(home.file("c.jsonl")).unwrap(), newer);
}
