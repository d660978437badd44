//! `swallow-gguf convert` from outside: what it says, what it writes, and what it refuses.

mod damaged;
mod files;
mod folders;
mod names;
mod pre_tokenizer;
mod rope;
#[cfg(unix)]
mod unix;
mod weights;

use std::{fs, path::Path};

use serde_json::{Value as Json, json};
use swallow_gguf::{
    gguf::Gguf,
    synthetic::{Sizes, Spec},
};

use crate::support::{checkpoint, convert, converted, small_moe, swallow_gguf, text};

/// Names of everything in a folder.
pub(crate) fn listing(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn an_existing_file_is_kept_unless_forced_and_an_input_is_never_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let source = checkpoint(
        dir.path(),
        "Moe",
        &Spec {
            shards: 1,
            ..small_moe()
        },
    );
    let output = dir.path().join("out.gguf");
    fs::write(&output, "precious").unwrap();

    let run = convert(&source, &output, &[]);
    assert_eq!(run.status.code(), Some(1));
    assert!(
        text(&run.stderr).contains("`--force`"),
        "{}",
        text(&run.stderr)
    );
    assert_eq!(fs::read(&output).unwrap(), b"precious");

    converted(&source, &output, &["--force"]);
    Gguf::open(&output).unwrap();

    let shard = source.join("model.safetensors");
    let before = fs::read(&shard).unwrap();
    for output in [
        shard.clone(),
        source.join("../Moe/model.safetensors"),
        source.join("config.json"),
    ] {
        let run = convert(&source, &output, &["--force"]);
        assert!(text(&run.stderr).contains("is a file of the source itself"));
        assert!(fs::read(&shard).unwrap() == before);
    }

    let run = convert(&source, Path::new("/nonexistent/folder/x.gguf"), &[]);
    assert!(text(&run.stderr).contains("cannot write `/nonexistent/folder/x.gguf`"));
    assert!(
        !text(&run.stderr).contains(".partial"),
        "{}",
        text(&run.stderr)
    );
}

#[test]
fn without_a_name_the_file_is_named_by_convention() {
    let dir = tempfile::tempdir().unwrap();
    let source = checkpoint(dir.path(), "Swallow-MoE-2x1M-v0.1", &small_moe());
    let card = "---\nlicense: llama2\nlanguage: ja\ntags: [moe]\nbase_model: [a/B-13b]\n---\n";
    fs::write(source.join("README.md"), card).unwrap();
    let mut config: Json =
        serde_json::from_slice(&fs::read(source.join("config.json")).unwrap()).unwrap();
    config["_name_or_path"] = json!("./Superswallow-13b-v0.2");
    fs::write(source.join("config.json"), config.to_string()).unwrap();

    let run = swallow_gguf()
        .current_dir(dir.path())
        .args(["convert", "Swallow-MoE-2x1M-v0.1", "--json"])
        .output()
        .unwrap();
    let stderr = text(&run.stderr);
    assert!(run.status.success(), "{stderr}");
    let name = "Swallow-MoE-2x1M-v0.1-Q4_K_M.gguf";
    assert!(
        stderr.contains("note: ") && stderr.contains("--chat-template swallow"),
        "{stderr}"
    );
    assert!(
        stderr.contains(&format!("next: swallow-gguf run {name}")),
        "{stderr}"
    );
    let summary: Json = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!(summary["output"], name);
    let path = dir.path().join(name);
    assert_eq!(summary["file_bytes"], fs::metadata(&path).unwrap().len());

    let gguf = Gguf::open(&path).unwrap();
    assert_eq!(gguf.get_str("general.name"), Some("Swallow MoE 2x1M v0.1"));
    assert_eq!(gguf.get_str("general.size_label"), Some("2x1M"));
    assert_eq!(gguf.get_str("general.license"), Some("llama2"));
    assert_eq!(gguf.get_str("general.base_model.0.name"), Some("B 13b"));
    assert!(
        gguf.key_values
            .iter()
            .all(|(_, v)| !format!("{v:?}").contains("Superswallow"))
    );
}

#[test]
fn a_chat_template_is_embedded_when_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let source = checkpoint(dir.path(), "Moe", &small_moe());
    let output = dir.path().join("out.gguf");
    let template = |args: &[&str]| {
        converted(&source, &output, args);
        let gguf = Gguf::open(&output).unwrap();
        gguf.get_str("tokenizer.chat_template").map(str::to_owned)
    };
    assert_eq!(template(&[]), None);
    let swallow = template(&["--force", "--chat-template", "swallow"]).unwrap();
    assert!(swallow.contains("### 指示:"), "{swallow}");

    let file = dir.path().join("own.jinja");
    fs::write(&file, "{{ messages[0].content }}!").unwrap();
    let own = template(&["--force", "--chat-template", file.to_str().unwrap()]);
    assert_eq!(own.as_deref(), Some("{{ messages[0].content }}!"));

    let run = convert(&source, &output, &["--force", "--chat-template", "swalow"]);
    assert_eq!(run.status.code(), Some(1));
    assert!(
        text(&run.stderr).contains("swallow-instruct"),
        "{}",
        text(&run.stderr)
    );
}

#[test]
fn the_whole_targets_plan_is_made_from_headers_alone() {
    let dir = tempfile::tempdir().unwrap();
    let spec = Spec {
        sizes: Sizes::target(40),
        shards: 5,
        sparse: true,
        ..small_moe()
    };
    let source = checkpoint(dir.path(), "Swallow-MoE-2x13B-v0.1", &spec);
    for (file_type, size) in [
        ("q4_k_m", "13.09 GB"),
        ("q4_k_s", "12.33 GB"),
        ("q8_0", "22.98 GB"),
        ("bf16", "43.25 GB"),
    ] {
        let run = swallow_gguf()
            .current_dir(dir.path())
            .arg("convert")
            .arg(&source)
            .args(["-t", file_type, "--dry-run"])
            .output()
            .unwrap();
        let plan = text(&run.stdout);
        assert!(
            plan.contains(&format!("size    {size}")),
            "{file_type}: {plan}"
        );
    }
    // 523 of the checkpoint: experts are stacked, so 2·3 tensors of a layer become 3.
    let json = swallow_gguf()
        .current_dir(dir.path())
        .arg("convert")
        .arg(&source)
        .args(["--dry-run", "--json"])
        .output()
        .unwrap();
    let plan: Json = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(plan["parameters"], 21_624_181_760u64);
    assert_eq!(plan["tensors"].as_array().unwrap().len(), 403);
    assert_eq!(plan["output"], "Swallow-MoE-2x13B-v0.1-Q4_K_M.gguf");
    assert_eq!(listing(dir.path()), ["Swallow-MoE-2x13B-v0.1"]);
}

#[test]
fn wrong_arguments_show_the_right_ones() {
    let dir = tempfile::tempdir().unwrap();
    let source = checkpoint(dir.path(), "Moe", &small_moe());
    let output = dir.path().join("out.gguf");
    let run = convert(&source, &output, &["-t", "q4"]);
    assert_eq!(run.status.code(), Some(2));
    assert!(text(&run.stderr).contains("expected one of Q4_K_M, Q2_K"));
    let run = convert(&dir.path().join("nowhere"), &output, &[]);
    assert!(text(&run.stderr).contains("there is no such folder"));
    let run = convert(&source.join("config.json"), &output, &[]);
    assert!(text(&run.stderr).contains("it is a file"));
}
