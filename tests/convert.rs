//! `swallow-gguf convert` from outside: what it says, what it writes, and what it refuses.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value as Json, json};
use swallow_gguf::{
    gguf::Gguf,
    synthetic::{Sizes, Spec},
};
use tempfile::TempDir;

use crate::support::{checkpoint, convert, converted, small_moe, swallow_gguf, text};

/// Names of everything in a folder.
fn listing(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// A checkpoint of one shard that a test may damage.
struct Damaged {
    dir: TempDir,
    source: PathBuf,
}

impl Damaged {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let source = checkpoint(
            dir.path(),
            "Moe",
            &Spec {
                shards: 1,
                ..small_moe()
            },
        );
        Self { dir, source }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.source.join(name)
    }

    fn edit_json(&self, name: &str, edit: impl FnOnce(&mut Json)) {
        let path = self.file(name);
        let mut json = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        edit(&mut json);
        fs::write(path, json.to_string()).unwrap();
    }

    /// Changes the shard's header and leaves its data as it is.
    fn edit_header(&self, edit: impl FnOnce(&mut Json)) {
        let path = self.file("model.safetensors");
        let bytes = fs::read(&path).unwrap();
        let len = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let mut header: Json = serde_json::from_slice(&bytes[8..8 + len]).unwrap();
        edit(&mut header);
        let header = header.to_string();
        let mut out = (header.len() as u64).to_le_bytes().to_vec();
        out.extend(header.as_bytes());
        out.extend(&bytes[8 + len..]);
        fs::write(path, out).unwrap();
    }

    /// Overwrites one bf16 weight of a tensor.
    fn set_weight(&self, tensor: &str, index: usize, bits: u16) {
        let path = self.file("model.safetensors");
        let mut bytes = fs::read(&path).unwrap();
        let len = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let header: Json = serde_json::from_slice(&bytes[8..8 + len]).unwrap();
        let begin = header[tensor]["data_offsets"][0].as_u64().unwrap() as usize;
        let at = 8 + len + begin + 2 * index;
        bytes[at..at + 2].copy_from_slice(&bits.to_le_bytes());
        fs::write(path, bytes).unwrap();
    }

    /// Adds an index that puts every tensor in the one shard, but for what `edit` changes.
    fn add_index(&self, edit: impl FnOnce(&mut serde_json::Map<String, Json>)) {
        let bytes = fs::read(self.file("model.safetensors")).unwrap();
        let len = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let header: Json = serde_json::from_slice(&bytes[8..8 + len]).unwrap();
        let mut map: serde_json::Map<String, Json> = header
            .as_object()
            .unwrap()
            .keys()
            .filter(|name| *name != "__metadata__")
            .map(|name| (name.clone(), json!("model.safetensors")))
            .collect();
        edit(&mut map);
        let index = json!({"metadata": {}, "weight_map": map});
        fs::write(self.file("model.safetensors.index.json"), index.to_string()).unwrap();
    }
}

const Q_PROJ: &str = "model.layers.0.self_attn.q_proj.weight";

/// Every kind of damage: its name, the damage, and what the error must say.
type Case = (&'static str, fn(&Damaged), &'static [&'static str]);

const CASES: &[Case] = &[
    (
        "not a checkpoint",
        |d| fs::remove_file(d.file("config.json")).unwrap(),
        &["no `config.json`"],
    ),
    (
        "config.json is no JSON",
        |d| fs::write(d.file("config.json"), "{").unwrap(),
        &["config.json", "broken JSON"],
    ),
    (
        "no weights",
        |d| fs::remove_file(d.file("model.safetensors")).unwrap(),
        &["neither `model.safetensors` nor"],
    ),
    (
        "pickles",
        |d| fs::rename(d.file("model.safetensors"), d.file("pytorch_model.bin")).unwrap(),
        &["PyTorch pickles"],
    ),
    (
        "empty shard",
        |d| fs::write(d.file("model.safetensors"), "").unwrap(),
        &["found 0 bytes"],
    ),
    (
        "truncated shard",
        |d| {
            let path = d.file("model.safetensors");
            let file = fs::OpenOptions::new().write(true).open(path).unwrap();
            file.set_len(file.metadata().unwrap().len() - 1).unwrap();
        },
        &["model.safetensors", "truncated"],
    ),
    (
        "header longer than the file",
        |d| fs::write(d.file("model.safetensors"), [0xff; 64]).unwrap(),
        &["the header claims 18446744073709551615 bytes, longer than the file's 64"],
    ),
    (
        "Git LFS pointer",
        |d| {
            fs::write(
                d.file("model.safetensors"),
                "version https://git-lfs.github.com/spec/v1\n",
            )
            .unwrap()
        },
        &["git lfs pull"],
    ),
    (
        "overlapping tensors",
        |d| {
            d.edit_header(|h| {
                let embedding = h["model.embed_tokens.weight"]["data_offsets"].clone();
                h["lm_head.weight"]["data_offsets"] = embedding;
            });
        },
        &["overlaps tensor"],
    ),
    (
        "offsets and shape disagree",
        |d| d.edit_header(|h| h[Q_PROJ]["shape"] = json!([256, 255])),
        &[Q_PROJ, "takes 130560 bytes, its offsets give 131072"],
    ),
    (
        "shape larger than any file",
        |d| d.edit_header(|h| h[Q_PROJ]["shape"] = json!([1u64 << 40, 1u64 << 40])),
        &[Q_PROJ, "larger than any file"],
    ),
    (
        "bytes end before they begin",
        |d| d.edit_header(|h| h[Q_PROJ]["data_offsets"] = json!([10, 2])),
        &[Q_PROJ, "before they begin"],
    ),
    (
        "shard missing",
        |d| d.add_index(|m| m[Q_PROJ] = json!("model-00002-of-00002.safetensors")),
        &["model-00002-of-00002.safetensors", "is missing"],
    ),
    (
        "shard above the folder",
        |d| d.add_index(|m| m[Q_PROJ] = json!("../x.safetensors")),
        &["`../x.safetensors`", "same folder"],
    ),
    (
        "shard at an absolute path",
        |d| d.add_index(|m| m[Q_PROJ] = json!("/etc/passwd")),
        &["`/etc/passwd`", "same folder"],
    ),
    (
        "index names a tensor that is not there",
        |d| d.add_index(|m| drop(m.insert("extra.weight".into(), json!("model.safetensors")))),
        &["`extra.weight`", "does not have it"],
    ),
    (
        "tensor missing",
        |d| d.edit_header(|h| drop(h.as_object_mut().unwrap().remove(Q_PROJ))),
        &[Q_PROJ, "is missing from the checkpoint"],
    ),
    (
        "output matrix missing",
        |d| d.edit_header(|h| drop(h.as_object_mut().unwrap().remove("lm_head.weight"))),
        &["lm_head.weight", "tie_word_embeddings"],
    ),
    (
        "unknown tensor",
        |d| {
            d.edit_header(|h| {
                let norm = h
                    .as_object_mut()
                    .unwrap()
                    .remove("model.norm.weight")
                    .unwrap();
                h["model.norm.weight"] = norm.clone();
                h["model.surprise.weight"] =
                    json!({"dtype": "F32", "shape": [0], "data_offsets": [0, 0]});
            });
        },
        &["`model.surprise.weight`", "is unknown"],
    ),
    (
        "wrong shape",
        |d| d.edit_json("config.json", |c| c["intermediate_size"] = json!(511)),
        &["has shape [512, 256], config.json asks for [511, 256]"],
    ),
    (
        "unsupported type",
        |d| d.edit_header(|h| h[Q_PROJ]["dtype"] = json!("I16")),
        &[Q_PROJ, "type I16, expected BF16, F16 or F32"],
    ),
    (
        "unsupported architecture",
        |d| {
            d.edit_json("config.json", |c| {
                c["architectures"] = json!(["Qwen2ForCausalLM"])
            })
        },
        &["`Qwen2ForCausalLM`, expected `MixtralForCausalLM`"],
    ),
    (
        "vocabulary larger than vocab_size",
        |d| {
            let tokenizer = tempfile::tempdir().unwrap();
            let mut spec = small_moe();
            spec.sizes.vocab_size = 301;
            let other = checkpoint(tokenizer.path(), "other", &spec);
            fs::copy(other.join("tokenizer.model"), d.file("tokenizer.model")).unwrap();
        },
        &["301", "300"],
    ),
    (
        "no tokenizer",
        |d| fs::remove_file(d.file("tokenizer.model")).unwrap(),
        &["tokenizer.model", "tokenizer.json"],
    ),
    (
        "NaN in a weight",
        |d| d.set_weight(Q_PROJ, 3 * 256 + 5, 0x7fc0),
        &[Q_PROJ, "NaN at index [3, 5]"],
    ),
    (
        "infinity in an expert",
        |d| {
            d.set_weight(
                "model.layers.1.block_sparse_moe.experts.1.w2.weight",
                7 * 512 + 9,
                0xff80,
            )
        },
        &[
            "model.layers.1.block_sparse_moe.experts.1.w2.weight",
            "-inf at index [7, 9]",
        ],
    ),
    (
        "a weight too large for its type",
        |d| d.set_weight(Q_PROJ, 0, 0x7f00),
        &[Q_PROJ, "too large for Q4_K"],
    ),
];

#[test]
fn damaged_checkpoints_are_refused_by_name_and_leave_nothing() {
    for (name, damage, expected) in CASES {
        let damaged = Damaged::new();
        damage(&damaged);
        let out_dir = damaged.dir.path().join("out");
        fs::create_dir(&out_dir).unwrap();
        let run = convert(&damaged.source, &out_dir.join("out.gguf"), &[]);
        let stderr = text(&run.stderr);
        assert_eq!(run.status.code(), Some(1), "{name}: {stderr}");
        for fragment in *expected {
            assert!(
                stderr.contains(fragment),
                "{name}: expected {fragment:?} in {stderr}"
            );
        }
        assert_eq!(stderr.lines().count(), 1, "{name}: {stderr}");
        assert_eq!(listing(&out_dir), [""; 0], "{name}");
    }
}

#[test]
fn old_checkpoints_carry_rotary_frequencies_that_are_skipped() {
    let damaged = Damaged::new();
    damaged.edit_header(|h| {
        let name = "model.layers.0.self_attn.rotary_emb.inv_freq";
        h[name] = json!({"dtype": "F32", "shape": [0], "data_offsets": [0, 0]});
    });
    converted(&damaged.source, &damaged.dir.path().join("out.gguf"), &[]);
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
    for output in [shard.clone(), source.join("../Moe/model.safetensors")] {
        let run = convert(&source, &output, &["--force"]);
        assert!(text(&run.stderr).contains("is a file of the checkpoint itself"));
        assert!(fs::read(&shard).unwrap() == before);
    }

    let run = convert(&source, Path::new("/nonexistent/folder/x.gguf"), &[]);
    assert!(text(&run.stderr).contains("cannot write `/nonexistent/folder/x.gguf`"));
}

#[test]
fn a_failed_conversion_leaves_the_old_file() {
    let damaged = Damaged::new();
    damaged.set_weight(Q_PROJ, 0, 0x7fc0);
    let output = damaged.dir.path().join("out.gguf");
    fs::write(&output, "precious").unwrap();
    let run = convert(&damaged.source, &output, &["--force"]);
    assert_eq!(run.status.code(), Some(1));
    assert_eq!(fs::read(&output).unwrap(), b"precious");
    assert_eq!(listing(damaged.dir.path()), ["Moe", "out.gguf"]);
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
        stderr.contains(&format!("next: swallow-gguf run -m {name}")),
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
    assert!(text(&run.stderr).contains("expected one of Q4_K_M, Q4_K_S"));
    let run = convert(&dir.path().join("nowhere"), &output, &[]);
    assert!(text(&run.stderr).contains("there is no such folder"));
    let run = convert(&source.join("config.json"), &output, &[]);
    assert!(text(&run.stderr).contains("it is a file"));
}

#[cfg(unix)]
mod unix {
    use std::{
        os::unix::fs::PermissionsExt,
        process::{Command, Stdio},
        time::{Duration, Instant},
    };

    use super::*;

    #[test]
    fn ctrl_c_removes_what_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let spec = Spec {
            sizes: Sizes::target(2),
            shards: 1,
            sparse: true,
            ..small_moe()
        };
        let source = checkpoint(dir.path(), "Moe", &spec);
        let out_dir = dir.path().join("out");
        fs::create_dir(&out_dir).unwrap();
        let mut child = swallow_gguf()
            .arg("convert")
            .arg(&source)
            .args(["-t", "f32", "--threads", "1", "-o"])
            .arg(&out_dir)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();

        // Wait until it is in the middle of writing.
        let deadline = Instant::now() + Duration::from_secs(60);
        let written = || {
            let files = fs::read_dir(&out_dir).unwrap();
            files
                .map(|f| f.unwrap().metadata().unwrap().len())
                .sum::<u64>()
        };
        while written() < 1 << 20 {
            assert!(Instant::now() < deadline, "nothing was written");
            assert!(child.try_wait().unwrap().is_none(), "it ended too early");
            std::thread::sleep(Duration::from_millis(2));
        }
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        let run = child.wait_with_output().unwrap();
        let stderr = text(&run.stderr);
        assert_eq!(run.status.code(), Some(130), "{stderr}");
        assert!(
            stderr.contains("error: interrupted: nothing was written"),
            "{stderr}"
        );
        assert_eq!(listing(&out_dir), [""; 0]);
    }

    #[test]
    fn a_write_that_fails_midway_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let source = checkpoint(dir.path(), "Moe", &small_moe());
        let out_dir = dir.path().join("out");
        fs::create_dir(&out_dir).unwrap();
        // A limit on the size of files fails a write as a full disk does. 512 bytes each.
        let run = Command::new("sh")
            .args([
                "-c",
                r#"trap "" XFSZ; ulimit -f 200; exec "$0" convert "$1" -o "$2""#,
            ])
            .arg(env!("CARGO_BIN_EXE_swallow-gguf"))
            .arg(&source)
            .arg(out_dir.join("out.gguf"))
            .output()
            .unwrap();
        let stderr = text(&run.stderr);
        assert_eq!(run.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains("error: cannot write `"), "{stderr}");
        assert_eq!(listing(&out_dir), [""; 0]);
    }

    #[test]
    fn a_full_disk_is_noticed_before_the_first_byte() {
        let dir = tempfile::tempdir().unwrap();
        let source = checkpoint(dir.path(), "Moe", &small_moe());
        let disk = dir.path().join("disk");
        fs::create_dir(&disk).unwrap();
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"])
            .arg(&disk)
            .output();
        if !mount.is_ok_and(|m| m.status.success()) {
            eprintln!(
                "skipped: a_full_disk_is_noticed_before_the_first_byte: cannot mount a tmpfs"
            );
            return;
        }
        let run = convert(&source, &disk.join("out.gguf"), &[]);
        let left = listing(&disk);
        assert!(
            Command::new("umount")
                .arg(&disk)
                .status()
                .unwrap()
                .success()
        );
        let stderr = text(&run.stderr);
        assert_eq!(run.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains("not enough room in"), "{stderr}");
        assert_eq!(left, [""; 0]);
    }

    #[test]
    fn the_result_has_the_permissions_of_an_ordinary_file() {
        let dir = tempfile::tempdir().unwrap();
        let source = checkpoint(dir.path(), "Moe", &small_moe());
        let output = dir.path().join("out.gguf");
        converted(&source, &output, &[]);
        let ordinary = dir.path().join("ordinary");
        fs::write(&ordinary, "").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&output), mode(&ordinary));
    }
}
