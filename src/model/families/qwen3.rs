//! Qwen 3: `Qwen3ForCausalLM`.

use super::{qwen2::QWEN2, rows};
use crate::model::architecture::{
    Architecture,
    DefaultValue::{Float, HeadsIfNull, Int},
};

/// Qwen 3, dense.
pub(super) const QWEN3: Architecture = Architecture {
    name: "Qwen3",
    gguf: "qwen3",
    classes: &["Qwen3ForCausalLM", "Qwen3Model"],
    model_type: "qwen3",
    defaults: &[&[
        ("vocab_size", Int(151_936)),
        ("hidden_size", Int(4096)),
        ("intermediate_size", Int(22016)),
        ("num_hidden_layers", Int(32)),
        ("num_attention_heads", Int(32)),
        ("num_key_value_heads", HeadsIfNull),
        ("num_key_value_heads", Int(32)),
        ("head_dim", Int(128)),
        ("max_position_embeddings", Int(32768)),
        ("rms_norm_eps", Float(1e-6)),
        ("rope_theta", Float(1e4)),
    ]],
    tensors: &[
        rows::OUTER,
        rows::NORMS,
        rows::ATTENTION,
        rows::HEAD_NORMS,
        rows::QKV_BIASES,
        rows::FFN,
    ],
    ..QWEN2
};
