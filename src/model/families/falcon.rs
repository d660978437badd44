//! Falcon: `FalconForCausalLM`, and `RWForCausalLM` as its first checkpoints have it.

use super::{super::vocabulary::policy, rows};
use crate::model::architecture::{
    Architecture,
    DefaultValue::{Bool, Float, Int, MultiQuery, Times},
    Dim::{self, Embd, Kv, N, Product, Q, Sum, Vocab},
    Fixed, Key, NameRules, Row, Source, Special,
};

/// Falcon 7B, 11B, 40B and 180B; Falcon 3 is a Llama.
pub(super) const FALCON: Architecture = Architecture {
    name: "Falcon",
    gguf: "falcon",
    classes: &["FalconForCausalLM", "RWForCausalLM"],
    model_type: "falcon",
    defaults: &[&[
        ("vocab_size", Int(65024)),
        ("hidden_size", Int(4544)),
        ("intermediate_size", Times("hidden_size", 4)),
        ("num_hidden_layers", Int(32)),
        ("num_attention_heads", Int(71)),
        ("num_key_value_heads", MultiQuery),
        ("max_position_embeddings", Int(2048)),
        ("layer_norm_epsilon", Float(1e-5)),
        ("tie_word_embeddings", Bool(true)),
    ]],
    ignored: &["intermediate_size", "head_dim"],
    names: NameRules {
        roots: &["transformer."],
        embedding: "word_embeddings.weight",
        layers: "h.",
        output: "lm_head.weight",
    },
    tensors: &[OUTER, NORMS, REST],
    keys: &[KEYS],
    tokenizer: policy::FALCON,
    ..Architecture::COMMON
};

const OUTER: &[Row] = &[
    Row::outer(
        "word_embeddings.weight",
        "token_embd.weight",
        &[Vocab, Embd],
    ),
    Row::outer("ln_f.weight", "output_norm.weight", &[Embd]),
    Row::outer("ln_f.bias", "output_norm.bias", &[Embd]),
    Row::output("lm_head.weight", "output.weight", &[Vocab, Embd]),
];

/// One norm for attention and feed-forward network, or one for each.
const NORMS: &[Row] = &[
    Row::made(
        Source::Either(&[
            Source::One("ln_mlp.weight"),
            Source::One("input_layernorm.weight"),
        ]),
        "attn_norm.weight",
        &[Embd],
    ),
    Row::made(
        Source::Either(&[
            Source::One("ln_mlp.bias"),
            Source::One("input_layernorm.bias"),
        ]),
        "attn_norm.bias",
        &[Embd],
    ),
    Row::of("ln_attn.weight", "attn_norm_2.weight", &[Embd]).with("ln_mlp.weight"),
    Row::of("ln_attn.bias", "attn_norm_2.bias", &[Embd]).with("ln_mlp.weight"),
];

const REST: &[Row] = &[
    Row::made(
        Source::Part {
            name: "self_attention.query_key_value.weight",
            shape: QKV,
            take: rows::QKV_OF_GROUPS,
        },
        "attn_qkv.weight",
        QKV,
    ),
    Row::of(
        "self_attention.dense.weight",
        "attn_output.weight",
        &[Embd, Q],
    ),
    Row::of(
        "mlp.dense_h_to_4h.weight",
        "ffn_up.weight",
        &[FOUR_EMBD, Embd],
    ),
    Row::of(
        "mlp.dense_4h_to_h.weight",
        "ffn_down.weight",
        &[Embd, FOUR_EMBD],
    ),
];

const QKV: &[Dim] = &[Sum(&[Q, Kv, Kv]), Embd];

/// The only width that the reference converter knows.
const FOUR_EMBD: Dim = Product(&[N(4), Embd]);

/// None are those of other architectures.
const KEYS: &[Key] = &[
    Key::fixed("context_length", Fixed::U32(2048)),
    Key::fixed("tensor_data_layout", Fixed::Text("jploski")),
    Key::length("embedding_length", Embd),
    Key::length("feed_forward_length", FOUR_EMBD),
    Key::special(Special::BlockCount),
    Key::length("attention.head_count", Dim::Heads),
    Key::length("attention.head_count_kv", Dim::HeadsKv),
    Key::f32("attention.layer_norm_epsilon", &["layer_norm_epsilon"]).needed(),
];
