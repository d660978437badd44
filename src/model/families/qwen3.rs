//! Qwen 3: `Qwen3ForCausalLM`.

use super::{
    qwen2::{self, QWEN2},
    rows,
};
use crate::model::architecture::{Architecture, DefaultValue::Int};

/// Qwen 3, dense.
pub(super) const QWEN3: Architecture = Architecture {
    name: "Qwen3",
    gguf: "qwen3",
    classes: &["Qwen3ForCausalLM", "Qwen3Model"],
    model_type: "qwen3",
    defaults: &[qwen2::DEFAULTS, &[("head_dim", Int(128))]],
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
