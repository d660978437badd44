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
        "parent `{parent}` is a Mixture of Experts itself, expected a dense model (Llama, Mistral, Qwen2 or Qwen3): name the models that it was made of"
    )]
    NotDense {
        /// As the recipe names it.
        parent: String,
    },
    /// A parent is of a family of which nothing is merged.
    #[error(
        "parent `{parent}` is of the family {family}, expected Llama, Mistral, Qwen2 or Qwen3: there is no mixture of others"
    )]
    Family {
        /// As the recipe names it.
        parent: String,
        /// What it is.
        family: &'static str,
    },
    /// Parents of several families.
    #[error(
        "the base `{base}` is a {base_family} model and `{other}` a {other_family} model, expected parents of one family: an expert is to read what the base's layers write"
    )]
    Families {
        /// The base model.
        base: String,
        /// What it is.
        base_family: &'static str,
        /// The other parent.
        other: String,
        /// What it is.
        other_family: &'static str,
    },
    /// What is asked for is not made of such parents.
    #[error(
        "a {output} is made of {parents}, and parent `{parent}` is a {family} model: leave `architecture` out for what is made of such models"
    )]
    OtherOutput {
        /// What is asked for.
        output: &'static str,
        /// What it is made of.
        parents: &'static str,
        /// As the recipe names it.
        parent: String,
        /// What it is.
        family: &'static str,
    },
    /// The base's positions cannot be stretched as they are in what is made.
    #[error(
        "the base `{base}` has the rope scaling `{scaling}`, which llama.cpp does not have for a {output}: write `architecture: mixtral` for a Mixtral, which has it"
    )]
    RopeScaling {
        /// As the recipe names it.
        base: String,
        /// The scaling, by its name in config.json.
        scaling: &'static str,
        /// What is to be made.
        output: &'static str,
    },
    /// A shared expert where there is no place for one.
    #[error(
        "a {output} has no shared expert: take `shared_experts` out of the recipe, and name the model under `experts`{instead}"
    )]
    NoSharedExpert {
        /// What is to be made.
        output: &'static str,
        /// What else might be done; empty, or begins with a comma.
        instead: &'static str,
    },
    /// No shared expert, or several, where there must be one.
    #[error(
        "a {output} has one shared expert, which sees every token, and the recipe has {found}: write one under `shared_experts`, with a `source_model` as those of `experts`; the base may be it"
    )]
    SharedExperts {
        /// What is to be made.
        output: &'static str,
        /// How many there are.
        found: String,
    },
    /// A parent has a bias.
    #[error(
        "parent `{parent}` has the bias `{tensor}`, expected a model without: a {output} has no such biases"
    )]
    Bias {
        /// What is to be made.
        output: &'static str,
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
    /// The activation is not that of what is made.
    #[error(
        "parent `{parent}`: config.json: `hidden_act` is {found}, expected `silu`, which is a {output}'s"
    )]
    Activation {
        /// What is to be made.
        output: &'static str,
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
