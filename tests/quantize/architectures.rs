//! Models of other architectures, against llama.cpp.

use std::path::Path;

use swallow_gguf::{
    file_type::FileType::{self, Q2_K, Q3_K_M, Q4_0, Q4_K_M, Q5_K_M},
    gguf::{Array, KeyValues, TensorInfo, Value, encode_header, lay_out},
};
use swallow_quant::{GgmlType, Isa};

use super::compare;
use crate::support::{LlamaKnobs, quantize, text};

/// A GGUF with the hyper-parameters that any architecture asks for and tensors of these names.
fn write_model(path: &Path, architecture: &str, n_layer: u32, tensors: &[(&str, &[u64])]) {
    let mut key_values: KeyValues = vec![
        ("general.architecture".into(), architecture.into()),
        ("general.file_type".into(), Value::U32(1)),
        ("general.name".into(), "Other".into()),
    ];
    let mut add =
        |key: &str, value: Value| key_values.push((format!("{architecture}.{key}"), value));
    add("block_count", n_layer.into());
    add("context_length", 512u32.into());
    add("embedding_length", 256u32.into());
    add("feed_forward_length", 512u32.into());
    add("attention.head_count", 8u32.into());
    add("attention.head_count_kv", 2u32.into());
    add("attention.layer_norm_rms_epsilon", 1e-5f32.into());
    add("attention.layer_norm_epsilon", 1e-5f32.into());
    let tokens = (0..300).map(|i| format!("t{i}").as_str().into()).collect();
    key_values.push(("tokenizer.ggml.tokens".into(), Array::String(tokens).into()));

    let mut infos = Vec::new();
    for (name, dims) in tensors {
        let layers = if name.contains("{}") { n_layer } else { 1 };
        for layer in 0..layers {
            let name = name.replace("{}", &layer.to_string());
            let ty = if dims.len() > 1 {
                GgmlType::F16
            } else {
                GgmlType::F32
            };
            infos.push(TensorInfo::new(name, dims.to_vec(), ty).unwrap());
        }
    }
    let data_bytes = lay_out(&mut infos, 32).unwrap();
    let mut bytes = encode_header(&key_values, &infos, 32);
    let begin = bytes.len();
    bytes.resize(begin + data_bytes as usize, 0);
    let mut state = 7u32;
    for info in &infos {
        let mut weight = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ((state >> 8) as f32 / (1 << 24) as f32 - 0.5) * 0.1
        };
        let weights: Vec<f32> = (0..info.elements()).map(|_| weight()).collect();
        let at = begin + info.offset as usize;
        let to = &mut bytes[at..at + info.size() as usize];
        swallow_quant::quantize(info.ty, Isa::Scalar, &weights, to).unwrap();
    }
    std::fs::write(path, bytes).unwrap();
}

const GROUPED: &[(&str, &[u64])] = &[
    ("token_embd.weight", &[256, 300]),
    ("output.weight", &[256, 300]),
    ("output_norm.weight", &[256]),
    ("blk.{}.attn_norm.weight", &[256]),
    ("blk.{}.attn_q.weight", &[256, 256]),
    ("blk.{}.attn_q.bias", &[256]),
    ("blk.{}.attn_k.weight", &[256, 64]),
    ("blk.{}.attn_v.weight", &[256, 64]),
    ("blk.{}.attn_output.weight", &[256, 256]),
    ("blk.{}.ffn_gate.weight", &[256, 512]),
    ("blk.{}.ffn_up.weight", &[256, 512]),
    ("blk.{}.ffn_down.weight", &[512, 256]),
];

const FUSED: &[(&str, &[u64])] = &[
    ("token_embd.weight", &[256, 300]),
    ("output_norm.weight", &[256]),
    ("blk.{}.attn_qkv.weight", &[256, 384]),
    ("blk.{}.attn_output.weight", &[256, 256]),
    ("blk.{}.ffn_up.weight", &[256, 1024]),
    ("blk.{}.ffn_down.weight", &[512, 256]),
];

#[test]
fn other_architectures_with_the_common_mix() {
    let dir = tempfile::tempdir().unwrap();
    let input = dir.path().join("in.gguf");
    let few = &[Q4_K_M][..];
    let many = &[Q4_K_M, Q5_K_M, Q3_K_M, Q2_K, Q4_0, FileType::IQ4_XS][..];
    for (architecture, n_layer, tensors, file_types) in [
        ("qwen2", 9, GROUPED, many),
        // A "70B" by its layers alone.
        ("qwen2", 80, GROUPED, few),
        ("olmo2", 9, GROUPED, few),
        ("command-r", 3, GROUPED, few),
        ("phi3", 9, FUSED, many),
        ("gpt2", 9, FUSED, few),
        ("starcoder2", 3, GROUPED, few),
    ] {
        write_model(&input, architecture, n_layer, tensors);
        for &file_type in file_types {
            let case = format!("{architecture} of {n_layer} layers");
            compare(&case, &input, file_type, &[], &LlamaKnobs::default());
        }
    }
}

#[test]
fn an_architecture_with_a_mix_of_its_own_is_refused_but_for_pure() {
    let dir = tempfile::tempdir().unwrap();
    let input = dir.path().join("in.gguf");
    for architecture in ["falcon", "glm5-next", "never-heard-of"] {
        write_model(&input, architecture, 4, FUSED);
        let run = quantize(&input, &dir.path().join("out.gguf"), &[]);
        assert!(!run.status.success());
        let expected = format!(
            "error: the mix of Q4_K_M is not known for the architecture `{architecture}`: `--pure` makes every matrix Q4_K"
        );
        assert_eq!(text(&run.stderr).trim_end(), expected);
    }
    write_model(&input, "falcon", 4, FUSED);
    let pure = LlamaKnobs {
        pure: true,
        ..LlamaKnobs::default()
    };
    compare("pure falcon", &input, Q4_K_M, &["--pure"], &pure);
    // Without quantization there is no mix.
    compare("falcon", &input, FileType::F32, &[], &LlamaKnobs::default());
}
