//! `swallow-gguf diff` from outside.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Output, Stdio},
};

use serde_json::Value as Json;
use swallow_gguf::gguf::{Array, Gguf, KeyValues, TensorInfo, Value, encode_header, lay_out};
use swallow_quant::{GgmlType, Isa};

use crate::support::{checkpoint, converted, flip, small_moe, swallow_gguf, text};

fn diff(a: &Path, b: &Path, args: &[&str]) -> Output {
    let mut command = swallow_gguf();
    command
        .arg("diff")
        .arg(a)
        .arg(b)
        .args(args)
        .output()
        .unwrap()
}

/// The difference as JSON and the exit code.
fn json(a: &Path, b: &Path) -> (Json, Option<i32>) {
    let output = diff(a, b, &["--json"]);
    assert_eq!(text(&output.stderr), "");
    (
        serde_json::from_slice(&output.stdout).unwrap(),
        output.status.code(),
    )
}

/// A file of these key-values and tensors: name, shape, type and what all weights are. Types that
/// are not written are filled with the bytes of that number.
fn write_file(path: &Path, key_values: &KeyValues, tensors: &[(&str, &[u64], GgmlType, f32)]) {
    let mut infos: Vec<TensorInfo> = tensors
        .iter()
        .map(|&(name, dims, ty, _)| TensorInfo::new(name.into(), dims.to_vec(), ty).unwrap())
        .collect();
    let data_len = lay_out(&mut infos, 32).unwrap() as usize;
    let mut data = vec![0; data_len];
    for (info, &(.., ty, value)) in infos.iter().zip(tensors) {
        let bytes = &mut data[info.offset as usize..][..info.size() as usize];
        let weights = vec![value; info.elements() as usize];
        if swallow_quant::quantize(ty, Isa::Scalar, &weights, bytes).is_err() {
            bytes.fill(value as u8);
        }
    }
    let mut file = encode_header(key_values, &infos, 32);
    file.extend(data);
    fs::write(path, file).unwrap();
}

#[test]
fn a_file_and_its_copy_are_equal() {
    let dir = tempfile::tempdir().unwrap();
    let source = checkpoint(dir.path(), "Moe", &small_moe());
    let [a, b] = ["a.gguf", "b.gguf"].map(|name| dir.path().join(name));
    converted(&source, &a, &[]);
    fs::copy(&a, &b).unwrap();
    let output = diff(&a, &b, &[]);
    let gguf = Gguf::open(&a).unwrap();
    assert_eq!(
        text(&output.stdout),
        format!(
            "A: {}\nB: {}\n\nequal key-values: {}, equal tensors: {}; nothing differs\n",
            a.display(),
            b.display(),
            gguf.key_values.len(),
            gguf.tensors.len()
        )
    );
    assert_eq!(output.status.code(), Some(0));
    let (diff, code) = json(&a, &b);
    assert_eq!((&diff["equal"], code), (&Json::Bool(true), Some(0)));
}

#[test]
fn one_flipped_bit_is_found_in_its_block() {
    let dir = tempfile::tempdir().unwrap();
    let source = checkpoint(dir.path(), "Moe", &small_moe());
    let [a, b] = ["a.gguf", "b.gguf"].map(|name| dir.path().join(name));
    converted(&source, &a, &[]);
    fs::copy(&a, &b).unwrap();
    let name = "blk.1.ffn_gate_exps.weight";
    let gguf = Gguf::open(&a).unwrap();
    let info = gguf.tensor(name).unwrap();
    assert_eq!(info.ty, GgmlType::Q4_K);
    // The high bit of the second half of byte 100: the level of one weight changes by 8.
    flip(&b, name, 37, 100, 0x80);

    let (diff, code) = json(&a, &b);
    assert_eq!((&diff["equal"], code), (&Json::Bool(false), Some(1)));
    assert_eq!(diff["equal_tensors"], gguf.tensors.len() - 1);
    assert_eq!(diff["key_values"].as_array().unwrap().len(), 0);
    let [tensor] = &diff["tensors"].as_array().unwrap()[..] else {
        panic!("{diff:#}");
    };
    assert_eq!(tensor["name"], name);
    let data = &tensor["data"];
    let total = info.elements() / 256;
    assert_eq!(
        data["blocks"],
        serde_json::json!({"differing": 1, "total": total, "first": 37})
    );
    assert_eq!(data["worst_block"]["index"], 37);

    // The error is one weight's, and relative to all weights of A.
    let read = |path: &Path| {
        let bytes = fs::read(path).unwrap();
        let begin = (gguf.data_offset + info.offset) as usize;
        let mut weights = vec![0.0; info.elements() as usize];
        let blocks = &bytes[begin..][..info.size() as usize];
        swallow_quant::dequantize(info.ty, blocks, &mut weights).unwrap();
        weights
    };
    let (weights_a, weights_b) = (read(&a), read(&b));
    let error: f64 = weights_a
        .iter()
        .zip(&weights_b)
        .map(|(a, b)| f64::from(a - b).powi(2))
        .sum();
    let squares: f64 = weights_a.iter().map(|w| f64::from(*w).powi(2)).sum();
    let near = |found: &Json, expected: f64| {
        let found = found.as_f64().unwrap();
        assert!(
            (found / expected - 1.0).abs() < 1e-5,
            "{found} for {expected}"
        );
    };
    near(&data["rmse"], (error / info.elements() as f64).sqrt());
    near(&data["relative"], (error / squares).sqrt());
    near(&data["worst_block"]["rmse"], (error / 256.0).sqrt());
}

#[test]
fn other_types_are_compared_by_their_weights() {
    let dir = tempfile::tempdir().unwrap();
    let source = checkpoint(dir.path(), "Moe", &small_moe());
    let [a, b] = ["a.gguf", "b.gguf"].map(|name| dir.path().join(name));
    converted(&source, &a, &["-t", "bf16"]);
    converted(&source, &b, &["-t", "q4_k_m"]);
    let (diff, code) = json(&a, &b);
    assert_eq!(code, Some(1));
    assert_eq!(diff["key_values"][0]["key"], "general.file_type");
    assert_eq!(diff["key_values"][0]["a"]["value"], 32);
    assert_eq!(diff["key_values"][0]["b"]["value"], 15);
    let tensors = diff["tensors"].as_array().unwrap();
    let matrices = tensors
        .iter()
        .filter(|t| t["a"]["type"] == "BF16" && t["b"]["type"] != "BF16");
    let mut count = 0;
    for tensor in matrices {
        let data = &tensor["data"];
        assert!(data["blocks"].is_null(), "{tensor:#}");
        let relative = data["relative"].as_f64().unwrap();
        let bound = if tensor["b"]["type"] == "Q6_K" {
            0.03
        } else {
            0.1
        };
        assert!(relative > 0.0 && relative < bound, "{tensor:#}");
        count += 1;
    }
    // Two layers of four attention and three expert matrices, embedding and output.
    assert_eq!(count, 16);
}

fn handmade(dir: &Path) -> (PathBuf, PathBuf) {
    let (a, b) = (dir.join("a.gguf"), dir.join("b.gguf"));
    let template = |end: &str| Value::from(format!("line one\nline two{end}\n"));
    let tokens = |middle: &str| Array::String(vec!["a".into(), middle.into(), "c".into()]).into();
    write_file(
        &a,
        &vec![
            ("general.architecture".into(), "llama".into()),
            ("general.name".into(), "Ä".into()),
            ("llama.block_count".into(), 1u32.into()),
            ("tokenizer.chat_template".into(), template("")),
            ("tokenizer.ggml.tokens".into(), tokens("b")),
        ],
        &[
            ("dims", &[32, 2], GgmlType::F32, 1.0),
            ("equal", &[64], GgmlType::Q8_0, 1.0),
            ("gone", &[32], GgmlType::F32, 1.0),
            ("type", &[256], GgmlType::Q8_0, 1.0),
            ("unread", &[256, 2], GgmlType::IQ2_XS, 1.0),
            ("weights", &[256, 4], GgmlType::F32, 2.0),
        ],
    );
    write_file(
        &b,
        &vec![
            ("general.architecture".into(), "llama".into()),
            ("llama.block_count".into(), Value::U64(1)),
            ("tokenizer.ggml.tokens".into(), tokens("\x1b")),
            ("tokenizer.chat_template".into(), template("!")),
            ("new\n".into(), true.into()),
        ],
        &[
            ("dims", &[64], GgmlType::F32, 1.0),
            ("equal", &[64], GgmlType::Q8_0, 1.0),
            ("type", &[256], GgmlType::F16, 0.5),
            ("unread", &[256, 2], GgmlType::IQ2_XS, 2.0),
            ("weights", &[256, 4], GgmlType::F32, 2.0),
            ("new", &[32], GgmlType::F32, 1.0),
        ],
    );
    flip(&b, "weights", 1000, 3, 0x80);
    (a, b)
}

#[test]
fn everything_that_can_differ_is_shown() {
    let dir = tempfile::tempdir().unwrap();
    handmade(dir.path());
    let run = |args: &[&str]| {
        let mut command = swallow_gguf();
        let command = command
            .current_dir(dir.path())
            .args(["diff", "a.gguf", "b.gguf"]);
        command.args(args).output().unwrap()
    };
    let output = run(&[]);
    assert_eq!(output.status.code(), Some(1));
    let found = text(&output.stdout);
    assert_eq!(found, include_str!("everything.txt"), "found:\n{found}");

    let json: Json = serde_json::from_slice(&run(&["--json"]).stdout).unwrap();
    assert_eq!(json["key_moved"], "tokenizer.chat_template");
    assert_eq!(json["key_values"].as_array().unwrap().len(), 5);
    assert_eq!(
        (&json["equal_key_values"], &json["equal_tensors"]),
        (&1.into(), &1.into())
    );
    let tensor = |name: &str| {
        let tensors = json["tensors"].as_array().unwrap();
        tensors
            .iter()
            .find(|tensor| tensor["name"] == name)
            .unwrap()
    };
    assert!(tensor("gone")["b"].is_null() && tensor("new")["a"].is_null());
    assert!(tensor("dims")["data"].is_null());
    assert_eq!(tensor("unread")["data"]["not_read"], "IQ2_XS");
    assert_eq!(tensor("weights")["data"]["worst_block"]["index"], 1000);
}

#[test]
fn a_tensor_of_many_chunks_is_summed_up_the_same_on_any_number_of_threads() {
    let dir = tempfile::tempdir().unwrap();
    let [a, b] = ["a.gguf", "b.gguf"].map(|name| dir.path().join(name));
    let (rows, blocks) = (13_000, 13_000 * 256 / 32);
    write_file(
        &a,
        &KeyValues::new(),
        &[("large", &[256, rows], GgmlType::Q8_0, 2.0)],
    );
    fs::copy(&a, &b).unwrap();
    // The sign of a scale each, in the second and the last of the chunks of 2^20 weights.
    flip(&b, "large", 40_000, 1, 0x80);
    flip(&b, "large", blocks - 1, 1, 0x80);
    let run = |threads: &str| {
        let mut command = swallow_gguf();
        command.env("RAYON_NUM_THREADS", threads);
        command
            .arg("diff")
            .args([&a, &b])
            .arg("--json")
            .output()
            .unwrap()
            .stdout
    };
    let found = run("1");
    assert_eq!(found, run("3"));
    let found: Json = serde_json::from_slice(&found).unwrap();
    let data = &found["tensors"][0]["data"];
    assert_eq!(
        data["blocks"],
        serde_json::json!({"differing": 2, "total": blocks, "first": 40_000})
    );
    // Two of all blocks are off by twice their weights.
    let relative = data["relative"].as_f64().unwrap();
    let expected = (2.0 * 4.0 / blocks as f64).sqrt();
    assert!(
        (relative / expected - 1.0).abs() < 1e-9,
        "{relative} for {expected}"
    );
    // Of equally bad blocks the first.
    assert_eq!(data["worst_block"]["index"], 40_000);
}

#[test]
fn trouble_is_code_2() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = handmade(dir.path());
    let whole = fs::read(&b).unwrap();
    fs::write(&b, &whole[..whole.len() - 200]).unwrap();
    for (b, expected) in [
        (b, "the download was probably cut"),
        (dir.path().join("nowhere.gguf"), "there is no file"),
        (dir.path().to_owned(), "is a folder"),
    ] {
        let output = diff(&a, &b, &[]);
        assert_eq!(output.status.code(), Some(2));
        assert_eq!(text(&output.stdout), "");
        let stderr = text(&output.stderr);
        assert!(
            stderr.starts_with("error: ") && stderr.contains(expected),
            "{stderr}"
        );
    }
    let usage = swallow_gguf().arg("diff").arg(&a).output().unwrap();
    assert_eq!(usage.status.code(), Some(2));
}

#[test]
fn a_reader_that_leaves_early_is_no_error() {
    let dir = tempfile::tempdir().unwrap();
    let [a, b] = ["a.gguf", "b.gguf"].map(|name| dir.path().join(name));
    // More lines than a pipe holds, so that the rest meets a closed one.
    let key_values: KeyValues = (0..20_000)
        .map(|i| (format!("key.{i}"), true.into()))
        .collect();
    write_file(&a, &key_values, &[]);
    write_file(&b, &KeyValues::new(), &[]);
    let mut child = swallow_gguf()
        .arg("diff")
        .args([&a, &b])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut first)
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(first.starts_with("A: "), "{first}");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stderr), "");
}
