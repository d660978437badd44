//! One prompt, one answer.

use std::io::{Read, Write};
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use swallow_gguf::gguf::{self, Gguf, encode_header, lay_out};

use super::{output, run, succeed};
use crate::support::{checkpoint, converted, fixtures, skip, small_moe, smollm2, text};

const QUESTION: &str = "Why is the sky blue?";

/// The answer at temperature 0, without the line end.
fn greedy(model: &Path, args: &[&str]) -> String {
    let (stdout, _) = succeed(model, &[&["--temp", "0"], args].concat());
    let answer = stdout.strip_suffix('\n');
    answer.unwrap_or_else(|| panic!("{stdout:?}")).to_owned()
}

#[test]
fn stdout_has_the_answer_and_nothing_else() {
    let Some(model) = smollm2("stdout_has_the_answer_and_nothing_else") else {
        return;
    };
    let (stdout, stderr) = succeed(&model, &["-p", QUESTION, "-n", "24", "--temp", "0"]);
    assert_eq!(stderr, "", "llama.cpp's log is off");
    assert_eq!(stdout, format!("{}\n", stdout.trim()));
    assert!(stdout.len() > 20, "{stdout}");
    // Again, with everything that goes to stderr.
    let args = ["-p", QUESTION, "-n", "24", "--temp", "0", "--stats", "-v"];
    let (again, stderr) = succeed(&model, &args);
    assert_eq!(again, stdout, "greedy is repeatable");
    assert!(stderr.contains("answer: 24 tokens"), "{stderr}");
    assert!(stderr.contains("llama_model_loader"), "{stderr}");
}

#[test]
fn a_prompt_from_stdin_is_one_prompt() {
    let Some(model) = smollm2("a_prompt_from_stdin_is_one_prompt") else {
        return;
    };
    let prompt = "Two lines:\nwhat is 2 + 2?";
    let expected = greedy(&model, &["-p", prompt, "-n", "12"]);
    for args in [&[][..], &["-p", "-"]] {
        let mut child = run(&model)
            .args(["-n", "12", "--temp", "0"])
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(prompt.as_bytes()).unwrap();
        stdin.write_all(b"\n").unwrap();
        drop(stdin);
        let output = child.wait_with_output().unwrap();
        assert_eq!(text(&output.stdout), format!("{expected}\n"));
    }
}

#[test]
fn the_files_own_template_is_rendered() {
    let Some(model) = smollm2("the_files_own_template_is_rendered") else {
        return;
    };
    let said = greedy(
        &model,
        &["-p", QUESTION, "-n", "16", "--system", "Be brief"],
    );
    let prompt = format!(
        "<|im_start|>system\nBe brief<|im_end|>\n<|im_start|>user\n{QUESTION}<|im_end|>\n<|im_start|>assistant\n"
    );
    let raw = greedy(&model, &["--raw", "-p", &prompt, "-n", "16"]);
    assert_eq!(said, raw.trim());
}

#[test]
fn the_answer_ends_before_a_stop_string_that_spans_tokens() {
    let Some(model) = smollm2("the_answer_ends_before_a_stop_string_that_spans_tokens") else {
        return;
    };
    let whole = greedy(&model, &["-p", QUESTION, "-n", "30"]);
    // From within one word to within another: no token begins or ends so.
    let words: Vec<&str> = whole.split(' ').collect();
    let (a, b) = (words[4], words[6]);
    let stop = format!(
        "{} {} {}",
        &a[a.len() / 2..],
        words[5],
        &b[..b.len().div_ceil(2)]
    );
    let expected = whole.split(&stop).next().unwrap();
    let stopped = greedy(
        &model,
        &[
            "-p", QUESTION, "-n", "30", "--stop", "never", "--stop", &stop,
        ],
    );
    assert!(expected.len() < whole.len());
    assert_eq!(stopped, expected.trim_end());
}

#[test]
fn a_seed_repeats_its_answer() {
    let Some(model) = smollm2("a_seed_repeats_its_answer") else {
        return;
    };
    let answer = |seed: &str| {
        let args = ["-p", QUESTION, "-n", "16", "--temp", "1.5", "--seed", seed];
        succeed(&model, &args).0
    };
    let seven = answer("7");
    assert_eq!(answer("7"), seven);
    assert!(["8", "9", "10"].iter().any(|seed| answer(seed) != seven));
}

#[test]
fn layers_for_a_gpu_that_is_not_there_are_refused_aloud() {
    if cfg!(any(
        feature = "cuda",
        feature = "vulkan",
        feature = "metal",
        target_os = "macos"
    )) {
        skip(
            "layers_for_a_gpu_that_is_not_there_are_refused_aloud",
            "a GPU build",
        );
        return;
    }
    let Some(model) = smollm2("layers_for_a_gpu_that_is_not_there_are_refused_aloud") else {
        return;
    };
    let args = ["-p", QUESTION, "-n", "4", "--temp", "0"];
    for layers in [&["-ngl", "99"][..], &["-ngl=all"]] {
        let (stdout, stderr) = succeed(&model, &[&args, layers].concat());
        assert!(stderr.contains("this build has no GPU support"), "{stderr}");
        assert_eq!(stdout, succeed(&model, &args).0);
    }
    let (_, stderr) = succeed(&model, &[&args[..], &["-ngl", "0"]].concat());
    assert_eq!(stderr, "");
}

/// SmolLM2's vocabulary adds no BOS; a copy of the file says that it does.
#[test]
fn bos_stands_exactly_once() {
    let Some(model) = smollm2("bos_stands_exactly_once") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let with_bos = dir.path().join("bos.gguf");
    let mut bytes = std::fs::read(&model).unwrap();
    let key = b"tokenizer.ggml.add_bos_token";
    let found = bytes.windows(key.len()).position(|window| window == key);
    // The value follows its type, a u32.
    let flag = &mut bytes[found.unwrap() + key.len() + 4];
    assert_eq!(*flag, 0);
    *flag = 1;
    std::fs::write(&with_bos, bytes).unwrap();

    let tokens = |model: &Path, prompt: &str| {
        let (_, stderr) = succeed(model, &["--raw", "-p", prompt, "-n", "1", "--stats"]);
        let after = stderr.split_once("prompt: ").unwrap().1;
        after.split_once(' ').unwrap().0.parse::<u32>().unwrap()
    };
    let (plain, begun) = ("Hello there", "<|im_start|>Hello there");
    assert_eq!(tokens(&model, begun), tokens(&model, plain) + 1);
    assert_eq!(tokens(&with_bos, plain), tokens(&model, plain) + 1);
    assert_eq!(tokens(&with_bos, begun), tokens(&model, begun));
    // And with it alone an empty prompt can be continued.
    assert_eq!(tokens(&with_bos, ""), 1);
    assert!(
        !output(&model, &["--raw", "-p", "", "-n", "1"])
            .status
            .success()
    );
}

/// A SentencePiece model that begins its text after BOS alone.
#[test]
fn a_real_model_tells_its_story() {
    let Some(fixtures) = fixtures("a_real_model_tells_its_story") else {
        return;
    };
    let source = fixtures.join("stories260K/hf-dense-bf16");
    let dir = tempfile::tempdir().unwrap();
    let model = dir.path().join("stories.gguf");
    converted(&source, &model, &["-t", "f32"]);
    let expected = std::fs::read(source.join("expected_greedy.json")).unwrap();
    let expected: Value = serde_json::from_slice(&expected).unwrap();
    let expected = expected["text"].as_str().unwrap();
    let story = greedy(&model, &["--raw", "-p", "", "-n", "100"]);
    let story = story.trim_start();
    assert!(story.len() > 200, "{story}");
    assert_eq!(&expected[..story.len()], story);
}

/// llama.cpp finds the second part beside the first.
#[test]
fn a_model_in_parts_runs_as_the_whole() {
    let dir = tempfile::tempdir().unwrap();
    let source = checkpoint(dir.path(), "source", &small_moe());
    let whole = dir.path().join("whole.gguf");
    let bytes = converted(&source, &whole, &["-t", "q8_0"]);
    let gguf = Gguf::open(&whole).unwrap();
    let half = gguf.tensors.len() / 2;
    let (first, second) = gguf.tensors.split_at(half);
    for (number, tensors) in [(0_u16, first), (1, second)] {
        let mut key_values = match number {
            0 => gguf.key_values.clone(),
            _ => Vec::new(),
        };
        let count = i32::try_from(gguf.tensors.len()).unwrap();
        key_values.push(("split.no".to_owned(), gguf::Value::U16(number)));
        key_values.push(("split.count".to_owned(), gguf::Value::U16(2)));
        key_values.push(("split.tensors.count".to_owned(), gguf::Value::I32(count)));
        let mut laid_out = tensors.to_vec();
        lay_out(&mut laid_out, gguf.alignment).unwrap();
        let mut part = encode_header(&key_values, &laid_out, gguf.alignment);
        for tensor in tensors {
            let start = usize::try_from(gguf.data_offset + tensor.offset).unwrap();
            let end = start + usize::try_from(tensor.size()).unwrap();
            part.extend(&bytes[start..end]);
            part.resize(part.len().next_multiple_of(32), 0);
        }
        let name = format!("m-{:05}-of-00002.gguf", number + 1);
        std::fs::write(dir.path().join(name), part).unwrap();
    }
    let args = ["--raw", "-p", "", "-n", "20"];
    let parts = dir.path().join("m-00001-of-00002.gguf");
    let expected = greedy(&whole, &args);
    assert!(!expected.is_empty());
    assert_eq!(greedy(&parts, &args), expected);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let Some(model) = smollm2("a_reader_that_goes_away_is_no_error") else {
        return;
    };
    let mut child = run(&model)
        .args(["-p", QUESTION, "-n", "200"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut stderr = String::new();
    let mut pipe = child.stderr.take().unwrap();
    pipe.read_to_string(&mut stderr).unwrap();
    assert_eq!(stderr, "");
    assert!(child.wait().unwrap().success());
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_the_answer_with_its_line() {
    let Some(model) = smollm2("ctrl_c_ends_the_answer_with_its_line") else {
        return;
    };
    let mut child = run(&model)
        .args(["-p", "Count from 1 to 1000.", "--stop", "never"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let mut answer = vec![0];
    stdout.read_exact(&mut answer).unwrap();
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    stdout.read_to_end(&mut answer).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(answer.last(), Some(&b'\n'), "{}", text(&answer));
}
