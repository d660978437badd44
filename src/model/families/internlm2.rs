//! InternLM 2: `InternLM2ForCausalLM`.

use super::{super::vocabulary::policy, rows};
use crate::model::architecture::{
    Architecture, BASE,
    Dim::{Embd, Ff, Kv, Q, Sum, Vocab},
    NameRules, Row, Source, Take,
};

/// InternLM 2 and 2.5. Its class comes with the checkpoint, and no default of it counts.
pub(super) const INTERNLM2: Architecture = Architecture {
    name: "InternLM2",
    gguf: "internlm2",
    classes: &["InternLM2ForCausalLM"],
    model_type: "internlm2",
    names: NameRules {
        embedding: "tok_embeddings.weight",
        output: "output.weight",
        ..NameRules::COMMON
    },
    tensors: &[OUTER, LAYER],
    keys: &[BASE],
    tokenizer: policy::INTERNLM2,
    ..Architecture::COMMON
};

const OUTER: &[Row] = &[
    Row::outer("tok_embeddings.weight", "token_embd.weight", &[Vocab, Embd]),
    Row::outer("norm.weight", "output_norm.weight", &[Embd]),
    Row::output("output.weight", "output.weight", &[Vocab, Embd]),
];

const LAYER: &[Row] = &[
    Row::of("attention_norm.weight", "attn_norm.weight", &[Embd]),
    Row::made(
        of_groups(rows::QUERIES_OF_GROUPS),
        "attn_q.weight",
        &[Q, Embd],
    )
    .rotary(),
    Row::made(
        of_groups(rows::KEYS_OF_GROUPS),
        "attn_k.weight",
        &[Kv, Embd],
    )
    .rotary(),
    Row::made(
        of_groups(rows::VALUES_OF_GROUPS),
        "attn_v.weight",
        &[Kv, Embd],
    ),
    Row::of("attention.wo.weight", "attn_output.weight", &[Embd, Q]),
    Row::of("ffn_norm.weight", "ffn_norm.weight", &[Embd]),
    Row::of("feed_forward.w1.weight", "ffn_gate.weight", &[Ff, Embd]),
    Row::of("feed_forward.w3.weight", "ffn_up.weight", &[Ff, Embd]),
    Row::of("feed_forward.w2.weight", "ffn_down.weight", &[Embd, Ff]),
];

/// Queries, keys and values are one tensor, group by group.
const fn of_groups(take: &'static [Take]) -> Source {
    Source::Part {
        name: "attention.wqkv.weight",
        shape: &[Sum(&[Q, Kv, Kv]), Embd],
        take,
    }
}
