//! What can stop a merge.

use std::{io, path::PathBuf};

use super::{gates::GateError, recipe::RecipeError};
use crate::{convert::ConvertError, gguf::LayoutError};

/// Why models cannot be merged.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// The recipe is not one.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// A parent cannot be opened or is not what it should be.
    #[error("parent `{parent}`")]
    Parent {
        /// As the recipe names it.
        parent: String,
        /// What is wrong with it.
        #[source]
        error: Box<ConvertError>,
    },
    /// There is no such folder, or a file in its place.
    #[error("parent `{parent}`{found}")]
    NoFolder {
        /// As the recipe names it.
        parent: String,
        /// What there is, and what was expected.
        found: String,
    },
    /// There is no such folder, and the hub does not give such a repository.
    #[error(
        "parent `{parent}`: there is no folder `{}`{hint}, and the hub does not give it", folder.display()
    )]
    Nowhere {
        /// As the recipe names it.
        parent: String,
        /// Where it was looked for.
        folder: PathBuf,
        /// The nearest one there is, in parentheses; or empty.
        hint: String,
        /// What the hub said.
        #[source]
        error: Box<ConvertError>,
    },
    /// A parent has experts already.
    #[error(
        "parent `{parent}` is a Mixture of Experts itself, expected a dense model (LlamaForCausalLM or MistralForCausalLM): name the models that it was made of"
    )]
    NotDense {
        /// As the recipe names it.
        parent: String,
    },
    /// A parent has a bias.
    #[error(
        "parent `{parent}` has the bias `{tensor}`, expected a model without: a Mixtral has no biases"
    )]
    Bias {
        /// As the recipe names it.
        parent: String,
        /// The first bias.
        tensor: String,
    },
    /// A model with an adapter.
    #[error(
        "`{reference}` names a model and a LoRA adapter: merge the adapter into the model first, and name its folder"
    )]
    Lora {
        /// As the recipe names it.
        reference: String,
    },
    /// The activation is not a Mixtral's.
    #[error(
        "parent `{parent}`: config.json: `hidden_act` is {found}, expected `silu`, which is a Mixtral's"
    )]
    Activation {
        /// As the recipe names it.
        parent: String,
        /// What stands there.
        found: String,
    },
    /// Two parents are not of one shape.
    #[error(
        "`{key}` is {base_value} in the base `{base}` and {other_value} in `{other}`, expected an expert of the base's shape: its feed-forward networks are to stand among the base's layers"
    )]
    Differs {
        /// The key of config.json.
        key: &'static str,
        /// The base model.
        base: String,
        /// Its value.
        base_value: String,
        /// The other parent.
        other: String,
        /// Its value.
        other_value: String,
    },
    /// Two parents read text otherwise, and in more than added tokens.
    #[error(
        "the vocabularies differ in {words} word{}, first in token {id}, which is {base_token} in the base `{base}` and {other_token} in `{other}`: write `tokenizer_source: union` in the recipe to join them, or `tokenizer_source: base` to have the base's alone",
        if *words == 1 { "" } else { "s" }
    )]
    Vocabularies {
        /// How many words differ.
        words: u32,
        /// The first of them.
        id: u32,
        /// The base model.
        base: String,
        /// Its text, in backticks, or that there is none.
        base_token: String,
        /// The other parent.
        other: String,
        /// Its text.
        other_token: String,
    },
    /// The vocabularies have no union.
    #[error("the vocabularies of `{base}` and `{other}` have no union: {reason}")]
    NoUnion {
        /// The base model.
        base: String,
        /// The parent with tokens of its own.
        other: String,
        /// Why not.
        reason: String,
    },
    /// Given gates cannot be read, or made ones not written.
    #[error(transparent)]
    Gates(#[from] GateError),
    /// What is merged cannot be converted or written.
    #[error(transparent)]
    Convert(Box<ConvertError>),
    /// A tensor has no place in a file.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// There is something in the checkpoint's place.
    #[error("`{path}` exists: choose another name for the checkpoint's folder")]
    Exists {
        /// The folder.
        path: PathBuf,
    },
    /// A small file of the merged checkpoint cannot be written.
    #[error("cannot write `{path}`: {error}")]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        error: io::Error,
    },
    /// A small file of a parent cannot be read.
    #[error("cannot read `{path}`: {error}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        error: io::Error,
    },
}

impl MergeError {
    /// Whether the user interrupted it.
    pub fn is_interrupted(&self) -> bool {
        match self {
            Self::Parent { error, .. } | Self::Nowhere { error, .. } | Self::Convert(error) => {
                error.is_interrupted()
            }
            Self::Gates(GateError::Convert(error)) => error.is_interrupted(),
            _ => false,
        }
    }

    pub(super) fn parent(reference: &str, error: ConvertError) -> Self {
        Self::Parent {
            parent: reference.into(),
            error: Box::new(error),
        }
    }

    pub(super) fn write(path: &std::path::Path, error: io::Error) -> Self {
        Self::Write {
            path: path.into(),
            error: plain(error),
        }
    }
}

impl From<ConvertError> for MergeError {
    fn from(error: ConvertError) -> Self {
        Self::Convert(Box::new(error))
    }
}

/// What the operating system said, without the name of a temporary file, which tells nobody anything.
pub(super) fn plain(error: io::Error) -> io::Error {
    match error.get_ref() {
        Some(_) if error.kind() != io::ErrorKind::Other => error.kind().into(),
        _ => error,
    }
}
