//! Seed-OSS: `SeedOssForCausalLM`.

use super::{super::vocabulary::policy, rows};
use crate::model::architecture::{
    Architecture,
    DefaultValue::{Bool, Float, HeadsIfNull, Int},
    Dim::{Embd, Kv, Q},
    Row,
};

/// Seed-OSS 36B.
pub(super) const SEED_OSS: Architecture = Architecture {
    name: "SeedOss",
    gguf: "seed_oss",
    classes: &["SeedOssForCausalLM"],
    model_type: "seed_oss",
    defaults: &[&[
        ("vocab_size", Int(155_136)),
        ("hidden_size", Int(4096)),
        ("intermediate_size", Int(27648)),
        ("num_hidden_layers", Int(64)),
        ("num_attention_heads", Int(80)),
        ("num_key_value_heads", HeadsIfNull),
        ("num_key_value_heads", Int(8)),
        ("max_position_embeddings", Int(524_288)),
        ("rms_norm_eps", Float(1e-6)),
        ("rope_theta", Float(1e4)),
        ("head_dim", Int(128)),
        ("attention_bias", Bool(true)),
    ]],
    tensors: &[rows::OUTER, NORMS, rows::ATTENTION, BIASES, rows::FFN],
    tokenizer: policy::SEED_OSS,
    ..Architecture::COMMON
};

/// The norm before the feed-forward network has another name in this architecture.
const NORMS: &[Row] = &[
    Row::of("input_layernorm.weight", "attn_norm.weight", &[Embd]),
    Row::of(
        "post_attention_layernorm.weight",
        "post_attention_norm.weight",
        &[Embd],
    ),
];

const BIASES: &[Row] = &[
    Row::of("self_attn.q_proj.bias", "attn_q.bias", &[Q]).needed_if("attention_bias"),
    Row::of("self_attn.k_proj.bias", "attn_k.bias", &[Kv]).needed_if("attention_bias"),
    Row::of("self_attn.v_proj.bias", "attn_v.bias", &[Kv]).needed_if("attention_bias"),
];
