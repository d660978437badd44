//! `swallow-gguf verify` from outside.

use std::{fs, path::Path, process::Output};

use serde_json::Value as Json;
use swallow_gguf::{
    file_type::FileType,
    gguf::{Gguf, Value},
    imatrix::Imatrix,
    source::Dtype,
    synthetic::{Layout, Sizes, Spec, imatrix},
};
use swallow_quant::GgmlType;

use crate::support::{
    LlamaKnobs, change_keys, checkpoint, converted, flip, llama_quantize, small_moe, swallow_gguf,
    text,
};

fn verify(file: &Path, against: Option<&Path>, args: &[&str]) -> Output {
    let mut command = swallow_gguf();
    command.arg("verify").arg(file).args(args);
    if let Some(source) = against {
        command.arg("--against").arg(source);
    }
    command.output().unwrap()
}

/// What was found, as JSON, and the exit code.
fn json(file: &Path, against: Option<&Path>) -> (Json, Option<i32>) {
    let output = verify(file, against, &["--json"]);
    assert_eq!(text(&output.stderr), "");
    (
        serde_json::from_slice(&output.stdout).unwrap(),
        output.status.code(),
    )
}

/// Writes over the first bytes of a block of a tensor.
fn overwrite(file: &Path, tensor: &str, block: usize, with: &[u8]) {
    let gguf = Gguf::open(file).unwrap();
    let info = gguf.tensor(tensor).unwrap();
    let begin = (gguf.data_offset + info.offset) as usize + block * info.ty.block_bytes();
    let mut bytes = fs::read(file).unwrap();
    bytes[begin..begin + with.len()].copy_from_slice(with);
    fs::write(file, bytes).unwrap();
}

/// Sets keys of a file, or adds them.
fn set_keys(file: &Path, values: &[(&str, Value)]) {
    change_keys(file, |keys| {
        for (key, value) in values {
            keys.retain(|(k, _)| k != key);
            keys.push(((*key).to_owned(), value.clone()));
        }
    });
}

#[test]
fn every_layout_is_true_to_its_checkpoint() {
    let small = small_moe();
    let specs = [
        ("separate", small),
        (
            "fused",
            Spec {
                layout: Layout::Fused,
                tied: true,
                ..small
            },
        ),
        (
            "mixed",
            Spec {
                other_dtype: Some(Dtype::F32),
                dtype: Dtype::F16,
                ..small
            },
        ),
        (
            "dense",
            Spec {
                sizes: Sizes {
                    num_local_experts: 0,
                    ..small.sizes
                },
                ..small
            },
        ),
        // Embedding and output of more than one chunk.
        (
            "large",
            Spec {
                sizes: Sizes {
                    num_hidden_layers: 1,
                    vocab_size: 8_500,
                    ..small.sizes
                },
                ..small
            },
        ),
    ];
    let dir = tempfile::tempdir().unwrap();
    let output = dir.path().join("out.gguf");
    for (name, spec) in specs {
        let source = checkpoint(dir.path(), name, &spec);
        converted(&source, &output, &["--force", "-t", "f32"]);
        let (found, code) = json(&output, Some(&source));
        assert_eq!(
            (&found["well"], code),
            (&Json::Bool(true), Some(0)),
            "{found:#}"
        );
        let tensors = found["against"]["tensors"].as_array().unwrap();
        assert_eq!(tensors.len(), Gguf::open(&output).unwrap().tensors.len());
        assert!(
            tensors.iter().all(|t| t["exact"] == true),
            "{name}: {found:#}"
        );

        converted(&source, &output, &["--force", "-t", "q4_k_m"]);
        let (found, code) = json(&output, Some(&source));
        assert_eq!(code, Some(0));
        for tensor in found["against"]["tensors"].as_array().unwrap() {
            // For Gaussian weights, about six decibels a bit.
            let expected = match tensor["type"].as_str().unwrap() {
                "F32" => None,
                "Q4_K" => Some(20.0..25.0),
                "Q6_K" => Some(33.0..38.0),
                "Q8_0" => Some(40.0..50.0),
                other => panic!("{name}: {other}"),
            };
            let snr = tensor["snr_db"].as_f64();
            let right = expected.map_or(tensor["exact"] == true, |range| {
                range.contains(&snr.unwrap())
            });
            assert!(right, "{name}: {tensor:#}");
        }
    }
}

#[test]
fn a_scale_that_is_no_number_is_found_in_its_block() {
    let dir = tempfile::tempdir().unwrap();
    let source = checkpoint(dir.path(), "Moe", &small_moe());
    let output = dir.path().join("out.gguf");
    converted(&source, &output, &[]);
    let name = "blk.1.ffn_gate_exps.weight";
    let gguf = Gguf::open(&output).unwrap();
    assert_eq!(gguf.tensor(name).unwrap().ty, GgmlType::Q4_K);
    // The f16 scale of two blocks: NaN.
    for block in [700, 900] {
        overwrite(&output, name, block, &[0x01, 0x7e]);
    }

    let run = verify(&output, None, &[]);
    assert_eq!(run.status.code(), Some(1));
    let stdout = text(&run.stdout);
    assert!(
        stdout.contains(": DAMAGED: 1 tensor has weights that are not finite; "),
        "{stdout}"
    );
    let line = format!("  {name}  Q4_K  block 700 of 1,024 is the first that is not finite\n");
    assert!(stdout.ends_with(&line), "{stdout}");
    let (found, code) = json(&output, Some(&source));
    assert_eq!((&found["well"], code), (&Json::Bool(false), Some(1)));
    assert_eq!(found["soundness"]["not_finite"][0]["block"], 700);
    let tensors = found["against"]["tensors"].as_array().unwrap();
    let bad: Vec<&Json> = tensors.iter().filter(|t| t["foreign"] == true).collect();
    assert_eq!(bad.len(), 1);
    assert_eq!(
        (&bad[0]["name"], &bad[0]["not_finite"]),
        (&name.into(), &512.into())
    );
}

#[test]
fn a_cut_file_is_broken_and_a_missing_one_is_trouble() {
    let dir = tempfile::tempdir().unwrap();
    let source = checkpoint(dir.path(), "Moe", &small_moe());
    let output = dir.path().join("out.gguf");
    let whole = converted(&source, &output, &[]);
    for len in [whole.len() / 2, 100, 10, 0] {
        fs::write(&output, &whole[..len]).unwrap();
        let run = verify(&output, Some(&source), &[]);
        assert_eq!(run.status.code(), Some(1));
        let stdout = text(&run.stdout);
        assert!(stdout.contains("out.gguf: BROKEN: "), "{stdout}");
        assert_eq!(stdout.lines().count(), 1);
        let (found, code) = json(&output, None);
        assert_eq!((&found["well"], code), (&Json::Bool(false), Some(1)));
        assert!(found["broken"].is_string());
    }
    fs::write(&output, &whole).unwrap();
    let nowhere = dir.path().join("nowhere");
    for (file, against, expected) in [
        (&nowhere, None, "there is no file `"),
        (&output, Some(nowhere.as_path()), "there is no such folder"),
        (&output, Some(dir.path()), "no `config.json`"),
    ] {
        let run = verify(file, against, &[]);
        assert_eq!(run.status.code(), Some(2));
        let stderr = text(&run.stderr);
        assert!(
            stderr.starts_with("error: ") && stderr.contains(expected),
            "{stderr}"
        );
    }
}

#[test]
fn another_checkpoint_is_not_taken_for_the_source() {
    let dir = tempfile::tempdir().unwrap();
    let small = small_moe();
    let source = checkpoint(dir.path(), "Moe", &small);
    let output = dir.path().join("out.gguf");
    converted(&source, &output, &[]);

    let other = checkpoint(dir.path(), "Seed", &Spec { seed: 2, ..small });
    let (found, code) = json(&output, Some(&other));
    assert_eq!(code, Some(1));
    let tensors = found["against"]["tensors"].as_array().unwrap();
    assert!(
        tensors.iter().all(|tensor| tensor["foreign"] == true),
        "{found:#}"
    );
    let stdout = text(&verify(&output, Some(&other), &[]).stdout);
    let n = tensors.len();
    assert!(
        stdout.contains(&format!("\n{n} of {n} tensors are NOT the checkpoint's\n")),
        "{stdout}"
    );

    let sizes = Sizes {
        num_hidden_layers: 1,
        vocab_size: 320,
        ..small.sizes
    };
    let other = checkpoint(dir.path(), "Smaller", &Spec { sizes, ..small });
    let run = verify(&output, Some(&other), &[]);
    assert_eq!(run.status.code(), Some(1));
    let stdout = text(&run.stdout);
    for line in [
        "tensor `output.weight` has shape [256, 300], the checkpoint's has [256, 320]\n",
        "tensor `blk.1.attn_q.weight` is not of this checkpoint\n",
    ] {
        assert!(stdout.contains(line), "{stdout}");
    }

    let sizes = Sizes {
        num_hidden_layers: 3,
        ..small.sizes
    };
    let other = checkpoint(dir.path(), "Larger", &Spec { sizes, ..small });
    let stdout = text(&verify(&output, Some(&other), &[]).stdout);
    assert!(
        stdout.contains("tensor `blk.2.attn_q.weight` is missing from the file\n"),
        "{stdout}"
    );
}

#[test]
fn the_table_marks_the_worst_of_each_type() {
    let dir = tempfile::tempdir().unwrap();
    let small = small_moe();
    let spec = Spec {
        sizes: Sizes {
            num_hidden_layers: 1,
            ..small.sizes
        },
        ..small
    };
    let source = checkpoint(dir.path(), "Moe", &spec);
    let output = dir.path().join("out.gguf");
    converted(&source, &output, &[]);
    // The sign of the scale of one block.
    flip(&output, "blk.0.attn_q.weight", 7, 1, 0x80);
    let run = swallow_gguf()
        .current_dir(dir.path())
        .args(["verify", "out.gguf", "--against", "Moe"])
        .output()
        .unwrap();
    assert_eq!(run.status.code(), Some(0), "{}", text(&run.stderr));
    let found = text(&run.stdout);
    assert_eq!(found, include_str!("table.txt"), "found:\n{found}");
}

/// What llama.cpp makes of an importance matrix that never saw the second expert: weights of 0.
#[test]
fn weights_that_were_lost_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let source = checkpoint(dir.path(), "Moe", &small_moe());
    let (plain, output) = (dir.path().join("plain.gguf"), dir.path().join("out.gguf"));
    converted(&source, &plain, &["-t", "bf16"]);
    let spec = imatrix::Spec {
        seed: 1,
        output: false,
        unseen: false,
    };
    let mut measured = imatrix::measure(&Gguf::open(&plain).unwrap().tensors, &spec);
    for measured in &mut measured {
        let columns = measured.sums.len() / measured.counts.len();
        match measured.tensor.as_str() {
            "blk.1.attn_k.weight" => measured.sums.fill(0.0),
            "blk.0.ffn_up_exps.weight" | "blk.1.ffn_up_exps.weight" => {
                measured.sums[columns..].fill(0.0);
            }
            _ => {}
        }
    }
    let path = dir.path().join("imatrix");
    fs::write(&path, imatrix::write_gguf(&measured, "t").unwrap()).unwrap();
    let knobs = LlamaKnobs {
        imatrix: Some(&Imatrix::open(&path).unwrap()),
        pure: true,
        ..LlamaKnobs::default()
    };
    for (file_type, blocks) in [(FileType::Q4_0, 256 * 64 / 32), (FileType::Q6_K, 64)] {
        assert!(llama_quantize(&plain, &output, file_type, &knobs));
        let run = verify(&output, None, &[]);
        let stdout = text(&run.stdout);
        assert_eq!(run.status.code(), Some(0), "{stdout}");
        let note = "note: all weights are 0 in `blk.1.attn_k.weight`\n\
                    note: all weights of expert 1 are 0 in `blk.{0-1}.ffn_up_exps.weight`\n";
        assert!(
            stdout.contains(": sound; ") && stdout.ends_with(note),
            "{stdout}"
        );

        let run = verify(&output, Some(&source), &[]);
        let stdout = text(&run.stdout);
        assert_eq!(run.status.code(), Some(1), "{stdout}");
        for line in [
            "LOST\n".to_owned(),
            "tensor `blk.0.ffn_up_exps.weight`: expert 1 is 0, the checkpoint's weights are not \
             ("
            .to_owned(),
            format!(
                "tensor `blk.1.attn_k.weight`: the whole tensor is 0, the checkpoint's weights are \
                 not ({blocks} blocks of {blocks})\n"
            ),
        ] {
            assert!(stdout.contains(&line), "{line}\n{stdout}");
        }
        let (found, code) = json(&output, Some(&source));
        assert_eq!((&found["well"], code), (&Json::Bool(false), Some(1)));
        let constant = &found["soundness"]["remarks"]["constant"];
        assert_eq!(constant[0]["tensor"], "blk.0.ffn_up_exps.weight");
        assert_eq!(
            (&constant[0]["experts"], &constant[0]["value"]),
            (&serde_json::json!([1]), &serde_json::json!(0.0))
        );
        let tensors = found["against"]["tensors"].as_array().unwrap();
        let lost: Vec<&Json> = tensors.iter().filter(|t| t["lost"].is_object()).collect();
        assert_eq!(lost.len(), 3);
    }
    // The same matrix loses nothing here.
    let args = [
        "--force",
        "--pure",
        "-t",
        "q6_k",
        "--imatrix",
        path.to_str().unwrap(),
    ];
    converted(&source, &output, &args);
    let (found, code) = json(&output, Some(&source));
    assert_eq!(
        (&found["well"], code),
        (&Json::Bool(true), Some(0)),
        "{found:#}"
    );
}

#[test]
fn a_block_without_a_scale_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let source = checkpoint(dir.path(), "Moe", &small_moe());
    let output = dir.path().join("out.gguf");
    converted(&source, &output, &[]);
    // The scales of scales and minimums.
    let name = "blk.1.ffn_gate_exps.weight";
    for block in [700, 901] {
        overwrite(&output, name, block, &[0; 4]);
    }
    let run = verify(&output, Some(&source), &[]);
    let stdout = text(&run.stdout);
    assert_eq!(run.status.code(), Some(1), "{stdout}");
    let line = format!(
        "tensor `{name}`: 2 blocks of 1,024 are 0 where the checkpoint's weights are not, block 700 is \
         the first\n"
    );
    assert!(stdout.contains(&line), "{stdout}");
    // By itself nothing is wrong with it.
    let (found, code) = json(&output, None);
    assert_eq!((&found["well"], code), (&Json::Bool(true), Some(0)));
    assert_eq!(
        found["soundness"]["remarks"]["constant"],
        serde_json::json!([])
    );
}

#[test]
fn equal_experts_and_constant_matrices_are_remarks() {
    let dir = tempfile::tempdir().unwrap();
    let mut spec = small_moe();
    spec.sizes.num_local_experts = 4;
    let source = checkpoint(dir.path(), "Moe", &spec);
    let output = dir.path().join("out.gguf");
    converted(&source, &output, &["-t", "f16"]);
    let (gguf, mut bytes) = (Gguf::open(&output).unwrap(), fs::read(&output).unwrap());
    let place = |name: &str| {
        let info = gguf.tensor(name).unwrap();
        let begin = (gguf.data_offset + info.offset) as usize;
        begin..begin + info.size() as usize
    };
    let copy = |bytes: &mut Vec<u8>, name: &str, from: usize, to: usize| {
        let place = place(name);
        let len = place.len() / 4;
        let from = place.start + from * len;
        bytes.copy_within(from..from + len, place.start + to * len);
    };
    for name in ["blk.0.ffn_up_exps.weight", "blk.1.ffn_up_exps.weight"] {
        copy(&mut bytes, name, 0, 2);
        copy(&mut bytes, name, 1, 3);
    }
    copy(&mut bytes, "blk.1.ffn_down_exps.weight", 3, 1);
    bytes[place("blk.0.attn_v.weight")].fill(0);
    for one in bytes[place("blk.1.attn_v.weight")].chunks_mut(2) {
        one.copy_from_slice(&[0, 0x3c]);
    }
    fs::write(&output, bytes).unwrap();

    let run = verify(&output, None, &[]);
    let stdout = text(&run.stdout);
    assert_eq!(run.status.code(), Some(0), "{stdout}");
    let notes = "note: all weights are 0 in `blk.0.attn_v.weight`\n\
                 note: all weights are 1.0 in `blk.1.attn_v.weight`\n\
                 note: experts 0 and 2, and 1 and 3 are equal in `blk.{0-1}.ffn_up_exps.weight`\n\
                 note: experts 1 and 3 are equal in `blk.1.ffn_down_exps.weight`\n";
    assert!(stdout.ends_with(notes), "{stdout}");
    let (found, code) = json(&output, None);
    assert_eq!((&found["well"], code), (&Json::Bool(true), Some(0)));
    let remarks = &found["soundness"]["remarks"];
    let equal = |i: usize, what: &str| remarks["equal_experts"][i][what].clone();
    assert_eq!(equal(0, "tensor"), "blk.0.ffn_up_exps.weight");
    assert_eq!(equal(0, "groups"), serde_json::json!([[0, 2], [1, 3]]));
    assert_eq!(equal(1, "tensor"), "blk.1.ffn_down_exps.weight");
}

#[test]
fn what_does_not_fit_is_a_problem() {
    let dir = tempfile::tempdir().unwrap();
    let source = checkpoint(dir.path(), "Moe", &small_moe());
    let (plain, output) = (dir.path().join("plain.gguf"), dir.path().join("out.gguf"));
    converted(&source, &plain, &["-t", "bf16"]);
    for (overrides, lines) in [
        (
            &[("llama.expert_used_count", Value::U32(3))][..],
            &["`llama.expert_used_count` is 3, expected 1 to 2 (`llama.expert_count`)"][..],
        ),
        (
            &[
                ("tokenizer.ggml.bos_token_id", Value::U32(300)),
                ("llama.block_count", Value::U32(3)),
            ],
            &[
                "`llama.block_count` is 3, expected 2",
                "`tokenizer.ggml.bos_token_id` is 300, expected below 300, the number of \
                 `tokenizer.ggml.tokens`",
            ],
        ),
        (
            &[("tokenizer.chat_template", "{% endfor %}".into())],
            &[
                "`tokenizer.chat_template` is no Jinja template, expected one (line 1: unknown \
               statement endfor)",
            ],
        ),
    ] {
        fs::copy(&plain, &output).unwrap();
        set_keys(&output, overrides);
        let run = verify(&output, None, &[]);
        let stdout = text(&run.stdout);
        assert_eq!(run.status.code(), Some(1), "{stdout}");
        let verdict = match lines.len() {
            1 => ": INCONSISTENT: 1 thing does not fit the rest; ",
            _ => ": INCONSISTENT: 2 things do not fit the rest; ",
        };
        assert!(stdout.contains(verdict), "{stdout}");
        let told: String = lines.iter().map(|line| format!("  {line}\n")).collect();
        assert!(stdout.ends_with(&told), "{told}{stdout}");
        let (found, code) = json(&output, Some(&source));
        assert_eq!((&found["well"], code), (&Json::Bool(false), Some(1)));
        let mismatches = found["soundness"]["mismatches"].as_array().unwrap();
        assert_eq!(mismatches.len(), lines.len());
    }
    // One number wrong makes many tensors wrong: as text some of them are shown.
    let mut spec = small_moe();
    spec.sizes.num_hidden_layers = 9;
    let source = checkpoint(dir.path(), "Deep", &spec);
    converted(&source, &output, &["--force", "-t", "bf16"]);
    set_keys(&output, &[("llama.feed_forward_length", Value::U32(256))]);
    let stdout = text(&verify(&output, None, &[]).stdout);
    assert!(
        stdout.ends_with("  and 7 more, which `--json` lists\n"),
        "{stdout}"
    );
    assert_eq!(stdout.lines().count(), 22);
}
