//! `swallow-gguf sessions`, and the options of `run` that name a chat.

use std::fs;

use super::{Home, failed, said};

#[test]
fn chats_are_listed_shown_exported_and_removed() {
    let home = Home::new();
    let (none, stderr) = home.sessions(&[]);
    assert_eq!(none, "");
    assert!(stderr.contains("no chat is kept yet"), "{stderr}");
    assert_eq!(home.sessions(&["--json"]).0, "[]\n");

    home.answer(&["--session", "旅行", "--system", "短く", "-p", "京都?"]);
    home.answer(&["--session", "work", "-p", "a"]);
    let (answer, _) = home.answer(&["--session", "work", "-p", "b\nc"]);
    let (list, _) = home.sessions(&[]);
    let lines: Vec<Vec<&str>> = list
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(lines[0], ["NAME", "TURNS", "MODEL", "LAST", "USED", "SIZE"]);
    // The one used last is the first.
    assert_eq!(lines[1][..2], ["work", "2"], "{list}");
    assert_eq!(lines[2][..2], ["旅行", "1"], "{list}");
    assert_eq!(home.sessions(&["list"]).0, list);
    let json: serde_json::Value = serde_json::from_str(&home.sessions(&["--json"]).0).unwrap();
    assert_eq!(json[0]["name"], "work");
    assert_eq!(json[1]["turns"], 1);
    assert!(json[0]["state_bytes"].as_u64().unwrap() > 0);

    let (shown, _) = home.sessions(&["show", "work"]);
    assert!(shown.starts_with("> a\n"), "{shown}");
    assert!(shown.ends_with(&format!("> b\n> c\n{answer}")), "{shown}");
    let (markdown, _) = home.sessions(&["export", "旅行"]);
    assert!(
        markdown.contains("京都?") && markdown.contains("短く"),
        "{markdown}"
    );

    let out = home.dir.path().join("chat.md");
    let export = |more: &[&str]| {
        let args = [
            &["sessions", "export", "旅行", "-o", out.to_str().unwrap()],
            more,
        ]
        .concat();
        home.command(&args).output().unwrap()
    };
    assert!(export(&[]).status.success());
    assert_eq!(fs::read_to_string(&out).unwrap(), markdown);
    fs::write(&out, "mine").unwrap();
    let error = failed(&export(&[]));
    assert!(
        error.ends_with("is there already; `--force` replaces it"),
        "{error}"
    );
    assert_eq!(fs::read_to_string(&out).unwrap(), "mine");
    assert!(export(&["--force"]).status.success());
    assert_eq!(fs::read_to_string(&out).unwrap(), markdown);

    // One name that is none, and nothing is removed.
    let error = failed(
        &home
            .command(&["sessions", "rm", "work", "旅"])
            .output()
            .unwrap(),
    );
    assert!(error.starts_with("there is no chat `旅`"), "{error}");
    let error = failed(
        &home
            .command(&["sessions", "show", "wrok"])
            .output()
            .unwrap(),
    );
    assert_eq!(error, "there is no chat `wrok`; did you mean `work`?");
    assert_eq!(home.files().len(), 4);
    home.sessions(&["rm", "work", "旅行", "work"]);
    assert_eq!(home.files(), [""; 0]);
}

#[test]
fn one_answer_is_kept_only_where_that_is_asked_for() {
    let home = Home::new();
    home.answer(&["-p", "a"]);
    assert_eq!(home.files(), [""; 0]);
    assert!(!home.folder().exists());
    let error = home.refused(&["--continue", "-p", "a"]);
    assert!(error.starts_with("there is no chat with `"), "{error}");

    // A question that cannot be answered is not kept either.
    let long = "word ".repeat(300);
    home.refused(&["--session", "s", "-c", "256", "-p", &long]);
    assert_eq!(home.files(), [""; 0]);

    home.answer(&["--session", "s", "-p", "a"]);
    home.answer(&["--continue", "-p", "b"]);
    assert_eq!(said(&home.file("s.jsonl")).len(), 4);
    // A system message that is given is in place of the one before, from the first line on.
    home.answer(&["--session", "s", "--system", "S", "-p", "c"]);
    let said = said(&home.file("s.jsonl"));
    assert_eq!(
        (said.len(), said[0].0.as_str(), said[0].1.as_str()),
        (7, "system", "S")
    );
}

#[test]
fn names_that_are_none_are_refused_before_the_model_is_loaded() {
    let home = Home::new();
    for (name, reason) in [
        ("", "not empty"),
        ("a/b", "expected none of"),
        ("..", "another beginning"),
        ("nul", "a device on Windows"),
        (" a", "no blank"),
    ] {
        let error = home.refused(&["--session", name, "-p", "a"]);
        assert!(
            error.starts_with(&format!("a chat cannot be called `{name}`")),
            "{error}"
        );
        assert!(error.contains(reason), "{error}");
    }
    for args in [
        &["--session", "a", "--continue"],
        &["--session=a", "--no-session", "-pa"],
        &["--continue", "--raw", "-pa"],
    ] {
        let output = home.run(args).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}");
    }
    assert_eq!(home.files(), [""; 0]);
}

#[cfg(unix)]
#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let home = Home::new();
    fs::write(home.dir.path().join("swallow-gguf"), "a file").unwrap();
    let error = home.refused(&["--session", "a", "-p", "a"]);
    assert!(error.contains("/swallow-gguf/sessions`: "), "{error}");
}
