//! Every kind of damage to a checkpoint, and what is said of it.

use std::fs;

use serde_json::json;

use super::listing;
use crate::{
    edited::{Edited, SHARD},
    support::{checkpoint, convert, converted, small_moe, text},
};

const Q_PROJ: &str = "model.layers.0.self_attn.q_proj.weight";

/// Every kind of damage: its name, the damage, and what the error must say.
type Case = (&'static str, fn(&Edited), &'static [&'static str]);

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
        &["there are no weights"],
    ),
    (
        "pickles",
        |d| fs::rename(d.file("model.safetensors"), d.file("pytorch_model.bin")).unwrap(),
        &["PyTorch pickles"],
    ),
    (
        "empty shard",
        |d| fs::write(d.file("model.safetensors"), "").unwrap(),
        &["it is empty"],
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
        &["1 of 2 shards", "`model-00002-of-00002.safetensors`"],
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
        |d| d.add_index(|m| drop(m.insert("extra.weight".into(), json!(SHARD)))),
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
        &["has shape [512, 256], config.json asks for [511, 256] by `intermediate_size`"],
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
                c["architectures"] = json!(["GPT2LMHeadModel"])
            })
        },
        &["`GPT2LMHeadModel`, expected one that `convert --list-architectures` prints"],
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
        &["ids up to 300", "rows up to 299"],
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
        let damaged = Edited::new();
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
    let damaged = Edited::new();
    damaged.edit_header(|h| {
        let name = "model.layers.0.self_attn.rotary_emb.inv_freq";
        h[name] = json!({"dtype": "F32", "shape": [0], "data_offsets": [0, 0]});
    });
    converted(&damaged.source, &damaged.dir.path().join("out.gguf"), &[]);
}

#[test]
fn a_failed_conversion_leaves_the_old_file() {
    let damaged = Edited::new();
    damaged.set_weight(Q_PROJ, 0, 0x7fc0);
    let output = damaged.dir.path().join("out.gguf");
    fs::write(&output, "precious").unwrap();
    let run = convert(&damaged.source, &output, &["--force"]);
    assert_eq!(run.status.code(), Some(1));
    assert_eq!(fs::read(&output).unwrap(), b"precious");
    assert_eq!(listing(damaged.dir.path()), ["Moe", "out.gguf"]);
}
