//! What can stop the making of gates.

use std::{io, path::PathBuf};

use crate::{
    convert::ConvertError,
    gguf::LayoutError,
    runner::RunnerError,
    source::{ShardError, SourceError},
};

/// Why there are no gates.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// The base model, or a file of gates, is not what it should be.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The base model cannot be converted for llama.cpp.
    #[error(transparent)]
    Convert(Box<ConvertError>),
    /// llama.cpp cannot run the base model.
    #[error(transparent)]
    Runner(#[from] RunnerError),
    /// A mode that looks at no prompts.
    #[error(
        "`gate_mode` is `{mode}`, which makes gates of a seed, expected one that makes them of prompts"
    )]
    NotOfPrompts {
        /// The mode's name.
        mode: &'static str,
    },
    /// Nothing to make a gate of.
    #[error(
        "`{expert}` has no `positive_prompts`, and `gate_mode: {mode}` makes gates of them: give it some, or write `gate_mode: random`"
    )]
    NoPrompts {
        /// Which expert: its place in the recipe.
        expert: String,
        /// The mode's name.
        mode: &'static str,
    },
    /// A prompt without tokens.
    #[error(
        "`{expert}` has an empty prompt, and the base's vocabulary begins no text by itself: write something into it, or take it out"
    )]
    EmptyPrompt {
        /// Which expert: its place in the recipe.
        expert: String,
    },
    /// A prompt that is too long for the model.
    #[error(
        "the prompt `{prompt}` of `{expert}` has {tokens} tokens, expected at most the {context} that the base model was trained on: shorten it"
    )]
    PromptTooLong {
        /// Which expert: its place in the recipe.
        expert: String,
        /// How the prompt begins.
        prompt: String,
        /// Its tokens.
        tokens: usize,
        /// The model's.
        context: u32,
    },
    /// A prompt has a token that has no embedding.
    #[error(
        "token {token} of a prompt has no row in `{tensor}` of `{path}`, which has {rows}: the base's tokenizer and weights are not of one model"
    )]
    NoEmbedding {
        /// The token's id.
        token: u32,
        /// The embedding's name.
        tensor: String,
        /// The file it is in.
        path: PathBuf,
        /// Its rows.
        rows: usize,
    },
    /// A tensor is missing.
    #[error("`{path}` has no tensor `{tensor}`{hint}")]
    Missing {
        /// The checkpoint or file.
        path: PathBuf,
        /// The tensor's name.
        tensor: String,
        /// What there is instead, as the end of the sentence.
        hint: String,
    },
    /// A tensor is of another kind or shape.
    #[error("`{path}`: tensor `{tensor}` is {found}, expected {expected}")]
    Tensor {
        /// The file.
        path: PathBuf,
        /// The tensor's name.
        tensor: String,
        /// Its format and shape.
        found: String,
        /// Those it should have.
        expected: String,
    },
    /// A number is not one.
    #[error(
        "`{path}`: tensor `{tensor}` has {value} in row {row}, expected finite numbers: the file is damaged, download it again"
    )]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// The tensor's name.
        tensor: String,
        /// NaN or an infinity.
        value: f32,
        /// The row it is in.
        row: usize,
    },
    /// Hidden states are no numbers.
    #[error(
        "the hidden states of the prompts of `{expert}` are not finite at layer {layer}: the base model is damaged, or not one for text"
    )]
    Overflow {
        /// Which expert: its place in the recipe.
        expert: String,
        /// The layer, from 0.
        layer: usize,
    },
    /// Gates of another model.
    #[error("`{path}` has gates of {found}, expected those of the recipe's models, {expected}")]
    Shape {
        /// The file.
        path: PathBuf,
        /// Its numbers of layers and experts, and its width.
        found: String,
        /// Those of the merge.
        expected: String,
    },
    /// Gates that are too large for a file.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// There is something in the place of the file to be written.
    #[error("`{path}` exists: choose another name for the gates, or replace it with `--force`")]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The place of the file to be written is that of an input.
    #[error("`{path}` is a file of the merge itself, expected another place for the gates")]
    IsInput {
        /// The file.
        path: PathBuf,
    },
    /// A file cannot be read.
    #[error("cannot read `{path}`: {error}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What stopped it.
        error: ShardError,
    },
    /// A file or a folder for what is only for a while cannot be written.
    #[error("cannot write `{path}`: {error}")]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        error: io::Error,
    },
}

impl From<ConvertError> for GateError {
    fn from(error: ConvertError) -> Self {
        Self::Convert(Box::new(error))
    }
}
