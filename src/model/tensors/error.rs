//! A checkpoint's tensors that are not what its config.json asks for.

use crate::{model::ConfigError, source::ShardError};

/// A checkpoint whose tensors are not those of its config.json.
#[derive(Debug, thiserror::Error)]
pub enum TensorError {
    /// A tensor that the model needs is not there.
    #[error("tensor `{tensor}` is missing from the checkpoint{hint}")]
    Missing {
        /// Its name.
        tensor: String,
        /// What else may be meant; empty, or begins with a separator.
        hint: String,
    },
    /// A tensor that no model of this class has.
    #[error(
        "tensor `{tensor}`{} in `{path}` is unknown, no {family} model has it: {hint}",
        match others { 0 => String::new(), n => format!(" (and {n} more)") }
    )]
    Unknown {
        /// Its name.
        tensor: String,
        /// The shard.
        path: String,
        /// The family of the model.
        family: &'static str,
        /// How many more are unknown.
        others: usize,
        /// What it is, where that is known, and what to do.
        hint: String,
    },
    /// The shape is not what config.json asks for.
    #[error(
        "tensor `{tensor}` in `{path}` has shape {found:?}, config.json asks for {expected:?}{hint}"
    )]
    Shape {
        /// Its name.
        tensor: String,
        /// The shard.
        path: String,
        /// What config.json asks for.
        expected: Box<[u64]>,
        /// What the shard's header says.
        found: Box<[u64]>,
        /// The keys that decide; empty, or begins with a separator.
        hint: String,
    },
    /// The number format is not one we read.
    #[error(
        "tensor `{tensor}` in `{path}` is of type {found}, expected BF16, F16 or F32{}",
        if is_quantized(found) { ": the weights are quantized already" } else { "" }
    )]
    Type {
        /// Its name.
        tensor: String,
        /// The shard.
        path: String,
        /// What the shard's header says.
        found: String,
    },
    /// A part of the model that is left out is there by half.
    #[error(
        "tensor `{tensor}` in `{path}` is of a part that llama.cpp does without, and nothing of its `{missing}` is there: is the checkpoint whole? `--skip-tensor '{pieces}'` leaves it out all the same"
    )]
    Half {
        /// Its name.
        tensor: String,
        /// The shard.
        path: String,
        /// A pattern of all that the part's names have in them.
        pieces: String,
        /// What the names of the tensors that are missing have in them.
        missing: &'static str,
    },
    /// A tensor that the model does without is more than zeros.
    #[error(
        "tensor `{tensor}` in `{path}` has the weight {found}, expected zeros: llama.cpp does without it, and so would change the model (`--skip-tensor` leaves it out all the same)"
    )]
    NotZero {
        /// Its name.
        tensor: String,
        /// The shard.
        path: String,
        /// The first weight that is not zero.
        found: f32,
    },
    /// The weights cannot be read.
    #[error("cannot read tensor `{tensor}` in `{path}`")]
    Read {
        /// Its name.
        tensor: String,
        /// The shard.
        path: String,
        /// Why.
        source: ShardError,
    },
    /// A tensor cannot be computed of config.json.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A pattern of `--skip-tensor` takes too long.
    #[error(
        "`--skip-tensor {pattern}` takes too long for tensor `{tensor}`, expected a simpler pattern"
    )]
    SlowPattern {
        /// The pattern.
        pattern: String,
        /// The tensor.
        tensor: String,
    },
}

/// Whether weights of this type of safetensors are of a quantized model.
fn is_quantized(dtype: &str) -> bool {
    dtype.starts_with("F8")
        || dtype.starts_with("F4")
        || ["I8", "U8", "I32", "U32"].contains(&dtype)
}
