//! Cohere: `CohereForCausalLM`.

use super::{super::vocabulary::policy, rows};
use crate::model::architecture::{
    Architecture, BASE,
    DefaultValue::{self, Bool, Float, Heads, Int},
    Dim::{Embd, HeadDim, Heads as QHeads, HeadsKv, Vocab},
    Fixed, Key, Row,
};

/// Command R and R+, and Aya 23.
pub(super) const COHERE: Architecture = Architecture {
    name: "Cohere",
    gguf: "command-r",
    classes: &["CohereForCausalLM"],
    model_type: "cohere",
    defaults: &[DEFAULTS],
    tensors: &[OUTER, NORM, rows::ATTENTION, HEAD_NORMS, rows::FFN],
    keys: &[BASE, KEYS],
    tokenizer: policy::COHERE,
    ..Architecture::COMMON
};

/// What the classes of Cohere and of Cohere 2 take.
pub(super) const DEFAULTS: &[(&str, DefaultValue)] = &[
    ("vocab_size", Int(256_000)),
    ("hidden_size", Int(8192)),
    ("intermediate_size", Int(22528)),
    ("logit_scale", Float(0.0625)),
    ("num_hidden_layers", Int(40)),
    ("num_attention_heads", Int(64)),
    ("num_key_value_heads", Heads),
    ("max_position_embeddings", Int(8192)),
    ("layer_norm_eps", Float(1e-5)),
    ("tie_word_embeddings", Bool(true)),
    ("rope_theta", Float(1e4)),
];

/// Embedding and last norm: the output is always the embedding.
pub(super) const OUTER: &[Row] = &[
    Row::outer("embed_tokens.weight", "token_embd.weight", &[Vocab, Embd]),
    Row::outer("norm.weight", "output_norm.weight", &[Embd]),
];

/// One norm, before attention and feed-forward network, which stand beside each other.
pub(super) const NORM: &[Row] = &[Row::of(
    "input_layernorm.weight",
    "attn_norm.weight",
    &[Embd],
)];

/// Norms of each head of queries and keys, which R+ has.
const HEAD_NORMS: &[Row] = &[
    Row::of(
        "self_attn.q_norm.weight",
        "attn_q_norm.weight",
        &[QHeads, HeadDim],
    )
    .needed_if("use_qk_norm"),
    Row::of(
        "self_attn.k_norm.weight",
        "attn_k_norm.weight",
        &[HeadsKv, HeadDim],
    )
    .with("self_attn.q_norm.weight"),
];

/// The context that the models were trained on stands in `model_max_length`, where they have it.
const KEYS: &[Key] = &[
    Key::u32(
        "context_length",
        &["model_max_length", "max_position_embeddings"],
    ),
    Key::f32("logit_scale", &["logit_scale"]).needed(),
    Key::fixed("rope.scaling.type", Fixed::Text("none")),
];
