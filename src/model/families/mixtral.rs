//! Mixtral: `MixtralForCausalLM`, and what mergekit-moe makes of Llamas and Mistrals.

use super::{llama::LLAMA, rows};
use crate::model::architecture::{
    Architecture,
    DefaultValue::{Float, HeadsIfNull, Int},
    Dim::{Embd, Expert, ExpertFf},
    Experts, MoeLayers, Row, Source,
};

/// Mixtral.
pub(crate) const MIXTRAL: Architecture = Architecture {
    name: "Mixtral",
    classes: &["MixtralForCausalLM", "MixtralModel"],
    model_type: "mixtral",
    defaults: &[&[
        ("intermediate_size", Int(14336)),
        ("num_key_value_heads", HeadsIfNull),
        ("num_key_value_heads", Int(8)),
        ("max_position_embeddings", Int(131_072)),
        ("rms_norm_eps", Float(1e-5)),
        ("rope_theta", Float(1e6)),
        ("vocab_size", Int(32000)),
        ("num_local_experts", Int(8)),
        ("num_experts_per_tok", Int(2)),
    ]],
    experts: Some(Experts {
        count: &["num_local_experts", "num_experts"],
        used: &["num_experts_per_tok", "num_experts_per_token"],
        ff: &["intermediate_size", "n_inner"],
        shared_ff: &[],
        layers: MoeLayers::All,
    }),
    tensors: &[
        rows::OUTER,
        rows::NORMS,
        rows::ROTARY_ATTENTION,
        ROUTER,
        EXPERTS,
    ],
    ..LLAMA
};

/// As mergekit and transformers 4 name it, and as transformers 5 does.
const ROUTER: &[Row] = &[Row::made(
    Source::Either(&[
        Source::One("block_sparse_moe.gate.weight"),
        Source::One("mlp.gate.weight"),
    ]),
    "ffn_gate_inp.weight",
    &[Expert, Embd],
)
.moe()];

/// Experts with a tensor for each, as mergekit and transformers 4 write them, and all in one.
pub(super) const EXPERTS: &[Row] = &[
    Row::made(
        Source::Either(&[
            Source::Each("block_sparse_moe.experts.{}.w1.weight"),
            Source::Part {
                name: "mlp.experts.gate_up_proj",
                shape: rows::GATE_UP,
                take: rows::GATE_HALF,
            },
        ]),
        "ffn_gate_exps.weight",
        &[Expert, ExpertFf, Embd],
    )
    .moe(),
    Row::made(
        Source::Either(&[
            Source::Each("block_sparse_moe.experts.{}.w2.weight"),
            Source::One("mlp.experts.down_proj"),
        ]),
        "ffn_down_exps.weight",
        &[Expert, Embd, ExpertFf],
    )
    .moe(),
    Row::made(
        Source::Either(&[
            Source::Each("block_sparse_moe.experts.{}.w3.weight"),
            Source::Part {
                name: "mlp.experts.gate_up_proj",
                shape: rows::GATE_UP,
                take: rows::UP_HALF,
            },
        ]),
        "ffn_up_exps.weight",
        &[Expert, ExpertFf, Embd],
    )
    .moe(),
];
