//! Granite: `GraniteForCausalLM`, and its Mixtures of Experts, `GraniteMoeForCausalLM` and
//! `GraniteMoeSharedForCausalLM`.

use super::{
    super::vocabulary::policy,
    llama::{self, LLAMA},
    rows,
};
use crate::model::architecture::{
    Architecture, BASE,
    DefaultValue::{self, Float, Heads, Int},
    Dim::{self, Embd, Expert, ExpertFf, Ff, SharedFf, Sum},
    Experts, Fixed, Key, MoeLayers, Row, Source, Special, Take,
};

/// Granite 3, dense. The width of a head always follows from the others.
pub(super) const GRANITE: Architecture = Architecture {
    name: "Granite",
    gguf: "granite",
    classes: &["GraniteForCausalLM"],
    model_type: "granite",
    defaults: &[DEFAULTS],
    ignored: &["head_dim"],
    keys: &[BASE, llama::KEYS, SCALES],
    tokenizer: policy::GRANITE,
    ..LLAMA
};

/// Granite's Mixture of Experts.
pub(super) const GRANITE_MOE: Architecture = Architecture {
    name: "GraniteMoe",
    gguf: "granitemoe",
    classes: &["GraniteMoeForCausalLM"],
    model_type: "granitemoe",
    defaults: &[DEFAULTS, MOE_DEFAULTS],
    experts: Some(EXPERT_COUNTS),
    tensors: &[
        rows::OUTER,
        rows::NORMS,
        rows::ROTARY_ATTENTION,
        EXPERTS,
        SHARED_EXPERT,
    ],
    keys: &[BASE, llama::KEYS, SCALES, SHARED_WIDTH],
    ..GRANITE
};

/// The same with a network beside the experts that sees every token.
pub(super) const GRANITE_MOE_SHARED: Architecture = Architecture {
    name: "GraniteMoeShared",
    classes: &["GraniteMoeSharedForCausalLM"],
    model_type: "granitemoeshared",
    ..GRANITE_MOE
};

/// Granite 4, those that have attention in all layers: dense models of the class of hybrids, whose one
/// network has the name of the shared expert.
pub(super) const GRANITE_HYBRID: Architecture = Architecture {
    name: "GraniteMoeHybrid",
    classes: &["GraniteMoeHybridForCausalLM"],
    model_type: "granitemoehybrid",
    defaults: &[DEFAULTS, MOE_DEFAULTS, HYBRID_DEFAULTS],
    layer_kinds: &["attention"],
    experts: Some(Experts {
        shared_ff: &[],
        ..EXPERT_COUNTS
    }),
    tensors: &[rows::OUTER, rows::NORMS, rows::ROTARY_ATTENTION, ONE_FFN],
    keys: &[BASE, llama::KEYS, SCALES, SHARED_WIDTH, HYBRID],
    tokenizer: policy::QWEN2.with_pre(&["dbrx", "refact"]),
    ..GRANITE
};

/// What the classes of all of them take.
const DEFAULTS: &[(&str, DefaultValue)] = &[
    ("vocab_size", Int(32000)),
    ("hidden_size", Int(4096)),
    ("intermediate_size", Int(11008)),
    ("num_hidden_layers", Int(32)),
    ("num_attention_heads", Int(32)),
    ("num_key_value_heads", Heads),
    ("max_position_embeddings", Int(2048)),
    ("rms_norm_eps", Float(1e-6)),
    ("rope_theta", Float(1e4)),
    ("embedding_multiplier", Float(1.0)),
    ("logits_scaling", Float(1.0)),
    ("residual_multiplier", Float(1.0)),
    ("attention_multiplier", Float(1.0)),
];

/// What those with experts add.
const MOE_DEFAULTS: &[(&str, DefaultValue)] = &[
    ("num_local_experts", Int(8)),
    ("num_experts_per_tok", Int(2)),
];

/// What the class of hybrids adds.
const HYBRID_DEFAULTS: &[(&str, DefaultValue)] = &[
    ("shared_intermediate_size", Int(1024)),
    ("mamba_n_heads", Int(128)),
    ("mamba_n_groups", Int(1)),
    ("mamba_d_state", Int(256)),
    ("mamba_d_conv", Int(4)),
    ("mamba_expand", Int(2)),
];

/// What the class of hybrids adds, whether there are such layers or not.
const HYBRID: &[Key] = &[
    Key::u32("ssm.conv_kernel", &["mamba_d_conv"]),
    Key::u32("ssm.state_size", &["mamba_d_state"]),
    Key::u32("ssm.group_count", &["mamba_n_groups"]),
    Key::product("ssm.inner_size", &["mamba_expand", "hidden_size"]),
    Key::u32("ssm.time_step_rank", &["mamba_n_heads"]),
    Key::special(Special::KvHeadsOfLayers),
    Key::fixed("rope.scaling.finetuned", Fixed::Bool(true)),
];

/// The shape of the one network's gate and up projections.
const ONE_GATE_UP: &[Dim] = &[Sum(&[Ff, Ff]), Embd];

const ONE_FFN: &[Row] = &[
    Row::made(
        Source::Part {
            name: "shared_mlp.input_linear.weight",
            shape: ONE_GATE_UP,
            take: &[Take::run(Dim::N(0), Ff)],
        },
        "ffn_gate.weight",
        &[Ff, Embd],
    ),
    Row::made(
        Source::Part {
            name: "shared_mlp.input_linear.weight",
            shape: ONE_GATE_UP,
            take: &[Take::run(Ff, Ff)],
        },
        "ffn_up.weight",
        &[Ff, Embd],
    ),
    Row::of(
        "shared_mlp.output_linear.weight",
        "ffn_down.weight",
        &[Embd, Ff],
    ),
];

const EXPERT_COUNTS: Experts = Experts {
    count: &["num_local_experts"],
    used: &["num_experts_per_tok"],
    ff: &["intermediate_size"],
    shared_ff: &[&["shared_intermediate_size"]],
    layers: MoeLayers::All,
};

/// What is multiplied on the way through the model.
const SCALES: &[Key] = &[
    Key::f32_if_not_0("attention.scale", &["attention_multiplier"]),
    Key::f32_if_not_0("embedding_scale", &["embedding_multiplier"]),
    Key::f32_if_not_0("residual_scale", &["residual_multiplier"]),
    Key::f32_if_not_0("logit_scale", &["logits_scaling"]),
];

const SHARED_WIDTH: &[Key] = &[Key::u32_if_not_0(
    "expert_shared_feed_forward_length",
    &["shared_intermediate_size"],
)];

/// Router and experts, all in one tensor, in which the gate stands before the up projection.
const EXPERTS: &[Row] = &[
    Row::of(
        "block_sparse_moe.router.layer.weight",
        "ffn_gate_inp.weight",
        &[Expert, Embd],
    )
    .moe(),
    Row::made(
        Source::Part {
            name: "block_sparse_moe.input_linear.weight",
            shape: rows::GATE_UP,
            take: rows::GATE_HALF,
        },
        "ffn_gate_exps.weight",
        &[Expert, ExpertFf, Embd],
    )
    .moe(),
    Row::made(
        Source::Part {
            name: "block_sparse_moe.input_linear.weight",
            shape: rows::GATE_UP,
            take: rows::UP_HALF,
        },
        "ffn_up_exps.weight",
        &[Expert, ExpertFf, Embd],
    )
    .moe(),
    Row::of(
        "block_sparse_moe.output_linear.weight",
        "ffn_down_exps.weight",
        &[Expert, Embd, ExpertFf],
    )
    .moe(),
];

/// The shape of the shared expert's gate and up projections.
const SHARED_GATE_UP: &[Dim] = &[Sum(&[SharedFf, SharedFf]), Embd];

/// Without a width there is no shared expert.
const SHARED_EXPERT: &[Row] = &[
    Row::made(
        Source::Part {
            name: "shared_mlp.input_linear.weight",
            shape: SHARED_GATE_UP,
            take: &[Take::run(Dim::N(0), SharedFf)],
        },
        "ffn_gate_shexp.weight",
        &[SharedFf, Embd],
    )
    .moe()
    .needed_if("shared_intermediate_size"),
    Row::made(
        Source::Part {
            name: "shared_mlp.input_linear.weight",
            shape: SHARED_GATE_UP,
            take: &[Take::run(SharedFf, SharedFf)],
        },
        "ffn_up_shexp.weight",
        &[SharedFf, Embd],
    )
    .moe()
    .needed_if("shared_intermediate_size"),
    Row::of(
        "shared_mlp.output_linear.weight",
        "ffn_down_shexp.weight",
        &[Embd, SharedFf],
    )
    .moe()
    .needed_if("shared_intermediate_size"),
];
