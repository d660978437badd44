//! The same text, token for token.

use super::{COPY, run, speculated, succeed};
use crate::support::{smollm2, swallow_gguf, text};

/// What `args` say with and without proposals; there must have been some.
fn same(args: &[&str], prompt: &str) -> (usize, usize) {
    let Some(model) = smollm2("the same text with and without speculation") else {
        return (1, 1);
    };
    let answer = |speculate: &str| {
        let mut command = run(&model);
        command.args(["--stats", "-p", prompt, "--speculate", speculate]);
        succeed(command.args(args))
    };
    let (plain, stderr) = answer("off");
    assert_eq!(speculated(&stderr), (0, 0), "{stderr}");
    let (speculative, stderr) = answer("8");
    assert_eq!(speculative, plain, "{args:?}");
    speculated(&stderr)
}

#[test]
fn the_most_likely_text_is_the_same() {
    let (proposed, right) = same(&["-t", "1", "--temp", "0", "-n", "48"], COPY);
    assert!(right >= 10 && proposed >= right, "{right} of {proposed}");
}

#[test]
fn it_is_the_same_beyond_the_context_from_which_attention_is_divided() {
    // More than 256 tokens, and two threads.
    let long = format!("{COPY} {COPY} {COPY} {COPY} {COPY}");
    let (proposed, right) = same(&["-t", "2", "--temp", "0", "-n", "24"], &long);
    assert!(proposed >= right && right > 0, "{right} of {proposed}");
}

#[test]
fn a_seed_says_the_same_and_so_do_penalties() {
    let sampled = ["-t", "1", "--temp", "0.7", "--seed", "7", "-n", "40"];
    let (proposed, right) = same(&sampled, COPY);
    assert!(proposed > right && right > 0, "{right} of {proposed}");
    let penalties = [
        "-t",
        "1",
        "--temp",
        "0.5",
        "--seed",
        "3",
        "-n",
        "32",
        "--repeat-penalty",
        "1.1",
    ];
    assert!(same(&penalties, COPY).0 > 0);
}

#[test]
fn limits_and_stop_strings_end_it_at_the_same_place() {
    for n in ["9", "10", "11", "12"] {
        same(&["-t", "1", "--temp", "0", "-n", n], COPY);
    }
    let stop = ["-t", "1", "--temp", "0", "-n", "48", "--stop", "by bus"];
    same(&stop, COPY);
}

#[test]
fn what_is_no_number_and_no_word_is_refused() {
    let args = ["run", "-m", "x.gguf", "--speculate", "49"];
    let output = swallow_gguf().args(args).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let stderr = text(&output.stderr);
    assert!(stderr.contains("a number up to 48"), "{stderr}");
}
