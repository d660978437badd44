//! Cohere 2: `Cohere2ForCausalLM`.

use super::{
    super::vocabulary::policy,
    cohere::{DEFAULTS, NORM, OUTER},
    rows,
};
use crate::model::architecture::{
    Architecture, BASE,
    DefaultValue::{HeadDim, Int},
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
        DEFAULTS,
        &[("sliding_window", Int(4096)), ("head_dim", HeadDim)],
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
