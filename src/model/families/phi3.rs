//! Phi 3: `Phi3ForCausalLM`.

use super::{super::vocabulary::policy, rows};
use crate::model::architecture::{
    Architecture, Computed,
    DefaultValue::{Float, Heads, Int},
    Dim::{Embd, Ff, Kv, Q, Sum},
    Key, ROPE_FREQ_BASE, Row, Special,
};

/// Phi 3, 3.5 and 4 without experts. Queries, keys and values stay one tensor, and so do gate and up.
pub(super) const PHI3: Architecture = Architecture {
    name: "Phi3",
    gguf: "phi3",
    classes: &["Phi3ForCausalLM"],
    model_type: "phi3",
    defaults: &[&[
        ("vocab_size", Int(32064)),
        ("hidden_size", Int(3072)),
        ("intermediate_size", Int(8192)),
        ("num_hidden_layers", Int(32)),
        ("num_attention_heads", Int(32)),
        ("num_key_value_heads", Heads),
        ("max_position_embeddings", Int(4096)),
        ("original_max_position_embeddings", Int(4096)),
        ("rms_norm_eps", Float(1e-5)),
        ("rope_theta", Float(1e4)),
        // By this 0 llama.cpp knows Phi 4.
        ("sliding_window", Int(0)),
    ]],
    tensors: &[rows::OUTER, rows::NORMS, LAYER],
    computed: &[Computed::RopeFactors],
    early_keys: EARLY_KEYS,
    keys: &[KEYS],
    tokenizer: policy::PHI3,
    ..Architecture::COMMON
};

const LAYER: &[Row] = &[
    Row::of(
        "self_attn.qkv_proj.weight",
        "attn_qkv.weight",
        &[Sum(&[Q, Kv, Kv]), Embd],
    ),
    Row::of("self_attn.o_proj.weight", "attn_output.weight", &[Embd, Q]),
    Row::of(
        "mlp.gate_up_proj.weight",
        "ffn_up.weight",
        &[Sum(&[Ff, Ff]), Embd],
    ),
    Row::of("mlp.down_proj.weight", "ffn_down.weight", &[Embd, Ff]),
];

/// What goes with the two lists of factors.
pub(super) const EARLY_KEYS: &[Key] = &[Key::special(Special::LongRopeAttention)];

/// Its keys, which are in an order of their own.
pub(super) const KEYS: &[Key] = &[
    Key::u32(
        "context_length",
        &["n_positions", "max_position_embeddings"],
    ),
    Key::special(Special::OriginalContext),
    Key::u32("embedding_length", &["hidden_size", "n_embd"]),
    Key::u32("feed_forward_length", &["intermediate_size"]),
    Key::special(Special::BlockCount),
    Key::u32("attention.head_count", &["num_attention_heads", "n_head"]),
    Key::u32(
        "attention.head_count_kv",
        &["num_key_value_heads", "n_head_kv"],
    ),
    Key::f32("attention.layer_norm_rms_epsilon", &["rms_norm_eps"]),
    Key::special(Special::RotaryDimensions),
    ROPE_FREQ_BASE,
    Key::u32("attention.sliding_window", &["sliding_window"]),
];
