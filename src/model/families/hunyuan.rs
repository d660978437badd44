//! Hunyuan: `HunYuanDenseV1ForCausalLM`, and its Mixture of Experts: `HunYuanMoEV1ForCausalLM`.

use super::{super::vocabulary::policy, rows};
use crate::model::architecture::{
    Architecture, BASE,
    DefaultValue::{self, Float, Heads, Int},
    Dim::{Embd, Expert, HeadDim, SharedFf},
    Experts, Key, MoeLayers, Presence, Row, Special,
};

/// Hunyuan 0.5B to 7B.
pub(super) const HUNYUAN_DENSE: Architecture = Architecture {
    name: "HunYuanDense",
    gguf: "hunyuan-dense",
    classes: &["HunYuanDenseV1ForCausalLM"],
    model_type: "hunyuan_v1_dense",
    defaults: &[DEFAULTS],
    tensors: &[OUTER, rows::NORMS, rows::ATTENTION, HEAD_NORMS, rows::FFN],
    keys: &[BASE, &[Key::special(Special::RopeAlpha(50))]],
    tokenizer: policy::HUNYUAN_DENSE,
    ..Architecture::COMMON
};

/// Hunyuan A13B.
pub(super) const HUNYUAN_MOE: Architecture = Architecture {
    name: "HunYuanMoE",
    gguf: "hunyuan-moe",
    classes: &["HunYuanMoEV1ForCausalLM"],
    model_type: "hunyuan_v1_moe",
    experts: Some(Experts {
        count: &["num_experts"],
        used: &["moe_topk"],
        ff: &["moe_intermediate_size"],
        shared_ff: &[&["intermediate_size"]],
        layers: MoeLayers::All,
    }),
    tensors: &[
        OUTER,
        rows::NORMS,
        rows::ATTENTION,
        HEAD_NORMS,
        ROUTER,
        rows::EXPERTS,
        SHARED_EXPERT,
    ],
    keys: &[BASE, MOE_KEYS],
    tokenizer: policy::HUNYUAN_MOE,
    ..HUNYUAN_DENSE
};

const DEFAULTS: &[(&str, DefaultValue)] = &[
    ("vocab_size", Int(290_943)),
    ("hidden_size", Int(4096)),
    ("intermediate_size", Int(11008)),
    ("num_hidden_layers", Int(32)),
    ("num_attention_heads", Int(32)),
    ("num_key_value_heads", Heads),
    ("max_position_embeddings", Int(2048)),
    ("rms_norm_eps", Float(1e-5)),
    ("rope_theta", Float(1e4)),
];

/// The output matrix is written only where it is another one than the embedding.
const OUTER: &[Row] = &[
    rows::OUTER[0],
    rows::OUTER[1],
    rows::OUTER[2].present(Presence::IfUntied),
];

const HEAD_NORMS: &[Row] = &[
    Row::of(
        "self_attn.query_layernorm.weight",
        "attn_q_norm.weight",
        &[HeadDim],
    ),
    Row::of(
        "self_attn.key_layernorm.weight",
        "attn_k_norm.weight",
        &[HeadDim],
    ),
];

const ROUTER: &[Row] =
    &[Row::of("mlp.gate.wg.weight", "ffn_gate_inp.weight", &[Expert, Embd]).moe()];

/// One expert that sees every token.
const SHARED_EXPERT: &[Row] = &[
    Row::of(
        "mlp.shared_mlp.gate_proj.weight",
        "ffn_gate_shexp.weight",
        &[SharedFf, Embd],
    )
    .moe(),
    Row::of(
        "mlp.shared_mlp.up_proj.weight",
        "ffn_up_shexp.weight",
        &[SharedFf, Embd],
    )
    .moe(),
    Row::of(
        "mlp.shared_mlp.down_proj.weight",
        "ffn_down_shexp.weight",
        &[Embd, SharedFf],
    )
    .moe(),
];

/// What its class adds to the keys of all.
const MOE_KEYS: &[Key] = &[
    Key::u32("expert_shared_feed_forward_length", &["intermediate_size"]),
    Key::u32("expert_feed_forward_length", &["moe_intermediate_size"]).needed(),
    Key::u32("expert_used_count", &["moe_topk"]).needed(),
    Key::u32("expert_shared_count", &["num_shared_expert"]).needed(),
    Key::special(Special::RopeAlpha(1000)),
];
