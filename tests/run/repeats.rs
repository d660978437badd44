//! Answers that only repeat themselves.

use super::{succeed, talkative};

const NOTE: &str = "the answer only repeats itself (the same token, 4096 times), so it ends here; \
                    `--no-loop-stop` lets it go on\n";

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
    let (words, stderr) = answer(&chat);
    assert_eq!(stderr, format!("{trained}{NOTE}"));
    assert!((4096..4200).contains(&words), "{words}");
    // As raw text, too, as long as nobody asks for a number of tokens.
    let (words, stderr) = answer(&["--raw", "-c", "6000"]);
    assert_eq!(stderr, format!("{trained}{NOTE}"));
    assert!((4096..4200).contains(&words), "{words}");

    let more = ["-n", "4500"];
    let (words, stderr) = answer(&[&chat[..], &more].concat());
    assert_eq!(stderr, format!("{trained}{NOTE}"));
    assert!((4096..4200).contains(&words), "{words}");
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
