//! dots.llm1: `Dots1ForCausalLM`.

use super::{super::vocabulary::policy, qwen2moe, rows};
use crate::model::architecture::{
    Architecture, BASE,
    DefaultValue::{Bool, Float, HeadsIfNull, Int},
    Dim::Expert,
    Experts, Key, MoeLayers, Row,
};

/// dots.llm1.
pub(super) const DOTS1: Architecture = Architecture {
    name: "Dots1",
    gguf: "dots1",
    classes: &["Dots1ForCausalLM"],
    model_type: "dots1",
    defaults: &[&[
        ("vocab_size", Int(152_064)),
        ("hidden_size", Int(4608)),
        ("intermediate_size", Int(10944)),
        ("moe_intermediate_size", Int(1408)),
        ("num_hidden_layers", Int(62)),
        ("num_attention_heads", Int(32)),
        ("num_key_value_heads", HeadsIfNull),
        ("num_key_value_heads", Int(32)),
        ("n_group", Int(1)),
        ("topk_group", Int(1)),
        ("first_k_dense_replace", Int(0)),
        ("norm_topk_prob", Bool(false)),
        ("max_position_embeddings", Int(2048)),
        ("rms_norm_eps", Float(1e-6)),
        ("rope_theta", Float(1e4)),
        ("routed_scaling_factor", Float(1.0)),
    ]],
    experts: Some(Experts {
        count: &["n_routed_experts"],
        used: &["num_experts_per_tok"],
        ff: &["moe_intermediate_size"],
        shared_ff: &[&["moe_intermediate_size"], &["n_shared_experts"]],
        layers: MoeLayers::From("first_k_dense_replace"),
    }),
    tensors: &[
        rows::OUTER,
        rows::NORMS,
        rows::ATTENTION,
        rows::HEAD_NORMS,
        rows::FFN,
        rows::ROUTER,
        ROUTER_BIAS,
        rows::EXPERTS,
        rows::SHARED_EXPERTS,
    ],
    keys: &[BASE, qwen2moe::KEYS, KEYS],
    tokenizer: policy::DOTS1,
    ..Architecture::COMMON
};

/// What is added to the scores by which experts are chosen.
const ROUTER_BIAS: &[Row] = &[Row::of(
    "mlp.gate.e_score_correction_bias",
    "exp_probs_b.bias",
    &[Expert],
)
.moe()
.optional()];

/// What its class adds to Qwen2Moe's keys.
const KEYS: &[Key] = &[
    Key::u32("leading_dense_block_count", &["first_k_dense_replace"]),
    Key::u32("expert_shared_count", &["n_shared_experts"]).needed(),
    Key::f32("expert_weights_scale", &["routed_scaling_factor"]),
    Key::bool("expert_weights_norm", &["norm_topk_prob"]),
];
