//! StableLM: `StableLmForCausalLM`.

use super::{super::vocabulary::policy, rows};
use crate::model::architecture::{
    Architecture, CONTEXT_LENGTH,
    DefaultValue::{Bool, Float, Int},
    Dim::{Embd, HeadDim, Heads, HeadsKv, Kv, Q},
    Key, Row, Source, Special,
};

/// StableLM and StableLM 2.
pub(super) const STABLELM: Architecture = Architecture {
    name: "StableLM",
    gguf: "stablelm",
    classes: &["StableLmForCausalLM"],
    model_type: "stablelm",
    defaults: &[&[
        ("vocab_size", Int(50304)),
        ("intermediate_size", Int(6912)),
        ("hidden_size", Int(2560)),
        ("num_hidden_layers", Int(32)),
        ("num_attention_heads", Int(32)),
        ("num_key_value_heads", Int(32)),
        ("max_position_embeddings", Int(4096)),
        ("layer_norm_eps", Float(1e-5)),
        ("rope_theta", Float(1e4)),
        ("partial_rotary_factor", Float(0.25)),
        ("use_parallel_residual", Bool(false)),
    ]],
    ignored: &["head_dim"],
    tensors: &[
        rows::OUTER,
        NORMS,
        rows::ATTENTION,
        BIASES,
        HEAD_NORMS,
        rows::FFN,
    ],
    keys: &[KEYS],
    tokenizer: policy::STABLELM,
    ..Architecture::COMMON
};

/// Where attention and the feed-forward network stand side by side, they share a norm.
const NORMS: &[Row] = &[
    Row::outer("norm.bias", "output_norm.bias", &[Embd]),
    Row::of("input_layernorm.weight", "attn_norm.weight", &[Embd]),
    Row::of("input_layernorm.bias", "attn_norm.bias", &[Embd]),
    Row::of(
        "post_attention_layernorm.weight",
        "ffn_norm.weight",
        &[Embd],
    )
    .needed_unless("use_parallel_residual"),
    Row::of("post_attention_layernorm.bias", "ffn_norm.bias", &[Embd])
        .needed_unless("use_parallel_residual"),
];

const BIASES: &[Row] = &[
    Row::of("self_attn.q_proj.bias", "attn_q.bias", &[Q]).needed_if("use_qkv_bias"),
    Row::of("self_attn.k_proj.bias", "attn_k.bias", &[Kv]).needed_if("use_qkv_bias"),
    Row::of("self_attn.v_proj.bias", "attn_v.bias", &[Kv]).needed_if("use_qkv_bias"),
];

/// Norms of queries and keys, another for each head.
const HEAD_NORMS: &[Row] = &[
    Row::made(
        Source::Each("self_attn.q_layernorm.norms.{}.weight"),
        "attn_q_norm.weight",
        &[Heads, HeadDim],
    )
    .needed_if("qk_layernorm"),
    Row::made(
        Source::Each("self_attn.k_layernorm.norms.{}.weight"),
        "attn_k_norm.weight",
        &[HeadsKv, HeadDim],
    )
    .needed_if("qk_layernorm"),
];

/// Its class writes these and no others; the base of the rotary frequencies is none of them.
const KEYS: &[Key] = &[
    CONTEXT_LENGTH,
    Key::u32("embedding_length", &["hidden_size"]),
    Key::special(Special::BlockCount),
    Key::u32("feed_forward_length", &["intermediate_size"]),
    Key::special(Special::RotaryDimensions),
    Key::u32("attention.head_count", &["num_attention_heads"]),
    Key::u32("attention.head_count_kv", &["num_key_value_heads"]),
    Key::bool("use_parallel_residual", &["use_parallel_residual"]),
    Key::f32(
        "attention.layer_norm_epsilon",
        &["layer_norm_eps", "norm_eps"],
    ),
];
