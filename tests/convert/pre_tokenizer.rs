//! `--pre`: a pre-tokenizer by its name.

use super::*;

#[test]
fn a_pre_tokenizer_is_named_where_it_is_not_recognized_or_meant_otherwise() {
    let dir = tempfile::tempdir().unwrap();
    let source = checkpoint(dir.path(), "Moe", &small_moe());
    fs::remove_file(source.join("tokenizer.model")).unwrap();
    let output = dir.path().join("out.gguf");
    let describe = |description: Json| {
        let tokenizer = json!({
            "pre_tokenizer": description,
            "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]},
        });
        fs::write(source.join("tokenizer.json"), tokenizer.to_string()).unwrap();
    };
    let written = |args: &[&str]| {
        // Not quiet, as notes are wanted.
        let mut command = swallow_gguf();
        command
            .arg("convert")
            .arg(&source)
            .arg("-o")
            .arg(&output)
            .args(args);
        let run = command.output().unwrap();
        let stderr = text(&run.stderr);
        assert!(run.status.success(), "{stderr}");
        let gguf = Gguf::open(&output).unwrap();
        let name = gguf.get_str("tokenizer.ggml.pre").unwrap().to_owned();
        (name, stderr)
    };

    describe(json!({"type": "WhitespaceSplit"}));
    let run = convert(&source, &output, &[]);
    let error = text(&run.stderr);
    assert_eq!(run.status.code(), Some(1));
    assert!(
        error.contains(r#"{"type":"WhitespaceSplit"}"#) && error.contains("`--pre NAME`"),
        "{error}"
    );
    let (name, stderr) = written(&["--pre", "exaone4"]);
    assert_eq!(name, "exaone4");
    assert!(!stderr.contains("exaone4"), "{stderr}");

    describe(json!({"type": "ByteLevel", "add_prefix_space": false}));
    assert_eq!(written(&["--force"]).0, "gpt-2");
    let (name, stderr) = written(&["--force", "--pre", "llama-bpe"]);
    assert_eq!(name, "llama-bpe");
    let note = "note: the pre-tokenizer `llama-bpe` is written as asked for: tokenizer.json describes that of `gpt-2`";
    assert!(stderr.contains(note), "{stderr}");

    let run = convert(&source, &output, &["--force", "--pre", "lama-bpe"]);
    let error = text(&run.stderr);
    assert_eq!(run.status.code(), Some(2));
    assert!(
        error.contains("no pre-tokenizer `lama-bpe`, expected a name such as `llama-bpe`"),
        "{error}"
    );
}
