//! A line of the table of keys.

use super::{Dim, Special};

/// A key of the GGUF, behind the architecture's name, and where its value is from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Key {
    /// The key, without the architecture; empty where the value brings its own.
    pub key: &'static str,
    /// The value.
    pub value: KeyValue,
    /// Whether config.json must have it.
    pub needed: bool,
}

/// Where a value is from. Keys of config.json are spellings: the first that is there counts. Without one
/// the GGUF's key is not written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum KeyValue {
    /// An integer, or a list in which it is the same for every layer.
    U32(&'static [&'static str]),
    /// An integer, where it is not 0.
    U32IfNot0(&'static [&'static str]),
    /// Integers multiplied, each under its key.
    Product(&'static [&'static str]),
    /// A number.
    F32(&'static [&'static str]),
    /// A number, where it is not 0.
    F32IfNot0(&'static [&'static str]),
    /// A truth value.
    Bool(&'static [&'static str]),
    /// Always the same.
    Fixed(Fixed),
    /// A length of the model.
    Length(Dim),
    /// What no table can say.
    Special(Special),
}

/// A value that is always the same.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fixed {
    /// An integer.
    U32(u32),
    /// A number.
    F32(f32),
    /// A truth value.
    Bool(bool),
    /// A text.
    Text(&'static str),
}

impl Key {
    const fn new(key: &'static str, value: KeyValue) -> Self {
        let needed = false;
        Self { key, value, needed }
    }

    /// An integer of config.json.
    pub const fn u32(key: &'static str, from: &'static [&'static str]) -> Self {
        Self::new(key, KeyValue::U32(from))
    }

    /// An integer of config.json, where it is not 0.
    pub const fn u32_if_not_0(key: &'static str, from: &'static [&'static str]) -> Self {
        Self::new(key, KeyValue::U32IfNot0(from))
    }

    /// Integers of config.json multiplied.
    pub const fn product(key: &'static str, of: &'static [&'static str]) -> Self {
        Self::new(key, KeyValue::Product(of))
    }

    /// A number of config.json.
    pub const fn f32(key: &'static str, from: &'static [&'static str]) -> Self {
        Self::new(key, KeyValue::F32(from))
    }

    /// A number of config.json, where it is not 0.
    pub const fn f32_if_not_0(key: &'static str, from: &'static [&'static str]) -> Self {
        Self::new(key, KeyValue::F32IfNot0(from))
    }

    /// A truth value of config.json.
    pub const fn bool(key: &'static str, from: &'static [&'static str]) -> Self {
        Self::new(key, KeyValue::Bool(from))
    }

    /// A value that is always the same.
    pub const fn fixed(key: &'static str, value: Fixed) -> Self {
        Self::new(key, KeyValue::Fixed(value))
    }

    /// A length of the model.
    pub const fn length(key: &'static str, dim: Dim) -> Self {
        Self::new(key, KeyValue::Length(dim))
    }

    /// What no table can say: it brings its keys.
    pub const fn special(special: Special) -> Self {
        Self::new("", KeyValue::Special(special))
    }

    /// The same, and config.json must have it.
    pub const fn needed(mut self) -> Self {
        self.needed = true;
        self
    }
}

/// The keys of nearly all architectures, in order (`TextModel.set_gguf_parameters` of the reference
/// converter).
pub const BASE: &[Key] = &[
    Key::special(Special::BlockCount),
    CONTEXT_LENGTH,
    Key::u32("embedding_length", &["hidden_size", "n_embd", "dim"]),
    Key::u32(
        "feed_forward_length",
        &[
            "prefix_dense_intermediate_size",
            "dense_intermediate_size",
            "intermediate_size",
            "n_inner",
            "hidden_dim",
        ],
    ),
    Key::u32(
        "attention.head_count",
        &["num_attention_heads", "n_head", "n_heads"],
    ),
    Key::u32(
        "attention.head_count_kv",
        &["num_key_value_heads", "n_kv_heads"],
    ),
    Key::special(Special::RopeScaling),
    ROPE_FREQ_BASE,
    Key::f32(
        "attention.layer_norm_rms_epsilon",
        &["rms_norm_eps", "norm_eps"],
    ),
    Key::f32(
        "attention.layer_norm_epsilon",
        &["layer_norm_eps", "layer_norm_epsilon", "norm_epsilon"],
    ),
    Key::special(Special::ExpertCounts),
    Key::u32("attention.key_length", &["head_dim"]),
    Key::u32("attention.value_length", &["head_dim"]),
];

/// The longest context.
pub const CONTEXT_LENGTH: Key = Key::u32(
    "context_length",
    &[
        "max_position_embeddings",
        "n_ctx",
        "n_positions",
        "max_length",
        "max_sequence_length",
        "model_max_length",
    ],
);

/// The base of the rotary frequencies.
pub const ROPE_FREQ_BASE: Key = Key::f32(
    "rope.freq_base",
    &[
        "global_rope_theta",
        "rope_global_theta",
        "rope_theta_global",
        "rope_theta",
        "rotary_emb_base",
    ],
);
