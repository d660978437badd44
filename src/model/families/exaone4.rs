//! Exaone 4: `Exaone4ForCausalLM`.

use super::{super::vocabulary::policy, rows};
use crate::model::architecture::{
    Architecture, BASE, Computed,
    DefaultValue::{Float, IfAbsent, Int},
    Dim, Key, Special,
};

/// Exaone 4, whose norms stand behind attention and feed-forward network; of the larger one, most layers
/// see a window only.
pub(super) const EXAONE4: Architecture = Architecture {
    name: "Exaone4",
    gguf: "exaone4",
    classes: &["Exaone4ForCausalLM"],
    model_type: "exaone4",
    defaults: &[&[
        ("vocab_size", Int(102_400)),
        ("hidden_size", Int(4096)),
        ("intermediate_size", Int(16384)),
        ("num_hidden_layers", Int(32)),
        ("num_attention_heads", Int(32)),
        ("num_key_value_heads", Int(32)),
        ("max_position_embeddings", Int(2048)),
        ("rms_norm_eps", Float(1e-5)),
        ("rope_theta", Float(1e4)),
        ("sliding_window", IfAbsent(4096)),
    ]],
    tensors: &[
        rows::OUTER,
        rows::POST_NORMS,
        rows::ATTENTION,
        rows::HEAD_NORMS,
        rows::FFN,
    ],
    computed: &[Computed::RopeFrequencies],
    keys: &[BASE, KEYS],
    tokenizer: policy::EXAONE4,
    ..Architecture::COMMON
};

/// What its class adds to the keys of all.
const KEYS: &[Key] = &[
    Key::length("vocab_size", Dim::Vocab),
    Key::u32("attention.sliding_window", &["sliding_window"]),
    Key::special(Special::SlidingLayers(4)),
];
