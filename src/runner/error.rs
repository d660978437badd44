//! What can go wrong between a model file and its answer.

use std::path::PathBuf;

use swallow_quant::GgmlType;

use super::{ModelFileError, TemplateError};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum RunnerError {
    /// The file is not one that can be run.
    #[error(transparent)]
    File(#[from] ModelFileError),

    /// llama.cpp is in use already; it can be started once in a program.
    #[error("llama.cpp cannot be started: {reason}")]
    Backend {
        /// What llama.cpp says.
        reason: String,
    },

    /// llama.cpp takes paths as UTF-8 only.
    #[error("the path `{}` is not UTF-8, which llama.cpp needs", .path.display())]
    Path {
        /// The model file.
        path: PathBuf,
    },

    /// A whole GGUF that llama.cpp does not load.
    #[error("llama.cpp cannot load `{}`: {reason}", .path.display())]
    Load {
        /// The model file.
        path: PathBuf,
        /// The first error in llama.cpp's log.
        reason: String,
    },

    /// A device that is not there, or takes no layers.
    #[error("there is no device `{name}`{}", known_devices(meant.as_deref(), known))]
    UnknownDevice {
        /// The name given.
        name: String,
        /// The one that was probably meant.
        meant: Option<String>,
        /// Those there are.
        known: Vec<String>,
    },

    /// A file that is no adapter, or one for another kind of model.
    #[error("`{}` is {found}, expected {expected}", .path.display())]
    NoAdapter {
        /// The file.
        path: PathBuf,
        /// What it is.
        found: String,
        /// What it should be.
        expected: String,
    },

    /// An adapter that does not fit the model.
    #[error(
        "llama.cpp cannot use the adapter `{}` with `{}`: {reason}", .path.display(), .model.display()
    )]
    Lora {
        /// The adapter.
        path: PathBuf,
        /// The model's file.
        model: PathBuf,
        /// The first error in llama.cpp's log.
        reason: String,
    },

    /// Keys or values of a type that this model's cannot have.
    #[error("{what} cannot be kept as {}: {reason}", .ty.name().to_lowercase())]
    CacheType {
        /// Keys or values.
        what: &'static str,
        /// The type asked for.
        ty: GgmlType,
        /// Why not.
        reason: String,
    },

    /// No memory for the context, or the model does not allow it.
    #[error("llama.cpp cannot make a context of {size} tokens: {reason}; try a smaller `-c`")]
    Context {
        /// Tokens asked for.
        size: u32,
        /// The first error in llama.cpp's log.
        reason: String,
    },

    /// The chat template cannot render the conversation.
    #[error(transparent)]
    Template(#[from] TemplateError),

    /// Nothing to continue: no text, and a vocabulary that begins no sequence by itself.
    #[error("the prompt is empty")]
    EmptyPrompt,

    /// The prompt leaves no room for an answer.
    #[error(
        "the prompt is {tokens} tokens long, expected fewer than the {context} of the context; \
         shorten it, or raise `-c` (the model was trained for {trained})"
    )]
    PromptTooLong {
        /// Tokens of the prompt.
        tokens: usize,
        /// Tokens of the context.
        context: usize,
        /// Tokens of the model's training context.
        trained: u32,
    },

    /// llama.cpp failed to evaluate tokens.
    #[error("llama.cpp cannot evaluate {tokens} tokens at position {position}: {reason}")]
    Decode {
        /// Tokens in the batch.
        tokens: usize,
        /// Position of the first in the context.
        position: usize,
        /// What llama.cpp says.
        reason: String,
    },

    /// A draft model whose tokens are not those of the model.
    #[error("the draft model has another vocabulary than the model: {what}; it needs the same one")]
    DraftVocabulary {
        /// The first difference.
        what: String,
    },

    /// No memory for a context to look into layers with.
    #[error("llama.cpp cannot make a context for a text of {size} tokens: {reason}; shorten it")]
    LayerContext {
        /// Tokens of the longest text.
        size: u32,
        /// The first error in llama.cpp's log.
        reason: String,
    },

    /// llama.cpp's graph is not the one whose nodes we know.
    #[error(
        "layer {layer} of the model was seen reading {found} tokens, expected {expected}: \
         this build of llama.cpp computes the architecture in another way"
    )]
    LayerInput {
        /// The layer.
        layer: usize,
        /// Tokens evaluated.
        expected: usize,
        /// Tokens whose states were seen.
        found: usize,
    },
}

fn known_devices(meant: Option<&str>, known: &[String]) -> String {
    match (meant, known) {
        (_, []) => ": this build finds none here that takes layers".to_owned(),
        (None, known) => format!(": there is {}", known.join(", ")),
        (Some(meant), known) => format!("; `{meant}` was probably meant, of {}", known.join(", ")),
    }
}
