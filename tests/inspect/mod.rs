//! `swallow-gguf inspect` from outside.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Output, Stdio},
};

use swallow_gguf::gguf::{Array, KeyValues, TensorInfo, encode_header, lay_out};
use swallow_quant::GgmlType;

fn inspect(arguments: &[&str], file: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_swallow-gguf"));
    command.arg("inspect").args(arguments).arg(file);
    command
}

fn stdout(output: &Output) -> &str {
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    std::str::from_utf8(&output.stdout).unwrap()
}

/// Writes a model of `n` one-row tensors.
fn write_model(path: &Path, n: usize) {
    let key_values: KeyValues = vec![
        ("general.architecture".into(), "llama".into()),
        ("general.name".into(), "Tiny".into()),
        (
            "tokenizer.ggml.scores".into(),
            Array::F32(vec![0.5; 1000]).into(),
        ),
    ];
    let mut tensors: Vec<TensorInfo> = (0..n)
        .map(|i| TensorInfo::new(format!("blk.{i}.attn_q.weight"), vec![32], GgmlType::Q8_0))
        .collect::<Result<_, _>>()
        .unwrap();
    let data = lay_out(&mut tensors, 32).unwrap();
    let mut file = encode_header(&key_values, &tensors, 32);
    file.resize(file.len() + data as usize, 0);
    fs::write(path, file).unwrap();
}

#[test]
fn a_model_is_shown() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tiny.gguf");
    write_model(&path, 3);
    let output = inspect(&["--tensors"], &path).output().unwrap();
    let text = stdout(&output);
    assert!(text.starts_with("Tiny: llama, "), "{text}");
    assert!(
        text.contains("\n  blk.2.attn_q.weight  [32]  Q8_0  at 128  34 bytes\n"),
        "{text}"
    );
    let output = inspect(&["--json"], &path).output().unwrap();
    let json: serde_json::Value = serde_json::from_str(stdout(&output)).unwrap();
    assert_eq!(json["parameters"], 96);
    assert_eq!(json["key_values"]["tokenizer.ggml.scores"]["len"], 1000);
}

#[test]
fn a_reader_that_leaves_early_is_no_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("long.gguf");
    // More lines than a pipe holds, so that the rest meets a closed one.
    write_model(&path, 20_000);
    let mut child = inspect(&["--tensors"], &path)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut first)
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(first.starts_with("Tiny"), "{first}");
    assert!(output.status.success(), "{:?}", output.status);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn a_broken_file_is_refused_on_stderr_with_code_1() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cut.gguf");
    write_model(&path, 3);
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 100]).unwrap();
    let output = inspect(&[], &path).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    // The last tensor's 30 bytes of padding are not missed.
    let (expected, found) = (whole.len() - 30, whole.len() - 100);
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        format!(
            "error: cannot read `{}`: 70 bytes are missing: the tensors need a file of {expected} \
             bytes, found {found}; the download was probably cut, download it again\n",
            path.display()
        )
    );
}
