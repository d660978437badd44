//! Why files could not be compared.

use std::path::PathBuf;

use crate::{convert::ConvertError, gguf::ReadError, source::ShardError};

/// What kept files from being compared; that they differ is a result and no error.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// A file is not a GGUF that can be read.
    #[error(transparent)]
    Open(#[from] ReadError),
    /// The weights could not be read.
    #[error("cannot read tensor `{tensor}` from `{path}`: {error}")]
    Read {
        /// The tensor's name in the GGUF, escaped.
        tensor: String,
        /// The file.
        path: PathBuf,
        /// Why.
        error: ShardError,
    },
    /// The checkpoint cannot be read, or is not one that is converted.
    #[error(transparent)]
    Checkpoint(#[from] ConvertError),
}
