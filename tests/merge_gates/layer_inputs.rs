//! What the runner sees of a model's layers.

use std::fs;

use swallow_gguf::{
    runner::{Attention, LayerInputs, LayerModel, RunnerError},
    source::Checkpoint,
};

use super::base;
use crate::support;

/// The hook sees the nodes that it should: of layer 0 the embeddings, as the checkpoint has them, and in
/// batches of any number. A token that attends to nothing differs from one that attends to
/// itself, but for the input of layer 0.
#[test]
fn layer_inputs_are_what_goes_into_the_layers() {
    let dir = tempfile::tempdir().unwrap();
    let base = base(dir.path(), "base", 300);
    let gguf = dir.path().join("base.gguf");
    support::converted(&base, &gguf, &["-t", "bf16"]);
    let model = LayerModel::load(&gguf).unwrap();
    let mut reader = model.reader(600, 2).unwrap();

    let checkpoint = fs::read(base.join("model.safetensors")).unwrap();
    let tensors = Checkpoint::open(&base).unwrap().tensors;
    let start = tensors["model.embed_tokens.weight"].bytes.start as usize;
    let embedding = |token: u32| -> Vec<f32> {
        let row = &checkpoint[start + token as usize * 128..][..128];
        let bits = row
            .chunks(2)
            .map(|b| u32::from(u16::from_le_bytes([b[0], b[1]])));
        bits.map(|bits| f32::from_bits(bits << 16)).collect()
    };
    for n_tokens in [1, 2, 255, 256, 257, 600] {
        let tokens: Vec<u32> = (0..n_tokens).map(|i| i * 37 % 300).collect();
        let inputs = reader.read(&tokens, Attention::Causal).unwrap();
        assert_eq!((inputs.sums.len(), inputs.last.len()), (3, 3));
        assert_eq!(inputs.last[0], embedding(tokens[tokens.len() - 1]));
        let mut sum = vec![0.0; 64];
        for &token in &tokens {
            std::iter::zip(&mut sum, embedding(token)).for_each(|(s, v)| *s += f64::from(v));
        }
        assert_eq!(inputs.sums[0], sum);
        let again = reader.read(&tokens, Attention::Causal).unwrap();
        assert_eq!(again, inputs, "nothing is left of the text before");
    }
    // What a token sees does not depend on what comes after it.
    let whole = reader.read(&[5, 6, 7], Attention::Causal).unwrap();
    let parts = [1, 2, 3].map(|n| reader.read(&[5, 6, 7][..n], Attention::Causal).unwrap());
    for layer in 0..3 {
        for i in 0..64 {
            let sum: f64 = parts
                .iter()
                .map(|part| f64::from(part.last[layer][i]))
                .sum();
            assert!((whole.sums[layer][i] - sum).abs() < 0.01, "{layer} {i}");
        }
    }
    let alone = reader.read(&[5], Attention::Causal).unwrap();
    let blind = reader.read(&[5], Attention::None).unwrap();
    assert_eq!(alone.last[0], blind.last[0]);
    assert_ne!(alone.last[1], blind.last[1]);
    // Fillers are all the same.
    let three = reader.read(&[5, 5, 5], Attention::None).unwrap();
    for layer in 0..3 {
        for i in 0..64 {
            assert!(
                (three.sums[layer][i] - 3.0 * blind.sums[layer][i]).abs() < 0.01,
                "{layer} {i}"
            );
        }
    }
    assert_eq!(reader.read(&[5], Attention::Causal).unwrap(), alone);

    let told = |result: Result<LayerInputs, RunnerError>| result.unwrap_err().to_string();
    assert_eq!(
        told(reader.read(&[], Attention::Causal)),
        "the prompt is empty"
    );
    let error = told(reader.read(&[1, 300], Attention::Causal));
    assert!(
        error.starts_with("llama.cpp cannot evaluate 2 tokens at position 0: "),
        "{error}"
    );
    let error = told(reader.read(&[1; 2000], Attention::Causal));
    assert!(error.starts_with("llama.cpp cannot evaluate "), "{error}");
    assert_eq!(
        reader.read(&[5], Attention::Causal).unwrap(),
        alone,
        "after an error"
    );

    let missing = dir.path().join("missing.gguf");
    let error = LayerModel::load(&missing).unwrap_err().to_string();
    assert!(
        error.starts_with(&format!("llama.cpp cannot load `{}`: ", missing.display())),
        "{error}"
    );
}
