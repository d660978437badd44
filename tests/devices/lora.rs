//! Adapters beside a model.

use std::path::{Path, PathBuf};

use swallow_gguf::gguf::{KeyValues, TensorInfo, Value, encode_header, lay_out};
use swallow_quant::GgmlType;

use super::{fail, succeed};
use crate::support::smollm2;

const QUESTION: &[&str] = &["-p", "Name a colour.", "-n", "8"];

/// Writes an adapter of rank 2 for a feed-forward matrix of SmolLM2: products of `a` and `b`.
fn write(path: &Path, b: f32, change: impl FnOnce(&mut KeyValues)) -> PathBuf {
    let tensor = |name: &str, dims: &[u64]| {
        let name = format!("blk.20.ffn_down.weight.{name}");
        TensorInfo::new(name, dims.to_vec(), GgmlType::F32).unwrap()
    };
    let mut tensors = vec![tensor("lora_a", &[1536, 2]), tensor("lora_b", &[2, 576])];
    lay_out(&mut tensors, 32).unwrap();
    let mut keys: KeyValues = [
        ("general.type", Value::from("adapter")),
        ("general.architecture", Value::from("llama")),
        ("adapter.type", Value::from("lora")),
        ("adapter.lora.alpha", Value::from(2.0)),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into();
    change(&mut keys);
    let mut bytes = encode_header(&keys, &tensors, 32);
    let a = (0..2 * 1536).map(|i| ((i * 7 % 11) as f32 - 5.0) * 0.1);
    let b = (0..2 * 576).map(|i| ((i * 5 % 7) as f32 - 3.0) * b);
    bytes.extend(a.chain(b).flat_map(f32::to_le_bytes));
    std::fs::write(path, bytes).unwrap();
    path.to_owned()
}

#[test]
fn an_adapter_changes_what_is_said_as_strongly_as_asked() {
    let Some(model) = smollm2("an_adapter_changes_what_is_said_as_strongly_as_asked") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let nothing = write(&dir.path().join("nothing.gguf"), 0.0, |_| {});
    let much = write(&dir.path().join("much=1.gguf"), 1.0, |_| {});
    let say = |lora: &str| succeed(&model, &[QUESTION, &["--lora", lora]].concat()).0;
    let (plain, _) = succeed(&model, QUESTION);
    assert_eq!(say(nothing.to_str().unwrap()), plain);
    let much = much.to_str().unwrap();
    assert_ne!(say(much), plain);
    assert_eq!(say(&format!("{much}=0")), plain);
}

#[test]
fn what_is_no_adapter_for_the_model_is_refused() {
    let Some(model) = smollm2("what_is_no_adapter_for_the_model_is_refused") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.gguf");
    let refused = |change: &dyn Fn(&mut KeyValues)| {
        write(&path, 0.0, change);
        let error = fail(
            &model,
            &[QUESTION, &["--lora", path.to_str().unwrap()]].concat(),
        );
        error.replace(dir.path().to_str().unwrap(), "DIR")
    };
    let set = |keys: &mut KeyValues, key: &str, value: Value| {
        keys.retain(|(k, _)| k != key);
        keys.push((key.to_owned(), value));
    };
    assert_eq!(
        refused(&|keys| set(keys, "general.architecture", "qwen3".into())),
        "`DIR/a.gguf` is an adapter for `qwen3` models, expected one for `llama`, as the model is"
    );
    assert_eq!(
        refused(&|keys| set(keys, "general.type", "model".into())),
        "`DIR/a.gguf` is a model, expected an adapter (LoRA) in a GGUF"
    );
    assert_eq!(
        refused(&|keys| set(keys, "adapter.type", "hypernetwork".into())),
        "`DIR/a.gguf` is an adapter of another kind, expected an adapter (LoRA) in a GGUF"
    );
    assert_eq!(
        refused(&|keys| set(keys, "adapter.lora.alpha", 2u32.into())),
        "`DIR/a.gguf` is an adapter whose `adapter.lora.alpha` is no f32, \
         expected one that llama.cpp's converter wrote"
    );
    let missing = fail(&model, &[QUESTION, &["--lora", "/nowhere/a.gguf"]].concat());
    assert!(missing.contains("/nowhere/a.gguf"), "{missing}");
    // Cut in its data, which only llama.cpp reads.
    write(&path, 0.0, |_| {});
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() - 100]).unwrap();
    let cut = fail(
        &model,
        &[QUESTION, &["--lora", path.to_str().unwrap()]].concat(),
    );
    assert!(cut.contains("a.gguf"), "{cut}");
}
