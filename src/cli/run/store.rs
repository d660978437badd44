//! The options of `run` for models that are converted first.

use std::{path::PathBuf, str::FromStr};

use clap::Args;
use swallow_quant::GgmlType;

use crate::{
    file_type::{FileType, UnknownFileType},
    mix::tensor_type,
    plan::Search,
};

/// What a checkpoint or recipe is converted to, and where that is kept.
#[derive(Debug, Args)]
#[command(next_help_heading = "Models that are converted or chosen first")]
pub struct StoreArgs {
    /// File type of a checkpoint or recipe, which is converted once, or of the file of a repository of
    /// GGUFs; `auto` takes the largest that fits into free memory [default: auto]
    #[arg(long = "type", value_name = "TYPE")]
    pub file_type: Option<TypeArg>,

    /// Type of the experts' weights, with any file type
    #[arg(long, value_name = "TYPE", value_parser = tensor_type)]
    pub experts_type: Option<GgmlType>,

    /// Type of the attention's matrices, with any file type
    #[arg(long, value_name = "TYPE", value_parser = tensor_type)]
    pub attn_type: Option<GgmlType>,

    /// Importance matrix, as llama-imatrix writes it
    #[arg(long, value_name = "FILE")]
    pub imatrix: Option<PathBuf>,

    /// How scales are searched for
    #[arg(long, value_name = "SEARCH", default_value = "reference")]
    pub search: Search,

    /// Folder that converted models are kept in [default: SWALLOW_GGUF_MODELS, or the platform's place for data]
    #[arg(long, value_name = "DIR")]
    pub models_dir: Option<PathBuf>,
}

/// A file type, or the one that fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TypeArg {
    /// The largest that fits.
    Auto,
    /// This one.
    Of(FileType),
}

impl FromStr for TypeArg {
    type Err = UnknownFileType;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.eq_ignore_ascii_case("auto") {
            true => Ok(Self::Auto),
            false => text.parse().map(Self::Of),
        }
    }
}

impl StoreArgs {
    /// The file type asked for.
    pub fn asked_type(&self) -> Option<FileType> {
        match self.file_type {
            Some(TypeArg::Of(ty)) => Some(ty),
            _ => None,
        }
    }

    /// The options of a conversion that were given.
    pub fn given(&self) -> impl Iterator<Item = &'static str> {
        let given = [
            (self.file_type.is_some(), "--type"),
            (self.experts_type.is_some(), "--experts-type"),
            (self.attn_type.is_some(), "--attn-type"),
            (self.imatrix.is_some(), "--imatrix"),
            (self.search != Search::Reference, "--search"),
        ];
        given
            .into_iter()
            .filter_map(|(is, name)| is.then_some(name))
    }
}
