//! Qwen 2's Mixture of Experts: `Qwen2MoeForCausalLM`.

use super::{super::vocabulary::policy, rows};
use crate::model::architecture::{
    Architecture, BASE,
    DefaultValue::{Float, Int},
    Dim::{Embd, N, SharedFf},
    Experts, Key, MoeLayers, Row,
};

/// Qwen 1.5 MoE and Qwen 2 57B-A14B, and what mergekit-moe makes of Qwen 2 models.
pub(crate) const QWEN2_MOE: Architecture = Architecture {
    name: "Qwen2Moe",
    gguf: "qwen2moe",
    classes: &["Qwen2MoeForCausalLM"],
    model_type: "qwen2_moe",
    defaults: &[&[
        ("vocab_size", Int(151_936)),
        ("hidden_size", Int(2048)),
        ("intermediate_size", Int(5632)),
        ("num_hidden_layers", Int(24)),
        ("num_attention_heads", Int(16)),
        ("num_key_value_heads", Int(16)),
        ("max_position_embeddings", Int(32768)),
        ("rms_norm_eps", Float(1e-6)),
        ("rope_theta", Float(1e4)),
        ("decoder_sparse_step", Int(1)),
        ("moe_intermediate_size", Int(1408)),
        ("shared_expert_intermediate_size", Int(5632)),
        ("num_experts_per_tok", Int(4)),
        ("num_experts", Int(60)),
    ]],
    experts: Some(Experts {
        // transformers 5 writes the first, and the other is there with its default then.
        count: &["num_local_experts", "num_experts"],
        used: &["num_experts_per_tok"],
        ff: &["moe_intermediate_size"],
        shared_ff: &[&["shared_expert_intermediate_size"]],
        layers: MoeLayers::SparseStep,
    }),
    tensors: &[
        rows::OUTER,
        rows::NORMS,
        rows::ATTENTION,
        rows::QKV_BIASES,
        rows::FFN,
        rows::ROUTER,
        rows::EXPERTS,
        SHARED_EXPERT,
    ],
    keys: &[BASE, KEYS],
    tokenizer: policy::QWEN2_MOE,
    ..Architecture::COMMON
};

/// One expert that sees every token, weighed by a gate of its own.
const SHARED_EXPERT: &[Row] = &[
    Row::of(
        "mlp.shared_expert_gate.weight",
        "ffn_gate_inp_shexp.weight",
        &[N(1), Embd],
    )
    .moe(),
    Row::of(
        "mlp.shared_expert.gate_proj.weight",
        "ffn_gate_shexp.weight",
        &[SharedFf, Embd],
    )
    .moe(),
    Row::of(
        "mlp.shared_expert.up_proj.weight",
        "ffn_up_shexp.weight",
        &[SharedFf, Embd],
    )
    .moe(),
    Row::of(
        "mlp.shared_expert.down_proj.weight",
        "ffn_down_shexp.weight",
        &[Embd, SharedFf],
    )
    .moe(),
];

/// What its class adds to the keys of all.
pub(super) const KEYS: &[Key] = &[
    Key::u32("expert_feed_forward_length", &["moe_intermediate_size"]),
    Key::u32(
        "expert_shared_feed_forward_length",
        &["shared_expert_intermediate_size"],
    ),
];
