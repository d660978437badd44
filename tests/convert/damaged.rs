//! Every kind of damage to a checkpoint, and what is said of it.

use std::{fs, path::PathBuf};

use serde_json::{Value as Json, json};
use swallow_gguf::synthetic::Spec;
use tempfile::TempDir;

use super::listing;
use crate::support::{checkpoint, convert, converted, small_moe, text};

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
