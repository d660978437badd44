//! Qwen 2: `Qwen2ForCausalLM`.

use super::{super::vocabulary::policy, rows};
use crate::model::architecture::{
    Architecture,
    DefaultValue::{self, Float, HeadsIfNull, Int},
};

/// Qwen 2 and 2.5, and the distillates of DeepSeek R1.
pub(super) const QWEN2: Architecture = Architecture {
    name: "Qwen2",
    gguf: "qwen2",
    classes: &["Qwen2ForCausalLM", "Qwen2Model"],
    model_type: "qwen2",
    defaults: &[DEFAULTS],
    tensors: &[
        rows::OUTER,
        rows::NORMS,
        rows::ATTENTION,
        rows::QKV_BIASES,
        rows::FFN,
    ],
    tokenizer: policy::QWEN2,
    ..Architecture::COMMON
};

/// What the classes of Qwen 2 and Qwen 3 take alike.
pub(super) const DEFAULTS: &[(&str, DefaultValue)] = &[
    ("vocab_size", Int(151_936)),
    ("hidden_size", Int(4096)),
    ("intermediate_size", Int(22016)),
    ("num_hidden_layers", Int(32)),
    ("num_attention_heads", Int(32)),
    ("num_key_value_heads", HeadsIfNull),
    ("num_key_value_heads", Int(32)),
    ("max_position_embeddings", Int(32768)),
    ("rms_norm_eps", Float(1e-6)),
    ("rope_theta", Float(1e4)),
];
