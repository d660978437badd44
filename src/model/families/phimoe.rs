//! Phi 3.5's Mixture of Experts: `PhiMoEForCausalLM`.

use super::{
    mixtral,
    phi3::{self, PHI3},
    rows,
};
use crate::model::architecture::{
    Architecture,
    DefaultValue::{Float, HeadsIfNull, Int},
    Dim::{Embd, Expert, Vocab},
    Experts, Key, MoeLayers, Row, Source,
};

/// Phi 3.5 MoE: a Phi 3 with separate projections, norms of the mean and biases nearly everywhere.
pub(super) const PHI_MOE: Architecture = Architecture {
    name: "PhiMoe",
    gguf: "phimoe",
    // Microsoft's own, and that of transformers.
    classes: &["PhiMoEForCausalLM", "PhimoeForCausalLM"],
    model_type: "phimoe",
    defaults: &[&[
        ("vocab_size", Int(32064)),
        ("hidden_size", Int(4096)),
        ("intermediate_size", Int(6400)),
        ("num_hidden_layers", Int(32)),
        ("num_attention_heads", Int(32)),
        ("num_key_value_heads", HeadsIfNull),
        ("num_key_value_heads", Int(8)),
        ("max_position_embeddings", Int(131_072)),
        ("rms_norm_eps", Float(1e-5)),
        ("rope_theta", Float(1e6)),
        ("num_experts_per_tok", Int(2)),
        ("num_local_experts", Int(16)),
        ("sliding_window", Int(0)),
    ]],
    experts: Some(Experts {
        count: &["num_local_experts", "num_experts"],
        used: &["num_experts_per_tok", "num_experts_per_token"],
        ff: &["intermediate_size"],
        shared_ff: &[],
        layers: MoeLayers::All,
    }),
    tensors: &[
        rows::OUTER,
        OUTPUT_BIAS,
        rows::NORMS,
        rows::NORM_BIASES,
        rows::ATTENTION,
        rows::QKV_BIASES,
        rows::ATTENTION_OUTPUT_BIAS,
        ROUTER,
        mixtral::EXPERTS,
    ],
    keys: &[phi3::KEYS, KEYS],
    ..PHI3
};

/// As Microsoft names it, and as transformers 5 does.
const ROUTER: &[Row] = &[Row::made(
    Source::Either(&[
        Source::One("block_sparse_moe.gate.weight"),
        Source::One("mlp.router.weight"),
    ]),
    "ffn_gate_inp.weight",
    &[Expert, Embd],
)
.moe()];

const OUTPUT_BIAS: &[Row] = &[Row::output("lm_head.bias", "output.bias", &[Vocab]).optional()];

/// What its class adds to Phi 3's keys.
const KEYS: &[Key] = &[
    Key::u32(
        "expert_used_count",
        &["num_experts_per_tok", "num_experts_per_token"],
    ),
    Key::u32("expert_count", &["num_local_experts", "num_experts"]),
];
