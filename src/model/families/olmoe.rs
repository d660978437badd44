//! OLMoE: `OlmoeForCausalLM`.

use super::{super::vocabulary::policy, rows};
use crate::model::architecture::{
    Architecture, BASE,
    DefaultValue::{Float, Heads, Int},
    Experts, Fixed, Key, MoeLayers,
};

/// OLMoE 1B-7B.
pub(super) const OLMOE: Architecture = Architecture {
    name: "OLMoE",
    gguf: "olmoe",
    classes: &["OlmoeForCausalLM"],
    model_type: "olmoe",
    defaults: &[&[
        ("vocab_size", Int(50304)),
        ("hidden_size", Int(2048)),
        ("intermediate_size", Int(2048)),
        ("num_hidden_layers", Int(16)),
        ("num_attention_heads", Int(16)),
        ("num_key_value_heads", Heads),
        ("max_position_embeddings", Int(4096)),
        ("rms_norm_eps", Float(1e-5)),
        ("rope_theta", Float(1e4)),
        ("num_experts_per_tok", Int(8)),
        ("num_experts", Int(64)),
    ]],
    experts: Some(Experts {
        count: &["num_experts", "num_local_experts"],
        used: &["num_experts_per_tok"],
        ff: &["intermediate_size"],
        shared_ff: &[],
        layers: MoeLayers::All,
    }),
    tensors: &[
        rows::OUTER,
        rows::NORMS,
        rows::ATTENTION,
        rows::WHOLE_NORMS,
        rows::ROUTER,
        rows::EXPERTS,
    ],
    keys: &[BASE, KEYS],
    tokenizer: policy::OLMO,
    ..Architecture::COMMON
};

/// The epsilon that its class writes, whatever config.json says.
const KEYS: &[Key] = &[Key::fixed(
    "attention.layer_norm_rms_epsilon",
    Fixed::F32(1e-5),
)];
