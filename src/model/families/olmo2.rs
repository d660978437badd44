//! OLMo 2 and 3: `Olmo2ForCausalLM`, `Olmo3ForCausalLM`.

use super::{super::vocabulary::policy, rows};
use crate::model::architecture::{
    Architecture, BASE,
    DefaultValue::{Float, Heads, Int},
    Key, Special,
};

/// OLMo 2.
pub(super) const OLMO2: Architecture = Architecture {
    name: "Olmo2",
    gguf: "olmo2",
    classes: &["Olmo2ForCausalLM"],
    model_type: "olmo2",
    defaults: &[&[
        ("vocab_size", Int(50304)),
        ("hidden_size", Int(4096)),
        ("intermediate_size", Int(11008)),
        ("num_hidden_layers", Int(32)),
        ("num_attention_heads", Int(32)),
        ("num_key_value_heads", Heads),
        ("max_position_embeddings", Int(2048)),
        ("rms_norm_eps", Float(1e-5)),
        ("rope_theta", Float(1e4)),
    ]],
    tensors: &[
        rows::OUTER,
        rows::POST_NORMS,
        rows::ATTENTION,
        rows::WHOLE_NORMS,
        rows::FFN,
    ],
    keys: &[BASE, KEYS],
    tokenizer: policy::OLMO,
    ..Architecture::COMMON
};

/// OLMo 3, three of four layers of which see a window.
pub(super) const OLMO3: Architecture = Architecture {
    name: "Olmo3",
    classes: &["Olmo3ForCausalLM"],
    model_type: "olmo3",
    defaults: &[OLMO2.defaults[0], &[("sliding_window", Int(4096))]],
    ..OLMO2
};

/// What their class adds to the keys of all.
const KEYS: &[Key] = &[
    Key::u32("attention.sliding_window", &["sliding_window"]),
    Key::special(Special::SlidingLayers(4)),
];
