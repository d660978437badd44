//! Rows that many families share. Those of a layer follow `model.layers.N.` and `blk.N.`.

use super::super::architecture::{
    Dim::{
        self, Embd, Expert, ExpertFf, Ff, HeadDim, HeadsKv, Kv, Q, QOfGroup, SharedFf, Sum, Vocab,
    },
    Row, Source, Take,
};

/// Embedding, last norm, and the output matrix, which is absent where the output is the embedding.
pub(super) const OUTER: &[Row] = &[
    Row::outer("embed_tokens.weight", "token_embd.weight", &[Vocab, Embd]),
    Row::outer("norm.weight", "output_norm.weight", &[Embd]),
    Row::output("lm_head.weight", "output.weight", &[Vocab, Embd]),
];

/// The norms before attention and before the feed-forward network.
pub(super) const NORMS: &[Row] = &[
    Row::of("input_layernorm.weight", "attn_norm.weight", &[Embd]),
    Row::of(
        "post_attention_layernorm.weight",
        "ffn_norm.weight",
        &[Embd],
    ),
];

/// What is added in these norms and in the last one, where norms are of the mean, too.
pub(super) const NORM_BIASES: &[Row] = &[
    Row::outer("norm.bias", "output_norm.bias", &[Embd]),
    Row::of("input_layernorm.bias", "attn_norm.bias", &[Embd]),
    Row::of("post_attention_layernorm.bias", "ffn_norm.bias", &[Embd]),
];

/// The norms behind attention and behind the feed-forward network, of models that have none before.
pub(super) const POST_NORMS: &[Row] = &[
    Row::of(
        "post_attention_layernorm.weight",
        "post_attention_norm.weight",
        &[Embd],
    ),
    Row::of(
        "post_feedforward_layernorm.weight",
        "post_ffw_norm.weight",
        &[Embd],
    ),
];

/// Attention whose queries and keys are in llama.cpp's rotary order.
pub(super) const ROTARY_ATTENTION: &[Row] = &[
    Row::of("self_attn.q_proj.weight", "attn_q.weight", &[Q, Embd]).rotary(),
    Row::of("self_attn.k_proj.weight", "attn_k.weight", &[Kv, Embd]).rotary(),
    Row::of("self_attn.v_proj.weight", "attn_v.weight", &[Kv, Embd]),
    Row::of("self_attn.o_proj.weight", "attn_output.weight", &[Embd, Q]),
    Row::of("self_attn.q_proj.bias", "attn_q.bias", &[Q])
        .rotary()
        .optional(),
    Row::of("self_attn.k_proj.bias", "attn_k.bias", &[Kv])
        .rotary()
        .optional(),
    Row::of("self_attn.v_proj.bias", "attn_v.bias", &[Kv]).optional(),
    Row::of("self_attn.o_proj.bias", "attn_output.bias", &[Embd]).optional(),
];

/// The same without anything that may be added.
pub(super) const ROTARY_PROJECTIONS: &[Row] = ROTARY_ATTENTION.split_at(4).0;

/// Attention with its rows as they stand.
pub(super) const ATTENTION: &[Row] = &[
    Row::of("self_attn.q_proj.weight", "attn_q.weight", &[Q, Embd]),
    Row::of("self_attn.k_proj.weight", "attn_k.weight", &[Kv, Embd]),
    Row::of("self_attn.v_proj.weight", "attn_v.weight", &[Kv, Embd]),
    Row::of("self_attn.o_proj.weight", "attn_output.weight", &[Embd, Q]),
];

/// Of queries, keys and values in one tensor, in which each group of query heads is followed by its key and
/// its value: the queries.
pub(super) const QUERIES_OF_GROUPS: &[Take] = &[Take {
    groups: HeadsKv,
    first: Dim::N(0),
    rows: QOfGroup,
}];

/// The keys.
pub(super) const KEYS_OF_GROUPS: &[Take] = &[Take {
    groups: HeadsKv,
    first: QOfGroup,
    rows: HeadDim,
}];

/// The values.
pub(super) const VALUES_OF_GROUPS: &[Take] = &[Take {
    groups: HeadsKv,
    first: Sum(&[QOfGroup, HeadDim]),
    rows: HeadDim,
}];

/// All queries, then all keys, then all values.
pub(super) const QKV_OF_GROUPS: &[Take] =
    &[QUERIES_OF_GROUPS[0], KEYS_OF_GROUPS[0], VALUES_OF_GROUPS[0]];

/// What may be added to queries, keys and values.
pub(super) const QKV_BIASES: &[Row] = &[
    Row::of("self_attn.q_proj.bias", "attn_q.bias", &[Q]).optional(),
    Row::of("self_attn.k_proj.bias", "attn_k.bias", &[Kv]).optional(),
    Row::of("self_attn.v_proj.bias", "attn_v.bias", &[Kv]).optional(),
];

/// What may be added to the output of attention.
pub(super) const ATTENTION_OUTPUT_BIAS: &[Row] =
    &[Row::of("self_attn.o_proj.bias", "attn_output.bias", &[Embd]).optional()];

/// Norms of each head of queries and keys, the same for all heads.
pub(super) const HEAD_NORMS: &[Row] = &[
    Row::of("self_attn.q_norm.weight", "attn_q_norm.weight", &[HeadDim]),
    Row::of("self_attn.k_norm.weight", "attn_k_norm.weight", &[HeadDim]),
];

/// Norms of queries and of keys, over all heads at once.
pub(super) const WHOLE_NORMS: &[Row] = &[
    Row::of("self_attn.q_norm.weight", "attn_q_norm.weight", &[Q]),
    Row::of("self_attn.k_norm.weight", "attn_k_norm.weight", &[Kv]),
];

/// The dense feed-forward network, in layers without experts.
pub(super) const FFN: &[Row] = &[
    Row::of("mlp.gate_proj.weight", "ffn_gate.weight", &[Ff, Embd]).dense(),
    Row::of("mlp.up_proj.weight", "ffn_up.weight", &[Ff, Embd]).dense(),
    Row::of("mlp.down_proj.weight", "ffn_down.weight", &[Embd, Ff]).dense(),
];

/// What may be added in the dense feed-forward network.
pub(super) const FFN_BIASES: &[Row] = &[
    Row::of("mlp.gate_proj.bias", "ffn_gate.bias", &[Ff])
        .dense()
        .optional(),
    Row::of("mlp.up_proj.bias", "ffn_up.bias", &[Ff])
        .dense()
        .optional(),
    Row::of("mlp.down_proj.bias", "ffn_down.bias", &[Embd])
        .dense()
        .optional(),
];

/// The router of most Mixtures of Experts.
pub(super) const ROUTER: &[Row] =
    &[Row::of("mlp.gate.weight", "ffn_gate_inp.weight", &[Expert, Embd]).moe()];

/// The first half of each expert's rows of `gate_up_proj`.
pub(super) const GATE_HALF: &[Take] = &[Take {
    groups: Expert,
    first: Dim::N(0),
    rows: ExpertFf,
}];

/// The second half.
pub(super) const UP_HALF: &[Take] = &[Take {
    groups: Expert,
    first: ExpertFf,
    rows: ExpertFf,
}];

/// The shape of gate and up projections of all experts in one tensor.
pub(super) const GATE_UP: &[Dim] = &[Expert, Sum(&[ExpertFf, ExpertFf]), Embd];

/// Experts in both layouts: a tensor for each, as transformers 4 writes them, and all in one, in which
/// the gate stands before the up projection, as transformers 5 does.
pub(super) const EXPERTS: &[Row] = &[
    Row::made(
        Source::Either(&[
            Source::Each("mlp.experts.{}.gate_proj.weight"),
            Source::Part {
                name: "mlp.experts.gate_up_proj",
                shape: GATE_UP,
                take: GATE_HALF,
            },
        ]),
        "ffn_gate_exps.weight",
        &[Expert, ExpertFf, Embd],
    )
    .moe(),
    Row::made(
        Source::Either(&[
            Source::Each("mlp.experts.{}.up_proj.weight"),
            Source::Part {
                name: "mlp.experts.gate_up_proj",
                shape: GATE_UP,
                take: UP_HALF,
            },
        ]),
        "ffn_up_exps.weight",
        &[Expert, ExpertFf, Embd],
    )
    .moe(),
    Row::made(
        Source::Either(&[
            Source::Each("mlp.experts.{}.down_proj.weight"),
            Source::One("mlp.experts.down_proj"),
        ]),
        "ffn_down_exps.weight",
        &[Expert, Embd, ExpertFf],
    )
    .moe(),
];

/// Experts that see every token, as one network beside the others.
pub(super) const SHARED_EXPERTS: &[Row] = &[
    Row::of(
        "mlp.shared_experts.gate_proj.weight",
        "ffn_gate_shexp.weight",
        &[SharedFf, Embd],
    )
    .moe(),
    Row::of(
        "mlp.shared_experts.up_proj.weight",
        "ffn_up_shexp.weight",
        &[SharedFf, Embd],
    )
    .moe(),
    Row::of(
        "mlp.shared_experts.down_proj.weight",
        "ffn_down_shexp.weight",
        &[Embd, SharedFf],
    )
    .moe(),
];
