//! Cohere 2: `Cohere2ForCausalLM`.

use super::{
    super::vocabulary::policy,
    cohere::{NORM, OUTER},
    rows,
};
use crate::model::architecture::{
    Architecture, BASE,
    Default::{Bool, Float, HeadDim, Heads, Int},
    Dim::Vocab,
    Fixed, Key, Special,
};

/// Command R7B and Command A.
pub(super) const COHERE2: Architecture = Architecture {
    name: "Cohere2",
    gguf: "cohere2",
    classes: &["Cohere2ForCausalLM"],
    model_type: "cohere2",
    defaults: &[
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
        ("sliding_window", Int(4096)),
        ("head_dim", HeadDim),
    ],
    tensors: &[OUTER, NORM, rows::ATTENTION, rows::FFN],
    // Some checkpoints carry biases that its class does not have.
    zero: &[".bias"],
    keys: &[BASE, KEYS],
    tokenizer: policy::COHERE,
    ..Architecture::COMMON
};

const KEYS: &[Key] = &[
    Key::f32("logit_scale", &["logit_scale"]).needed(),
    Key::u32("attention.sliding_window", &["sliding_window"]).needed(),
    Key::length("vocab_size", Vocab),
    Key::special(Special::RotaryDimensions),
    Key::fixed("rope.scaling.type", Fixed::Text("none")),
];
