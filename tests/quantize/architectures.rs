//! Models of other architectures, whole files against llama.cpp. What type each tensor gets is held
//! against llama.cpp's choice, for all architectures, in `tests/mixes`; here is what it asks a file.

use std::path::Path;

use swallow_gguf::{
    file_type::FileType::{self, Q2_K, Q3_K_M, Q4_0, Q4_K_M, Q5_K_M},
    gguf::{Array, KeyValues, TensorInfo, Value, encode_header, lay_out},
};
use swallow_quant::{GgmlType, Isa};

use super::compare;
use crate::support::{LlamaKnobs, quantize, text};

/// Keys of an architecture beside those that any asks for, or in their place.
type Keys<'a> = &'a [(&'a str, Value)];

/// A GGUF with the hyper-parameters that any architecture asks for and tensors of these names.
fn write_model(
    path: &Path,
    architecture: &str,
    n_layer: u32,
    keys: Keys<'_>,
    tensors: &[(&str, &[u64])],
) {
    let mut key_values: KeyValues = vec![
        ("general.architecture".into(), architecture.into()),
        ("general.file_type".into(), Value::U32(1)),
        ("general.name".into(), "Other".into()),
    ];
    let mut add = |key: &str, value: Value| {
        let key = format!("{architecture}.{key}");
        key_values.retain(|(k, _)| *k != key);
        key_values.push((key, value));
    };
    add("block_count", n_layer.into());
    add("context_length", 512u32.into());
    add("embedding_length", 256u32.into());
    add("feed_forward_length", 512u32.into());
    add("attention.head_count", 8u32.into());
    add("attention.head_count_kv", 2u32.into());
    add("attention.layer_norm_rms_epsilon", 1e-5f32.into());
    add("attention.layer_norm_epsilon", 1e-5f32.into());
    for (key, value) in keys {
        add(key, value.clone());
    }
    let tokens = (0..300).map(|i| format!("t{i}").as_str().into()).collect();
    key_values.push(("tokenizer.ggml.tokens".into(), Array::String(tokens).into()));
    write(path, &key_values, n_layer, tensors);
}

/// A GGUF of these key-values, and tensors of these names in each layer.
fn write(path: &Path, key_values: &KeyValues, n_layer: u32, tensors: &[(&str, &[u64])]) {
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
    let mut bytes = encode_header(key_values, &infos, 32);
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

/// A shared expert in each layer besides, as in the layers of a mixture; the stacks are small.
const SHARED: &[(&str, &[u64])] = &[
    ("token_embd.weight", &[256, 300]),
    ("output.weight", &[256, 300]),
    ("output_norm.weight", &[256]),
    ("blk.{}.attn_norm.weight", &[256]),
    ("blk.{}.attn_q.weight", &[256, 256]),
    ("blk.{}.attn_q_norm.weight", &[32]),
    ("blk.{}.attn_k.weight", &[256, 64]),
    ("blk.{}.attn_v.weight", &[256, 64]),
    ("blk.{}.attn_output.weight", &[256, 256]),
    ("blk.{}.ffn_gate_inp.weight", &[256, 4]),
    ("blk.{}.ffn_gate_inp_shexp.weight", &[256]),
    ("blk.{}.ffn_gate_exps.weight", &[256, 32, 4]),
    ("blk.{}.ffn_up_exps.weight", &[256, 32, 4]),
    ("blk.{}.ffn_down_exps.weight", &[32, 256, 4]),
    ("blk.{}.ffn_gate_shexp.weight", &[256, 256]),
    ("blk.{}.ffn_up_shexp.weight", &[256, 256]),
    ("blk.{}.ffn_down_shexp.weight", &[256, 256]),
    ("blk.{}.exp_probs_b.bias", &[4]),
];

/// What a layer is quantized as by its number, and little else.
const SMALL: &[(&str, &[u64])] = &[
    ("token_embd.weight", &[256, 300]),
    ("blk.{}.attn_v.weight", &[256, 32]),
    ("blk.{}.ffn_down.weight", &[256, 32]),
];

/// Quantizes with both programs.
fn assert_same(model: &str, input: &Path, file_types: &[FileType]) {
    for &file_type in file_types {
        compare(model, input, file_type, &[], &LlamaKnobs::default());
    }
}

#[test]
fn other_architectures_are_quantized_as_by_llama_cpp() {
    let dir = tempfile::tempdir().unwrap();
    let input = dir.path().join("in.gguf");
    let few = &[Q4_K_M][..];
    let many = &[Q4_K_M, Q5_K_M, Q3_K_M, Q2_K, Q4_0, FileType::IQ4_XS][..];
    for (architecture, n_layer, tensors, file_types) in [
        ("qwen2", 9, GROUPED, many),
        ("olmo2", 9, GROUPED, few),
        ("command-r", 3, GROUPED, few),
        ("phi3", 9, FUSED, many),
        ("gpt2", 9, FUSED, few),
        ("starcoder2", 3, GROUPED, few),
        ("falcon", 17, FUSED, many),
        ("falcon", 17, FUSED, &[FileType::Q3_K_L, FileType::Q4_K_S]),
    ] {
        write_model(&input, architecture, n_layer, &[], tensors);
        let case = format!("{architecture} of {n_layer} layers");
        assert_same(&case, &input, file_types);
    }
}

#[test]
fn layers_that_llama_cpp_counts_otherwise() {
    let dir = tempfile::tempdir().unwrap();
    let input = dir.path().join("in.gguf");
    let loops = [("num_loops", Value::U32(3))];
    let adapters = [
        ("logit_scale", 1f32.into()),
        ("adapters.count", Value::U32(1)),
        ("adapters.lora_rank", Value::U32(1)),
        ("adapters.token_ids_activate", Array::I32(vec![7]).into()),
        ("adapters.token_ids_substitute", Array::I32(vec![8]).into()),
    ];
    for (architecture, n_layer, keys) in [
        // "70B" by their number of layers.
        ("qwen2", 80, &[][..]),
        ("olmo", 80, &[]),
        ("jais2", 68, &[]),
        ("llama-embed", 80, &[]),
        // Not so.
        ("qwen3", 80, &[]),
        ("jais2", 80, &[]),
        // Gone through three times, and one behind the last.
        ("nanbeige", 9, &loops),
        ("graniteswitch", 15, &adapters),
    ] {
        write_model(&input, architecture, n_layer, keys, SMALL);
        let case = format!("{architecture} of {n_layer} layers");
        assert_same(&case, &input, &[Q4_K_M, FileType::Q4_K_S]);
    }
}

#[test]
fn shared_experts_further_predictions_and_heads_by_layer() {
    let dir = tempfile::tempdir().unwrap();
    let input = dir.path().join("in.gguf");
    let experts = |n: u32| {
        [
            ("expert_count", Value::U32(n)),
            ("expert_used_count", Value::U32(2)),
            ("expert_shared_count", Value::U32(1)),
            ("expert_feed_forward_length", Value::U32(32)),
            ("expert_shared_feed_forward_length", Value::U32(256)),
        ]
    };
    let predicting = [
        &experts(4)[..],
        &[
            ("nextn_predict_layers", Value::U32(1)),
            ("leading_dense_block_count", Value::U32(1)),
        ],
    ]
    .concat();
    let file_types = &[Q4_K_M, Q3_K_M, Q2_K, FileType::IQ4_XS][..];
    for (architecture, keys) in [
        ("qwen2moe", &experts(4)[..]),
        // As many experts as Mixtral has, which attention is given more bits for.
        ("qwen3moe", &experts(8)),
        ("glm4moe", &predicting),
    ] {
        write_model(&input, architecture, 9, keys, SHARED);
        assert_same(architecture, &input, file_types);
    }
    // The first layer's heads count, whether it has any or not.
    for first in [0, 2] {
        let mut heads = vec![8; 9];
        heads[0] = first;
        let keys = [
            ("attention.head_count_kv", Array::I32(heads).into()),
            ("shortconv.l_cache", Value::U32(3)),
        ];
        write_model(&input, "lfm2", 9, &keys, GROUPED);
        let case = format!("lfm2 with {first} heads at first");
        assert_same(&case, &input, &[Q2_K, FileType::IQ4_XS]);
    }
}

/// A projector has no layers that are counted, so all of its `ffn_down` are as those of a last one.
#[test]
fn a_projector_is_quantized_as_by_llama_cpp() {
    let dir = tempfile::tempdir().unwrap();
    let input = dir.path().join("in.gguf");
    let key_values: KeyValues = vec![
        ("general.architecture".into(), "clip".into()),
        ("general.type".into(), "mmproj".into()),
        ("general.file_type".into(), Value::U32(1)),
        ("clip.vision.block_count".into(), Value::U32(5)),
    ];
    let tensors: &[(&str, &[u64])] = &[
        ("mm.input_projection.weight", &[256, 64]),
        ("v.patch_embd.weight", &[32, 32, 3, 2]),
        ("v.position_embd.weight", &[256, 16]),
        ("v.blk.{}.attn_v.weight", &[256, 256]),
        ("v.blk.{}.attn_out.weight", &[256, 256]),
        ("v.blk.{}.ffn_up.weight", &[256, 512]),
        ("v.blk.{}.ffn_down.weight", &[512, 256]),
    ];
    write(&input, &key_values, 5, tensors);
    assert_same(
        "clip",
        &input,
        &[Q4_K_M, Q5_K_M, Q3_K_M, Q4_0, FileType::Q8_0],
    );
}

#[test]
fn a_mix_is_refused_where_nothing_says_how_many_layers_there_are_but_for_pure() {
    let dir = tempfile::tempdir().unwrap();
    let (input, output) = (dir.path().join("in.gguf"), dir.path().join("out.gguf"));
    let of = |architecture: &str| -> KeyValues {
        vec![("general.architecture".into(), architecture.into())]
    };
    for (key_values, key) in [
        (KeyValues::new(), "general.architecture"),
        (of("flux"), "flux.block_count"),
    ] {
        write(&input, &key_values, 2, FUSED);
        let run = quantize(&input, &output, &[]);
        assert!(!run.status.success());
        let expected = format!(
            "error: there is no `{key}`, which the mix of Q4_K_M is chosen by: `--pure` makes every matrix Q4_K"
        );
        assert_eq!(text(&run.stderr).trim_end(), expected);
        for args in [&["--pure"][..], &["-t", "q8_0"], &["-t", "f32"]] {
            let all = [args, &["--force"]].concat();
            let run = quantize(&input, &output, &all);
            assert!(run.status.success(), "{}", text(&run.stderr));
        }
    }
}

#[test]
fn pure_and_floats_have_no_mix() {
    let dir = tempfile::tempdir().unwrap();
    let input = dir.path().join("in.gguf");
    write_model(&input, "falcon", 4, &[], FUSED);
    let pure = LlamaKnobs {
        pure: true,
        ..LlamaKnobs::default()
    };
    compare("pure falcon", &input, Q4_K_M, &["--pure"], &pure);
    compare("falcon", &input, FileType::F32, &[], &LlamaKnobs::default());
}
