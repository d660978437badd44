//! GLM 4 of 2025: `Glm4ForCausalLM`.

use super::{super::vocabulary::policy, rows};
use crate::model::architecture::{
    Architecture, BASE,
    DefaultValue::{Float, Int},
    Dim::{Embd, Ff, Sum},
    Key, Row, Special,
};

/// GLM 4 0414, 9B and 32B, dense.
pub(super) const GLM4: Architecture = Architecture {
    name: "Glm4",
    gguf: "glm4",
    classes: &["Glm4ForCausalLM"],
    model_type: "glm4",
    defaults: &[&[
        ("vocab_size", Int(151_552)),
        ("hidden_size", Int(4096)),
        ("intermediate_size", Int(13696)),
        ("num_hidden_layers", Int(40)),
        ("num_attention_heads", Int(32)),
        ("num_key_value_heads", Int(2)),
        ("partial_rotary_factor", Float(0.5)),
        ("head_dim", Int(128)),
        ("max_position_embeddings", Int(131_072)),
        ("rms_norm_eps", Float(1.5625e-7)),
        ("rope_theta", Float(1e4)),
    ]],
    tensors: &[rows::OUTER, NORMS, rows::ATTENTION, rows::QKV_BIASES, FFN],
    keys: &[BASE, KEYS],
    tokenizer: policy::GLM4,
    ..Architecture::COMMON
};

/// A norm before and one behind each of attention and feed-forward network.
const NORMS: &[Row] = &[
    Row::of("input_layernorm.weight", "attn_norm.weight", &[Embd]),
    Row::of(
        "post_self_attn_layernorm.weight",
        "post_attention_norm.weight",
        &[Embd],
    ),
    Row::of(
        "post_attention_layernorm.weight",
        "ffn_norm.weight",
        &[Embd],
    ),
    Row::of("post_mlp_layernorm.weight", "post_ffw_norm.weight", &[Embd]),
];

/// The gate and the up projection stay one tensor.
const FFN: &[Row] = &[
    Row::of(
        "mlp.gate_up_proj.weight",
        "ffn_up.weight",
        &[Sum(&[Ff, Ff]), Embd],
    ),
    Row::of("mlp.down_proj.weight", "ffn_down.weight", &[Embd, Ff]),
];

const KEYS: &[Key] = &[Key::special(Special::RotaryDimensions)];
