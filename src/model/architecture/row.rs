//! A line of the table of tensors.

use super::Dim;

/// A tensor of the GGUF and the tensors of the checkpoint that its rows are of.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Its name in the GGUF, behind `blk.N.` where it is a layer's.
    pub target: &'static str,
    /// Its shape, outermost dimension first.
    pub shape: &'static [Dim],
    /// Where its rows are in the checkpoint.
    pub from: Source,
    /// What the checkpoint's names begin with.
    pub place: Place,
    /// The layers that have it, where it is a layer's.
    pub layers: Layers,
    /// Whether it may be absent.
    pub presence: Presence,
    /// Whether the rows of the two halves of each head alternate in the GGUF: transformers turns the
    /// halves of a head against each other, llama.cpp neighbouring rows for some architectures.
    pub rotary: bool,
}

/// Where the rows of a tensor are.
#[derive(Clone, Copy, Debug)]
pub enum Source {
    /// One tensor of the same shape.
    One(&'static str),
    /// One tensor for each index of the outermost dimension, whose number is `{}` in the name.
    Each(&'static str),
    /// Rows of a tensor of another shape.
    Part {
        /// Its name.
        name: &'static str,
        /// Its shape.
        shape: &'static [Dim],
        /// What is taken of it, one after the other.
        take: &'static [Take],
    },
    /// One of several layouts: the first that is there.
    Either(&'static [Self]),
}

/// Of each of `groups` equal runs of rows, `rows` rows from row `first` on. The rows of all dimensions
/// but the last count as one list.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "told above")]
pub struct Take {
    pub groups: Dim,
    pub first: Dim,
    pub rows: Dim,
}

impl Take {
    /// One run of rows of the whole tensor.
    pub const fn run(first: Dim, rows: Dim) -> Self {
        Self {
            groups: Dim::N(1),
            first,
            rows,
        }
    }
}

/// What a checkpoint's name begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The model's beginning, and the layer's: `model.layers.N.`
    Layer,
    /// The model's beginning: `model.`
    Model,
    /// What stands before the output matrix, as a rule nothing.
    Output,
}

/// The layers that have a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layers {
    /// All.
    All,
    /// Those without experts.
    Dense,
    /// Those with experts.
    Moe,
}

/// Whether a tensor may be absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It must be there.
    Needed,
    /// It may be absent.
    Optional,
    /// It may be absent where this key of config.json is absent, false or 0.
    NeededIf(&'static str),
    /// It may be absent where this key of config.json is set.
    NeededUnless(&'static str),
    /// It may be absent where `tie_word_embeddings` is set; it is written all the same where it is there.
    UnlessTied,
    /// It is left out where `tie_word_embeddings` is set, and must be there where it is not.
    IfUntied,
    /// It must be there where another one of the checkpoint is, and only there.
    With(&'static str),
}

impl Row {
    const fn new(from: Source, target: &'static str, shape: &'static [Dim], place: Place) -> Self {
        Self {
            target,
            shape,
            from,
            place,
            layers: Layers::All,
            presence: Presence::Needed,
            rotary: false,
        }
    }

    /// A layer's tensor that is one of the checkpoint's.
    pub const fn of(source: &'static str, target: &'static str, shape: &'static [Dim]) -> Self {
        Self::new(Source::One(source), target, shape, Place::Layer)
    }

    /// A layer's tensor that is made of others.
    pub const fn made(from: Source, target: &'static str, shape: &'static [Dim]) -> Self {
        Self::new(from, target, shape, Place::Layer)
    }

    /// A tensor outside of the layers.
    pub const fn outer(source: &'static str, target: &'static str, shape: &'static [Dim]) -> Self {
        Self::new(Source::One(source), target, shape, Place::Model)
    }

    /// The output matrix, or what stands beside it.
    pub const fn output(source: &'static str, target: &'static str, shape: &'static [Dim]) -> Self {
        let mut row = Self::new(Source::One(source), target, shape, Place::Output);
        row.presence = Presence::UnlessTied;
        row
    }

    /// The same in the GGUF's rotary order.
    pub const fn rotary(mut self) -> Self {
        self.rotary = true;
        self
    }

    /// The same, and it may be absent.
    pub const fn optional(mut self) -> Self {
        self.presence = Presence::Optional;
        self
    }

    /// The same, and it may be absent where a key of config.json is not set.
    pub const fn needed_if(mut self, key: &'static str) -> Self {
        self.presence = Presence::NeededIf(key);
        self
    }

    /// The same, and it may be absent where a key of config.json is set.
    pub const fn needed_unless(mut self, key: &'static str) -> Self {
        self.presence = Presence::NeededUnless(key);
        self
    }

    /// The same with another presence.
    pub const fn present(mut self, presence: Presence) -> Self {
        self.presence = presence;
        self
    }

    /// The same, there where another tensor of the checkpoint is.
    pub const fn with(mut self, other: &'static str) -> Self {
        self.presence = Presence::With(other);
        self
    }

    /// The same in layers without experts only.
    pub const fn dense(mut self) -> Self {
        self.layers = Layers::Dense;
        self
    }

    /// The same in layers with experts only.
    pub const fn moe(mut self) -> Self {
        self.layers = Layers::Moe;
        self
    }
}

impl Source {
    /// The layouts, each by itself.
    pub fn layouts(&self) -> &[Self] {
        match self {
            Self::Either(layouts) => layouts,
            one => std::slice::from_ref(one),
        }
    }

    /// The name in the checkpoint, with `{}` for a number; of several layouts, of the first.
    pub fn name(&self) -> &'static str {
        match self {
            Self::One(name) | Self::Each(name) | Self::Part { name, .. } => name,
            Self::Either(layouts) => layouts.first().map_or("", Self::name),
        }
    }
}
