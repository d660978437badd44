//! Files and options that cannot be run: the reason, exit code 1, nothing on stdout.

use std::path::{Path, PathBuf};

use swallow_gguf::gguf::{Array, KeyValues, TensorInfo, Value, encode_header};
use swallow_quant::GgmlType;

use super::{fail, output};
use crate::support::{checkpoint, small_moe, smollm2, text};

/// The key-values of a small model that lacks nothing but its tensors.
fn key_values() -> KeyValues {
    let tokens = ["<unk>", "<s>", "</s>"].map(Into::into).to_vec();
    vec![
        ("general.architecture".to_owned(), "llama".into()),
        ("llama.block_count".to_owned(), 1_u32.into()),
        ("llama.context_length".to_owned(), 64_u32.into()),
        ("llama.embedding_length".to_owned(), 32_u32.into()),
        ("llama.feed_forward_length".to_owned(), 32_u32.into()),
        ("llama.attention.head_count".to_owned(), 1_u32.into()),
        (
            "llama.attention.layer_norm_rms_epsilon".to_owned(),
            1e-5_f32.into(),
        ),
        ("tokenizer.ggml.model".to_owned(), "llama".into()),
        (
            "tokenizer.ggml.tokens".to_owned(),
            Array::String(tokens).into(),
        ),
        (
            "tokenizer.ggml.scores".to_owned(),
            Array::F32(vec![0.0; 3]).into(),
        ),
        (
            "tokenizer.ggml.token_type".to_owned(),
            Array::I32(vec![2, 3, 3]).into(),
        ),
    ]
}

/// Writes a GGUF of these key-values and one tensor.
fn write(dir: &Path, name: &str, key_values: &KeyValues) -> PathBuf {
    let tensor = TensorInfo::new("token_embd.weight".to_owned(), vec![32, 3], GgmlType::F32);
    let tensor = tensor.unwrap();
    let mut bytes = encode_header(key_values, std::slice::from_ref(&tensor), 32);
    bytes.resize(bytes.len() + usize::try_from(tensor.size()).unwrap(), 0);
    let path = dir.join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

/// As [`write`], with `key` set to `value`, or without it.
fn with(dir: &Path, key: &str, value: Option<Value>) -> PathBuf {
    let mut key_values = key_values();
    key_values.retain(|(k, _)| k != key);
    key_values.extend(value.map(|value| (key.to_owned(), value)));
    write(dir, &format!("{key}.gguf"), &key_values)
}

#[test]
fn files_that_are_no_model() {
    let dir = tempfile::tempdir().unwrap();
    let says = |path: &Path, expected: &str| {
        let error = fail(path, &["-p", "x", "--raw"]);
        assert!(error.contains(expected), "{error}\nlacks: {expected}");
    };
    says(&dir.path().join("none.gguf"), "there is no file `");
    says(dir.path(), "is not a checkpoint folder: it is empty");
    let text = dir.path().join("text.gguf");
    std::fs::write(&text, "# A model card\n").unwrap();
    says(dir.path(), "is a folder, expected a GGUF file, such as `");
    says(&text, "not a GGUF file");
    let whole = write(dir.path(), "whole.gguf", &key_values());
    let bytes = std::fs::read(&whole).unwrap();
    let cut = dir.path().join("cut.gguf");
    std::fs::write(&cut, &bytes[..bytes.len() - 1]).unwrap();
    says(&cut, "1 bytes are missing");
    let tensor_data = 32 * 3 * 4;
    std::fs::write(&cut, &bytes[..bytes.len() - tensor_data - 50]).unwrap();
    says(&cut, "the file ends inside its header");
}

/// What was probably meant is named.
#[test]
fn paths_that_lead_to_no_file_or_to_a_folder() {
    let dir = tempfile::tempdir().unwrap();
    let says = |path: &Path, expected: &str| {
        let error = fail(path, &["-p", "x", "--raw"]);
        let error = error.replace(dir.path().to_str().unwrap(), "DIR");
        assert_eq!(error, expected);
    };
    let source = checkpoint(dir.path(), "merged", &small_moe());
    let shard = source.join("model-00001-of-00002.safetensors");
    says(
        &shard,
        "cannot read `DIR/merged/model-00001-of-00002.safetensors`: not a GGUF file: it is a \
         safetensors file; give its folder to `swallow-gguf convert`",
    );

    for name in [
        "swallow.Q4_0.gguf",
        "other.gguf",
        "p-00001-of-00002.gguf",
        "p-00002-of-00002.gguf",
    ] {
        write(dir.path(), name, &key_values());
    }
    says(
        dir.path(),
        "`DIR` is a folder, expected a GGUF file, such as `DIR/other.gguf`",
    );
    for name in ["swallow.Q4_0", "Swallow.q4_0.gguf", "swalow.Q4_0.gguf"] {
        says(
            &dir.path().join(name),
            &format!("there is no file `DIR/{name}`, did you mean `DIR/swallow.Q4_0.gguf`?"),
        );
    }
}

#[test]
fn models_that_do_not_generate_text() {
    let dir = tempfile::tempdir().unwrap();
    let cases: &[(&str, Option<Value>, &str)] = &[
        (
            "general.architecture",
            None,
            "has no `general.architecture`",
        ),
        (
            "general.architecture",
            Some("bert".into()),
            "is a text encoder (architecture `bert`)",
        ),
        ("general.type", Some("adapter".into()), "is an adapter"),
        ("general.type", Some("x\u{1b}y".into()), "of type `x\\"),
        (
            "tokenizer.ggml.model",
            None,
            "has no `tokenizer.ggml.model`",
        ),
        (
            "tokenizer.ggml.model",
            Some("no_vocab".into()),
            "without a vocabulary",
        ),
        (
            "llama.block_count",
            Some(0_u32.into()),
            "`llama.block_count` is 0, expected 1 to 512",
        ),
        (
            "llama.expert_count",
            Some(4096_u32.into()),
            "`llama.expert_count` is 4096, expected 0 to 1024",
        ),
        (
            "llama.expert_used_count",
            Some(2_u32.into()),
            "`llama.expert_used_count` is 2, expected 0 to 0",
        ),
        (
            "tokenizer.ggml.tokens",
            Some(Array::String(["a", "", "", "b", "a\0c"].map(Into::into).to_vec()).into()),
            "tokens 0 and 4 are both `a`",
        ),
        (
            "split.count",
            Some(3_u32.into()),
            "its name has to end in `-00001-of-00003.gguf`",
        ),
    ];
    for (key, value, expected) in cases {
        let path = with(dir.path(), key, value.clone());
        let error = fail(&path, &["-p", "x", "--raw"]);
        assert!(error.contains(expected), "{error}\nlacks: {expected}");
    }
    let header = encode_header(&key_values(), &[], 32);
    let path = dir.path().join("vocabulary.gguf");
    std::fs::write(&path, header).unwrap();
    let error = fail(&path, &["-p", "x", "--raw"]);
    assert!(error.contains("a vocabulary alone"), "{error}");
}

#[test]
fn parts_of_a_split_model() {
    let dir = tempfile::tempdir().unwrap();
    let part = |number: u32, name: &str| {
        let mut key_values = key_values();
        key_values.push(("split.no".to_owned(), number.into()));
        key_values.push(("split.count".to_owned(), 3_u32.into()));
        write(dir.path(), name, &key_values)
    };
    let says = |path: &Path, expected: &str| {
        let error = fail(path, &["-p", "x", "--raw"]);
        let error = error.replace(dir.path().to_str().unwrap(), "DIR");
        assert_eq!(error, expected);
    };
    let first = part(0, "m-00001-of-00003.gguf");
    says(
        &first,
        "`DIR/m-00001-of-00003.gguf` is part 1 of 3, and 2 others are missing, the first of them \
         `DIR/m-00002-of-00003.gguf`: expected all parts in one folder",
    );
    let second = part(1, "m-00002-of-00003.gguf");
    says(
        &first,
        "`DIR/m-00001-of-00003.gguf` is part 1 of 3, and `DIR/m-00003-of-00003.gguf` is missing: \
         expected all parts in one folder",
    );
    says(
        &second,
        "`DIR/m-00002-of-00003.gguf` is part 2 of 3; give the first part, `m-00001-of-00003.gguf`, \
         and the others are found beside it",
    );
}

#[test]
fn what_llama_cpp_does_not_load_has_llama_cpps_reason() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), "tensors-missing.gguf", &key_values());
    let error = fail(&path, &["-p", "x", "--raw"]);
    assert!(error.contains("tensors-missing.gguf`: "), "{error}");
    assert!(error.contains("'output_norm.weight' not found"), "{error}");
    let path = with(
        dir.path(),
        "general.architecture",
        Some("llama-of-tomorrow".into()),
    );
    let error = fail(&path, &["-p", "x", "--raw"]);
    assert!(error.contains("llama-of-tomorrow"), "{error}");
}

#[test]
fn no_template_is_chosen_by_silence() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), "plain.gguf", &key_values());
    let error = fail(&path, &["-p", "x"]);
    assert!(error.contains("has no chat template"), "{error}");
    assert!(error.contains("--chat-template"), "{error}");
    assert!(error.contains("--raw"), "{error}");

    // A name that we do not know is no prompt.
    let key = "tokenizer.chat_template";
    let named = with(dir.path(), key, Some("mistral-v99".into()));
    let error = fail(&named, &["-p", "x"]);
    assert!(
        error.contains("has the text `mistral-v99` for a chat template"),
        "{error}"
    );

    // A Swallow model has its prompt, and it is said which. Then llama.cpp misses the tensors.
    let moe: KeyValues = vec![
        ("general.name".to_owned(), "Swallow MoE".into()),
        ("llama.expert_count".to_owned(), 2_u32.into()),
        ("llama.expert_used_count".to_owned(), 2_u32.into()),
    ];
    let merged: KeyValues = vec![(
        "general.base_model.0.name".to_owned(),
        "superswallow-13b".into(),
    )];
    for (extra, prompt) in [(moe, "`swallow`"), (merged, "`swallow-instruct`")] {
        let key_values = [key_values(), extra].concat();
        let path = write(dir.path(), "unnamed.gguf", &key_values);
        let stderr = text(&output(&path, &["-p", "x"]).stderr);
        let expected = format!("so the prompt is {prompt}");
        assert!(stderr.contains(&expected), "{stderr}");
    }
}

#[test]
fn templates_that_cannot_be_used() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), "plain.gguf", &key_values());
    let error = fail(&path, &["-p", "x", "--chat-template", "mystery"]);
    assert!(error.contains("`mystery`"), "{error}");
    let own = with(
        dir.path(),
        "tokenizer.chat_template",
        Some("a\n{% if %}".into()),
    );
    let error = fail(&own, &["-p", "x"]);
    assert!(error.contains("tokenizer.chat_template of"), "{error}");
    assert!(error.contains("line 2"), "{error}");
    let file = dir.path().join("no-system.jinja");
    std::fs::write(&file, "{{ messages[-1].content }}").unwrap();
    let file = file.to_str().unwrap();
    let error = fail(
        &path,
        &["-p", "x", "--system", "y", "--chat-template", file],
    );
    assert!(error.contains("no place for a system message"), "{error}");
}

#[test]
fn prompts_that_cannot_be_answered() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), "plain.gguf", &key_values());
    assert_eq!(fail(&path, &["-p", " \n"]), "the prompt is empty");
    // stdin is empty.
    assert_eq!(fail(&path, &[]), "the prompt is empty");

    let Some(model) = smollm2("prompts_that_cannot_be_answered") else {
        return;
    };
    let long = "word ".repeat(300);
    let error = fail(&model, &["-p", &long, "-c", "256"]);
    assert!(
        error.contains("fewer than the 256 of the context"),
        "{error}"
    );
    assert!(error.contains("`-c`"), "{error}");
}
