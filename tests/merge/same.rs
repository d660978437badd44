//! A merge is the conversion of the checkpoint that it writes, whatever the parents are.

use std::fs;

use serde_json::{Value as Json, json};
use swallow_gguf::{gguf::Gguf, source::Dtype, synthetic::Spec};

use super::{RANDOM, dense, merged, parents, recipe, require_same};
use crate::support::converted;

#[test]
fn a_merge_is_the_conversion_of_the_checkpoint_it_writes() {
    let dir = parents(dense);
    let card = "---\nlicense: mit\nlanguage: ja\n---\n# A-Model\n";
    fs::write(dir.path().join("one/README.md"), card).unwrap();
    let cases: [(&str, &[&str], &[&str]); 5] = [
        (RANDOM, &["q4_k_m", "bf16", "f32", "q8_0"], &[]),
        (
            "base_model: three
experts: [{source_model: one}, {source_model: two}, {source_model: three}, {source_model: two}]
gate_mode: uniform_random
experts_per_token: 3
",
            &["q4_k_s", "f16"],
            &["--seed", "7", "--name", "Four-Experts-v2"],
        ),
        (
            "base_model: one
dtype: float16
gate_mode: random
experts:
  - {source_model: two, noise_scale: 0.01, residual_scale: 0.5}
  - {source_model: two, noise_scale: 0.01}
  - {source_model: two, residual_scale: -1}
",
            &["q6_k", "f16", "f32"],
            &["--seed", "3", "--experts-per-token", "1"],
        ),
        (
            "base_model: one
dtype: float32
gate_mode: random
experts: [{source_model: one, noise_scale: 0.1}, {source_model: one, noise_scale: 0.1}]
",
            &["f32", "bf16", "q5_k_m"],
            &[],
        ),
        (
            "base_model: one
gate_mode: random
experts: [{source_model: one}]
experts_per_token: 1
",
            &["q4_0"],
            &[],
        ),
    ];
    for (yaml, file_types, args) in cases {
        require_same(&recipe(dir.path(), yaml), file_types, args);
    }
}

/// Parents in other formats: what is rounded, what is not, and grouped heads that are put in order.
#[test]
fn every_format_of_the_parents_is_rounded_to_the_recipes() {
    for (of_parents, others) in [(Dtype::F32, Some(Dtype::Bf16)), (Dtype::F16, None)] {
        let dir = parents(|seed| Spec {
            dtype: of_parents,
            other_dtype: others,
            tied: true,
            ..dense(seed)
        });
        for dtype in ["bfloat16", "float16", "float32"] {
            let yaml = RANDOM.replace("bfloat16", dtype);
            require_same(&recipe(dir.path(), &yaml), &["q4_k_m", "f32"], &[]);
        }
    }
}

/// Mistral, the words of transformers 5, scaled positions, heads of their own width.
#[test]
fn configs_of_parents_come_through() {
    let llama3 = json!({
        "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 1024,
    });
    let cases = [
        (
            "mistral",
            json!({"architectures": ["MistralForCausalLM"], "sliding_window": 4096}),
        ),
        (
            "linear",
            json!({"rope_scaling": {"type": "linear", "factor": 4.0}}),
        ),
        ("llama3", json!({"rope_scaling": llama3})),
        (
            "transformers 5",
            json!({"rope_theta": null, "dtype": "bfloat16", "rope_parameters": {"rope_type": "default", "rope_theta": 5e5}}),
        ),
        (
            "head_dim",
            json!({"head_dim": 32, "rms_norm_eps": 1e-6, "pad_token_id": 0}),
        ),
    ];
    for (name, change) in cases {
        let dir = parents(dense);
        for parent in ["one", "two"] {
            let path = dir.path().join(parent).join("config.json");
            let mut config: Json = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
            for (key, value) in change.as_object().unwrap() {
                config[key] = value.clone();
            }
            fs::write(&path, config.to_string()).unwrap();
        }
        let path = recipe(dir.path(), RANDOM);
        require_same(&path, &["q4_k_m"], &[]);
        // What the runner reads is the base's.
        let [merged_path, base_path] = ["m.gguf", "b.gguf"].map(|name| dir.path().join(name));
        merged(&path, &merged_path, &[]);
        converted(&dir.path().join("one"), &base_path, &[]);
        let [merged, base] = [&merged_path, &base_path].map(|path| Gguf::open(path).unwrap());
        for (key, value) in &base.key_values {
            if key.starts_with("llama.") || key.starts_with("tokenizer.") {
                assert_eq!(merged.get(key), Some(value), "{name}: {key}");
            }
        }
        let [merged, base] =
            [&merged, &base].map(|gguf| gguf.tensor("rope_freqs.weight").is_some());
        assert_eq!(merged, base, "{name}");
    }
}
