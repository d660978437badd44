//! Mistral: `MistralForCausalLM`, a Llama with other defaults.

use super::llama::LLAMA;
use crate::model::architecture::{
    Architecture,
    DefaultValue::{Float, HeadsIfNull, Int},
};

/// Mistral 7B to Nemo.
pub(super) const MISTRAL: Architecture = Architecture {
    name: "Mistral",
    classes: &["MistralForCausalLM", "MistralModel"],
    model_type: "mistral",
    defaults: &[&[
        ("intermediate_size", Int(14336)),
        ("num_key_value_heads", HeadsIfNull),
        ("num_key_value_heads", Int(8)),
        ("max_position_embeddings", Int(131_072)),
        ("rms_norm_eps", Float(1e-6)),
        ("rope_theta", Float(1e4)),
        ("vocab_size", Int(32000)),
    ]],
    ..LLAMA
};
