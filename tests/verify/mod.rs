//! `swallow-gguf verify` from outside.

use std::{fs, path::Path, process::Output};

use serde_json::Value as Json;
use swallow_gguf::{
    gguf::Gguf,
    source::Dtype,
    synthetic::{Layout, Sizes, Spec},
};
use swallow_quant::GgmlType;

use crate::support::{checkpoint, converted, flip, small_moe, swallow_gguf, text};

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
    let info = gguf.tensor(name).unwrap();
    assert_eq!(info.ty, GgmlType::Q4_K);
    let at = (gguf.data_offset + info.offset) as usize;
    let mut bytes = fs::read(&output).unwrap();
    // The f16 scale of two blocks: NaN.
    for block in [700, 900] {
        bytes[at + block * 144..][..2].copy_from_slice(&[0x01, 0x7e]);
    }
    fs::write(&output, bytes).unwrap();

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
        (&nowhere, None, "there is no file"),
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
