//! Qwen 3's Mixture of Experts: `Qwen3MoeForCausalLM`.

use super::{super::vocabulary::policy, qwen2moe, rows};
use crate::model::architecture::{
    Architecture, BASE,
    DefaultValue::{Float, HeadsIfNull, Int},
    Experts, MoeLayers,
};

/// Qwen 3 30B-A3B and its like, and what mergekit-moe makes of Qwen 3 models.
pub(crate) const QWEN3_MOE: Architecture = Architecture {
    name: "Qwen3Moe",
    gguf: "qwen3moe",
    classes: &["Qwen3MoeForCausalLM"],
    model_type: "qwen3_moe",
    defaults: &[&[
        ("vocab_size", Int(151_936)),
        ("hidden_size", Int(2048)),
        ("intermediate_size", Int(6144)),
        ("num_hidden_layers", Int(24)),
        ("num_attention_heads", Int(32)),
        ("num_key_value_heads", HeadsIfNull),
        ("num_key_value_heads", Int(4)),
        ("max_position_embeddings", Int(32768)),
        ("rms_norm_eps", Float(1e-6)),
        ("rope_theta", Float(1e4)),
        ("decoder_sparse_step", Int(1)),
        ("moe_intermediate_size", Int(768)),
        ("num_experts_per_tok", Int(8)),
        ("num_experts", Int(128)),
    ]],
    experts: Some(Experts {
        // transformers 5 writes the first, and the other is there with its default then.
        count: &["num_local_experts", "num_experts"],
        used: &["num_experts_per_tok"],
        ff: &["moe_intermediate_size"],
        shared_ff: &[],
        layers: MoeLayers::SparseStep,
    }),
    tensors: &[
        rows::OUTER,
        rows::NORMS,
        rows::ATTENTION,
        rows::HEAD_NORMS,
        rows::QKV_BIASES,
        rows::FFN,
        rows::ROUTER,
        rows::EXPERTS,
    ],
    keys: &[BASE, qwen2moe::KEYS],
    tokenizer: policy::QWEN2_MOE,
    ..Architecture::COMMON
};
