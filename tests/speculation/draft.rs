//! A smaller model that proposes.

use super::{run, speculated, succeed};
use crate::support::{checkpoint, converted, small_moe, smollm2, text};

const QUESTION: &str = "Why is the sky blue?";

#[test]
fn a_model_that_drafts_for_itself_is_mostly_right_and_changes_nothing() {
    let Some(model) = smollm2("a_model_that_drafts_for_itself_is_mostly_right_and_changes_nothing")
    else {
        return;
    };
    let answer = |more: &[&str]| {
        let mut command = run(&model);
        command.args([
            "-t", "1", "--temp", "0", "-n", "24", "--stats", "-p", QUESTION,
        ]);
        succeed(command.args(more))
    };
    let (plain, _) = answer(&["--speculate", "off"]);
    let draft = model.to_str().unwrap();
    let (drafted, stderr) = answer(&["--speculate", "4", "--draft", draft]);
    assert_eq!(drafted, plain);
    let (proposed, right) = speculated(&stderr);
    assert!(right >= 4, "{stderr}");
    assert!(right * 10 >= proposed * 8, "{right} of {proposed}");
}

#[test]
fn another_vocabulary_is_refused_with_the_first_difference() {
    let Some(model) = smollm2("another_vocabulary_is_refused_with_the_first_difference") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let draft = dir.path().join("small.gguf");
    let source = checkpoint(dir.path(), "source", &small_moe());
    converted(&source, &draft, &["-t", "f16"]);
    let output = run(&model)
        .args(["-t", "1", "-p", "x", "--draft"])
        .arg(&draft)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let stderr = text(&output.stderr);
    let line = stderr.lines().last().unwrap();
    assert_eq!(
        line,
        "error: the draft model has another vocabulary than the model: it has 300 tokens, \
         expected 49152; it needs the same one"
    );
}
