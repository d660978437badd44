//! Ernie 4.5: `Ernie4_5ForCausalLM`, and its Mixture of Experts: `Ernie4_5_MoeForCausalLM`.

use super::{super::vocabulary::policy, rows};
use crate::model::architecture::{
    Architecture, BASE,
    DefaultValue::{Bool, Float, HeadsIfNull, Int},
    Dim::{self, Embd, Expert, Ff, Kv, N, Q, Sum},
    Experts, Key, MoeLayers, NameRules, Row, Source, Special, Take,
};

/// Ernie 4.5 without experts, as transformers writes it and as its makers do: `ernie.` before the names,
/// and projections in one tensor.
pub(super) const ERNIE4_5: Architecture = Architecture {
    name: "Ernie4_5",
    gguf: "ernie4_5",
    classes: &["Ernie4_5ForCausalLM", "Ernie4_5_ForCausalLM"],
    model_type: "ernie4_5",
    defaults: &[&[
        ("vocab_size", Int(103_424)),
        ("hidden_size", Int(1024)),
        ("intermediate_size", Int(3072)),
        ("num_hidden_layers", Int(18)),
        ("num_attention_heads", Int(16)),
        ("num_key_value_heads", HeadsIfNull),
        ("num_key_value_heads", Int(2)),
        ("max_position_embeddings", Int(131_072)),
        ("rms_norm_eps", Float(1e-5)),
        ("tie_word_embeddings", Bool(true)),
        ("rope_theta", Float(5e5)),
        ("head_dim", Int(128)),
    ]],
    names: NAMES,
    tensors: &[rows::OUTER, rows::NORMS, ATTENTION, FFN],
    tokenizer: policy::ERNIE,
    ..Architecture::COMMON
};

/// Ernie 4.5 21B-A3B and 300B-A47B.
pub(super) const ERNIE4_5_MOE: Architecture = Architecture {
    name: "Ernie4_5_Moe",
    gguf: "ernie4_5-moe",
    classes: &["Ernie4_5_MoeForCausalLM"],
    model_type: "ernie4_5_moe",
    defaults: &[&[
        ("vocab_size", Int(103_424)),
        ("hidden_size", Int(2560)),
        ("intermediate_size", Int(12288)),
        ("num_hidden_layers", Int(28)),
        ("num_attention_heads", Int(20)),
        ("num_key_value_heads", Int(4)),
        ("max_position_embeddings", Int(131_072)),
        ("rms_norm_eps", Float(1e-5)),
        ("tie_word_embeddings", Bool(true)),
        ("rope_theta", Float(5e5)),
        ("moe_intermediate_size", Int(1536)),
        ("moe_k", Int(6)),
        ("moe_num_experts", Int(64)),
        ("moe_num_shared_experts", Int(2)),
        ("moe_layer_start_index", Int(1)),
        ("moe_layer_interval", Int(1)),
    ]],
    names: NAMES,
    experts: Some(Experts {
        count: &["moe_num_experts"],
        used: &["moe_k"],
        ff: &["moe_intermediate_size"],
        shared_ff: &[&["moe_intermediate_size"], &["moe_num_shared_experts"]],
        layers: MoeLayers::Interval,
    }),
    tensors: &[
        rows::OUTER,
        rows::NORMS,
        rows::ATTENTION,
        rows::FFN,
        rows::ROUTER,
        ROUTER_BIAS,
        rows::EXPERTS,
        rows::SHARED_EXPERTS,
    ],
    // The layer that guesses a second token.
    left_out: &[
        "mtp_block.",
        "mtp_emb_norm.",
        "mtp_hidden_norm.",
        "mtp_linear_proj.",
    ],
    keys: &[BASE, MOE_KEYS],
    tokenizer: policy::ERNIE,
    ..Architecture::COMMON
};

const NAMES: NameRules = NameRules {
    roots: &["model.", "ernie."],
    ..NameRules::COMMON
};

/// The shape of queries, keys and values in one tensor.
const QKV: &[Dim] = &[Sum(&[Q, Kv, Kv]), Embd];

const ATTENTION: &[Row] = &[
    Row::made(
        Source::Either(&[
            Source::One("self_attn.q_proj.weight"),
            Source::Part {
                name: "self_attn.qkv_proj.weight",
                shape: QKV,
                take: &[Take::run(N(0), Q)],
            },
        ]),
        "attn_q.weight",
        &[Q, Embd],
    ),
    Row::made(
        Source::Either(&[
            Source::One("self_attn.k_proj.weight"),
            Source::Part {
                name: "self_attn.qkv_proj.weight",
                shape: QKV,
                take: &[Take::run(Q, Kv)],
            },
        ]),
        "attn_k.weight",
        &[Kv, Embd],
    ),
    Row::made(
        Source::Either(&[
            Source::One("self_attn.v_proj.weight"),
            Source::Part {
                name: "self_attn.qkv_proj.weight",
                shape: QKV,
                take: &[Take::run(Sum(&[Q, Kv]), Kv)],
            },
        ]),
        "attn_v.weight",
        &[Kv, Embd],
    ),
    Row::of("self_attn.o_proj.weight", "attn_output.weight", &[Embd, Q]),
];

/// The shape of gate and up in one tensor, whatever its name says of their order.
const GATE_UP: &[Dim] = &[Sum(&[Ff, Ff]), Embd];

const FFN: &[Row] = &[
    Row::made(
        Source::Either(&[
            Source::One("mlp.gate_proj.weight"),
            Source::Part {
                name: "mlp.up_gate_proj.weight",
                shape: GATE_UP,
                take: &[Take::run(N(0), Ff)],
            },
        ]),
        "ffn_gate.weight",
        &[Ff, Embd],
    ),
    Row::made(
        Source::Either(&[
            Source::One("mlp.up_proj.weight"),
            Source::Part {
                name: "mlp.up_gate_proj.weight",
                shape: GATE_UP,
                take: &[Take::run(Ff, Ff)],
            },
        ]),
        "ffn_up.weight",
        &[Ff, Embd],
    ),
    Row::of("mlp.down_proj.weight", "ffn_down.weight", &[Embd, Ff]),
];

/// What is added to the scores by which experts are chosen; a matrix of one row.
const ROUTER_BIAS: &[Row] = &[Row::of(
    "mlp.moe_statics.e_score_correction_bias",
    "exp_probs_b.bias",
    &[N(1), Expert],
)
.moe()
.optional()];

/// What its class adds to the keys of all.
const MOE_KEYS: &[Key] = &[
    Key::u32("expert_count", &["moe_num_experts"]).needed(),
    Key::u32("expert_used_count", &["moe_k"]).needed(),
    Key::u32("interleave_moe_layer_step", &["moe_layer_interval"]),
    Key::u32("leading_dense_block_count", &["moe_layer_start_index"]),
    Key::u32("expert_feed_forward_length", &["moe_intermediate_size"]),
    Key::u32("expert_shared_count", &["moe_num_shared_experts"]),
    Key::special(Special::SharedWidthOfHeads("moe_num_shared_experts")),
];
