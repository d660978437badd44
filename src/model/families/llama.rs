//! Llama: `LlamaForCausalLM`.

use super::{super::vocabulary::policy, rows};
use crate::model::architecture::{
    Architecture, BASE, Computed,
    DefaultValue::{Float, HeadDim, Heads, Int},
    Dim, Key,
};

/// Llama 1 to 3, and all that use their class.
pub(super) const LLAMA: Architecture = Architecture {
    name: "Llama",
    gguf: "llama",
    // Today's name, that of the first conversions, and the base class, saved without the output matrix.
    classes: &["LlamaForCausalLM", "LLaMAForCausalLM", "LlamaModel"],
    model_type: "llama",
    defaults: &[&[
        ("intermediate_size", Int(11008)),
        ("num_key_value_heads", Heads),
        ("max_position_embeddings", Int(2048)),
        ("rms_norm_eps", Float(1e-6)),
        ("rope_theta", Float(1e4)),
        ("vocab_size", Int(32000)),
        ("head_dim", HeadDim),
    ]],
    tensors: &[
        rows::OUTER,
        rows::NORMS,
        rows::ROTARY_ATTENTION,
        rows::FFN,
        rows::FFN_BIASES,
    ],
    computed: &[Computed::RopeFrequencies],
    keys: &[BASE, KEYS],
    tokenizer: policy::LLAMA,
    ..Architecture::COMMON
};

/// What the reference converter's Llama adds to the keys of all.
pub(super) const KEYS: &[Key] = &[
    Key::length("vocab_size", Dim::Vocab),
    Key::length("rope.dimension_count", Dim::HeadDim),
];
