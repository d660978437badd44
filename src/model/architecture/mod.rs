//! What is known of an architecture, as data: the names of its classes, its tensors and what becomes of
//! them, its keys, its tokenizer. One file a family under `families/` holds it; the walker in `tensors/`,
//! `config/` and `metadata` read it. What no table can say is a named function in [`Special`] or
//! [`Computed`].

mod dim;
mod experts;
mod key;
mod print;
mod row;
mod special;

use std::fmt;

pub use dim::{Dim, Lengths};
pub use experts::{Experts, MoeLayers};
pub use key::{BASE, CONTEXT_LENGTH, Fixed, Key, KeyValue, ROPE_FREQ_BASE};
pub use row::{Layers, Place, Presence, Row, Source, Take};
pub use special::{Computed, Special};

use super::vocabulary::policy::{self, TokenizerPolicy};

/// An architecture of llama.cpp's, as one family of checkpoints has it.
#[derive(Clone, Copy)]
pub struct Architecture {
    /// What messages call the family, for example `Mixtral`.
    pub name: &'static str,
    /// `general.architecture`; several families may share one.
    pub gguf: &'static str,
    /// What `architectures` of config.json calls it, today's usual name first.
    pub classes: &'static [&'static str],
    /// `model_type` of config.json.
    pub model_type: &'static str,
    /// What the class takes for keys that config.json leaves out (transformers 4.57), the first of a key.
    pub defaults: &'static [&'static [(&'static str, DefaultValue)]],
    /// Keys of config.json that are not looked at.
    pub ignored: &'static [&'static str],
    /// What `layer_types` of config.json may call a layer.
    pub layer_kinds: &'static [&'static str],
    /// How the checkpoint's names are built.
    pub names: NameRules,
    /// The Mixture of Experts; `None` for a dense model.
    pub experts: Option<Experts>,
    /// The tensors.
    pub tensors: &'static [&'static [Row]],
    /// Pieces of the names of a part that is left out, because llama.cpp has no use for it. All of them are
    /// found in a checkpoint, or none.
    pub left_out: &'static [&'static str],
    /// Ends of the names of tensors that must be all zeros, and are left out: llama.cpp does without them.
    pub zero: &'static [&'static str],
    /// Tensors that are computed of config.json.
    pub computed: &'static [Computed],
    /// Keys that stand right behind `general.architecture`: the converter learns them with the tensors.
    pub early_keys: &'static [Key],
    /// The hyper-parameters' keys, in order. One that is there already is written over in its place.
    pub keys: &'static [&'static [Key]],
    /// How the tokenizer is read.
    pub tokenizer: TokenizerPolicy,
}

impl Architecture {
    /// What most families have in common.
    pub const COMMON: Self = Self {
        name: "",
        gguf: "",
        classes: &[],
        model_type: "",
        defaults: &[],
        ignored: &[],
        layer_kinds: &["full_attention", "sliding_attention"],
        names: NameRules::COMMON,
        experts: None,
        tensors: &[],
        left_out: &[],
        zero: &[],
        computed: &[],
        early_keys: &[],
        keys: &[key::BASE],
        tokenizer: policy::BPE,
    };

    /// All rows of its table.
    pub fn rows(&self) -> impl Iterator<Item = &'static Row> {
        self.tensors.iter().copied().flatten()
    }
}

/// Two families are the same where their names are.
impl PartialEq for Architecture {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl fmt::Debug for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// A value that is taken where config.json has none, or `null`.
#[derive(Clone, Copy, Debug)]
pub enum DefaultValue {
    /// An integer.
    Int(u64),
    /// An integer where nothing stands; where `null` does, there is none.
    IfAbsent(u64),
    /// A number.
    Float(f64),
    /// A truth value.
    Bool(bool),
    /// As many as there are attention heads.
    Heads,
    /// As many as there are attention heads, where `null` stands; where nothing does, what follows.
    HeadsIfNull,
    /// `hidden_size` shared by the attention heads.
    HeadDim,
    /// So many times another key.
    Times(&'static str, u64),
    /// Key and value heads of a family that has one for all queries where `multi_query` is set, whatever else
    /// is said, but not where `new_decoder_architecture` is; as many as there are attention heads elsewhere.
    MultiQuery,
}

/// How the names of a checkpoint's tensors are built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameRules {
    /// What stands before all but the output matrix, the usual one first: `model.`
    pub roots: &'static [&'static str],
    /// The tensor by which the beginning of the names is recognized: `embed_tokens.weight`
    pub embedding: &'static str,
    /// What stands between that beginning and a layer's number: `layers.`
    pub layers: &'static str,
    /// The output matrix: `lm_head.weight`
    pub output: &'static str,
}

impl NameRules {
    /// Those of nearly all classes of transformers.
    pub const COMMON: Self = Self {
        roots: &["model."],
        embedding: "embed_tokens.weight",
        layers: "layers.",
        output: "lm_head.weight",
    };
}
