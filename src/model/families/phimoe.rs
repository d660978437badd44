//! Phi 3.5's Mixture of Experts: `PhiMoEForCausalLM`.

use super::{
    phi3::{self, PHI3},
    rows,
};
use crate::model::architecture::{
    Architecture,
    Default::{Float, HeadsIfNull, Int},
    Dim::{Embd, Expert, ExpertFf, Vocab},
    Experts, From, Key, MoeLayers, Row,
};

/// Phi 3.5 MoE: a Phi 3 with separate projections, norms of the mean and biases nearly everywhere.
pub(super) const PHI_MOE: Architecture = Architecture {
    name: "PhiMoe",
    gguf: "phimoe",
    // Microsoft's own, and that of transformers.
    classes: &["PhiMoEForCausalLM", "PhimoeForCausalLM"],
    model_type: "phimoe",
    defaults: &[
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
    ],
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
        EXPERTS,
    ],
    keys: &[phi3::KEYS, KEYS],
    ..PHI3
};

const OUTPUT_BIAS: &[Row] = &[Row::output("lm_head.bias", "output.bias", &[Vocab]).optional()];

const EXPERTS: &[Row] = &[
    Row::of(
        "block_sparse_moe.gate.weight",
        "ffn_gate_inp.weight",
        &[Expert, Embd],
    )
    .moe(),
    Row::made(
        From::Each("block_sparse_moe.experts.{}.w1.weight"),
        "ffn_gate_exps.weight",
        &[Expert, ExpertFf, Embd],
    )
    .moe(),
    Row::made(
        From::Each("block_sparse_moe.experts.{}.w2.weight"),
        "ffn_down_exps.weight",
        &[Expert, Embd, ExpertFf],
    )
    .moe(),
    Row::made(
        From::Each("block_sparse_moe.experts.{}.w3.weight"),
        "ffn_up_exps.weight",
        &[Expert, ExpertFf, Embd],
    )
    .moe(),
];

/// What its class adds to Phi 3's keys.
const KEYS: &[Key] = &[
    Key::u32(
        "expert_used_count",
        &["num_experts_per_tok", "num_experts_per_token"],
    ),
    Key::u32("expert_count", &["num_local_experts", "num_experts"]),
];
