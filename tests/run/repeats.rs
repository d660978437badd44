//! Answers that only repeat themselves.

#[cfg(unix)]
use super::{run, terminal::Terminal};
use super::{succeed, talkative};

const BEGIN: &str = "the answer only repeats itself (the same ";
const END: &str = " times), so it ends here; `--no-loop-stop` lets it go on";

#[test]
fn an_answer_that_only_repeats_itself_ends_with_a_note() {
    let dir = tempfile::tempdir().unwrap();
    let model = talkative(dir.path());
    let answer = |args: &[&str]| {
        let (stdout, stderr) = succeed(&model, &[&["--temp", "0", "-p", "tell"], args].concat());
        (stdout.split_whitespace().count(), stderr)
    };
    let chat = ["--chat-template", "chatml", "-c", "6000"];
    let trained = "the context is 6000 tokens, but the model was trained for 4096\n";
    let more = ["-n", "4500"];
    let ends: [&[&str]; 3] = [
        &chat,
        // As raw text, too, as long as nobody asks for a number of tokens.
        &["--raw", "-c", "6000"],
        &[&chat[..], &more].concat(),
    ];
    for args in ends {
        let (words, stderr) = answer(args);
        let note = stderr.strip_prefix(trained).unwrap();
        assert!(
            note.starts_with(BEGIN) && note.ends_with(&format!("{END}\n")),
            "{note}"
        );
        assert!((1024..4400).contains(&words), "{words}");
    }
    let goes_on: [&[&str]; 3] = [
        &["--no-loop-stop", "--chat-template", "chatml"],
        &["--no-loop-stop", "--raw"],
        &["--raw"],
    ];
    for args in goes_on {
        let (words, stderr) = answer(&[args, &more, &["-c", "6000"]].concat());
        assert_eq!((words, stderr.as_str()), (4500, trained), "{args:?}");
    }
}

/// A conversation remembers what was said once: with all of it the next answer would go on so.
#[cfg(unix)]
#[test]
fn what_was_repeated_is_remembered_once() {
    let dir = tempfile::tempdir().unwrap();
    let model = talkative(dir.path());
    // The second question is answered by an error that quotes the first answer.
    let template = dir.path().join("template.jinja");
    let source = "{% if messages | length > 1 %}{{ raise_exception('<' + messages[1].content + '>') }}\
                  {% endif %}{{ messages[0].content }}";
    std::fs::write(&template, source).unwrap();
    let mut command = run(&model);
    command
        .args(["--temp", "0", "-c", "6000", "--chat-template"])
        .arg(&template)
        .env("XDG_STATE_HOME", dir.path());
    let mut chat = Terminal::new().run(&mut command);
    chat.terminal.type_in("tell\rgo on\r/quit\r");
    assert!(chat.end().success());
    let shown = chat.terminal.shown();
    let (answer, _) = shown.split_once(BEGIN).unwrap();
    assert!(answer.split_whitespace().count() > 1024);
    let remembered = shown.rsplit_once('<').unwrap().1.split_once('>').unwrap().0;
    assert!(answer.contains(&format!("{remembered} w")), "{remembered}");
    let words = remembered.split_whitespace().count();
    assert!((1..500).contains(&words), "{remembered}");
}
