//! The example that makes checkpoints out of a real model, and the way back to GGUF.
//!
//! Needs SmolLM2-135M-Instruct as `scripts/test.sh` fetches it, by path in `SMOLLM2_GGUF`.

use std::{
    env,
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::Path,
    process::Command,
};

use swallow_gguf::gguf::{Gguf, TensorInfo};

use crate::support::{moe_from_gguf, smollm2};

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn convert(source: &Path, file_type: &str, output: &Path) -> Gguf {
    let mut command = Command::new(env!("CARGO_BIN_EXE_swallow-gguf"));
    run(command
        .arg("convert")
        .arg(source)
        .args(["-q", "-t", file_type, "-o"])
        .arg(output));
    Gguf::open(output).unwrap()
}

fn values(path: &Path, gguf: &Gguf, tensor: &TensorInfo) -> Vec<f32> {
    let mut file = File::open(path).unwrap();
    file.seek(SeekFrom::Start(gguf.data_offset + tensor.offset))
        .unwrap();
    let mut bytes = vec![0; tensor.size() as usize];
    file.read_exact(&mut bytes).unwrap();
    let mut values = vec![0.0; tensor.elements() as usize];
    swallow_quant::dequantize(tensor.ty, &bytes, &mut values).unwrap();
    values
}

#[test]
fn a_dense_model_comes_back_as_it_was() {
    let Some(model) = smollm2("a_dense_model_comes_back_as_it_was") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let checkpoint = dir.path().join("Dense-135M");
    run(moe_from_gguf()
        .arg(&model)
        .arg(&checkpoint)
        .args(["--dense", "--dtype", "f32"]));
    let path = dir.path().join("dense.gguf");
    let (before, after) = (
        Gguf::open(&model).unwrap(),
        convert(&checkpoint, "f32", &path),
    );

    assert_eq!(after.tensors.len(), before.tensors.len());
    for tensor in &before.tensors {
        let found = after.tensor(&tensor.name).unwrap();
        assert_eq!(found.dims, tensor.dims, "{}", tensor.name);
        let same = values(&path, &after, found) == values(&model, &before, tensor);
        assert!(same, "{} has other values", tensor.name);
    }
    for (key, value) in &before.key_values {
        let decides = key.starts_with("llama.") || key.starts_with("tokenizer.");
        assert!(
            !decides || after.get(key) == Some(value),
            "{key} is not what it was"
        );
    }
}

#[test]
fn the_experts_are_the_dense_models_feed_forward() {
    let Some(model) = smollm2("the_experts_are_the_dense_models_feed_forward") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let checkpoint = dir.path().join("Three-3x135M");
    let arguments = ["--experts", "3", "--shards", "3", "--dtype", "f32"];
    run(moe_from_gguf().arg(&model).arg(&checkpoint).args(arguments));
    let path = dir.path().join("moe.gguf");
    let (before, after) = (
        Gguf::open(&model).unwrap(),
        convert(&checkpoint, "f32", &path),
    );

    assert_eq!(after.get_u64("llama.expert_count"), Some(3));
    assert_eq!(after.get_u64("llama.expert_used_count"), Some(2));
    for part in ["gate", "up", "down"] {
        let dense = before.tensor(&format!("blk.7.ffn_{part}.weight")).unwrap();
        let dense = values(&model, &before, dense);
        let experts = after
            .tensor(&format!("blk.7.ffn_{part}_exps.weight"))
            .unwrap();
        let experts = values(&path, &after, experts);
        assert_eq!(experts.len(), 3 * dense.len());
        assert!(
            experts.chunks(dense.len()).all(|expert| expert == dense),
            "ffn_{part}"
        );
    }
    let routers: Vec<_> = [0, 1]
        .map(|layer| {
            after
                .tensor(&format!("blk.{layer}.ffn_gate_inp.weight"))
                .unwrap()
        })
        .iter()
        .map(|router| values(&path, &after, router))
        .collect();
    assert_eq!(routers[0].len(), 3 * 576);
    assert_ne!(
        routers[0], routers[1],
        "every layer has a router of its own"
    );
}
