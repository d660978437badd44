//! What can be wrong with a checkpoint's files.

use std::{io, path::PathBuf};

use crate::hub::HubError;

/// A checkpoint that cannot be read, with the file or tensor and what was expected and found.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The hub does not give what is needed.
    #[error(transparent)]
    Hub(#[from] HubError),
    /// The path is no checkpoint folder.
    #[error("`{path}` is not a checkpoint folder: {reason}")]
    NotACheckpoint {
        /// The path given.
        path: PathBuf,
        /// What is missing or in its place.
        reason: String,
    },
    /// A file cannot be opened or read.
    #[error("cannot read `{path}`: {error}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        error: io::Error,
    },
    /// The index names a file that is not a plain name inside the folder.
    #[error(
        "`{index}` places tensor `{tensor}` in `{shard}`, expected the name of a file in the same folder"
    )]
    ShardOutsideFolder {
        /// The index file.
        index: PathBuf,
        /// The tensor that is placed there.
        tensor: String,
        /// The name found.
        shard: String,
    },
    /// A shard that the index names is not there.
    #[error("shard `{path}` is missing, `{index}` names it: download it again")]
    ShardMissing {
        /// The shard's path.
        path: PathBuf,
        /// The index file.
        index: PathBuf,
    },
    /// A file is not of the format it should have.
    #[error("`{path}`: {reason}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What was expected and found.
        reason: String,
    },
    /// A shard ends before its last tensor does.
    #[error(
        "shard `{path}` is truncated: its header describes {expected} bytes, the file has {found}: download it again"
    )]
    Truncated {
        /// The shard.
        path: PathBuf,
        /// Bytes that the header asks for.
        expected: u64,
        /// Bytes that the file has.
        found: u64,
    },
    /// A tensor's entry in a shard's header is impossible.
    #[error("`{path}`: tensor `{tensor}`: {reason}")]
    Tensor {
        /// The shard.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// What was expected and found.
        reason: String,
    },
}

impl SourceError {
    pub(crate) fn shard(path: &std::path::Path, error: super::ShardError) -> Self {
        match error {
            super::ShardError::Local(error) => Self::Io {
                path: path.into(),
                error,
            },
            super::ShardError::Remote(error) => Self::Hub(*error),
        }
    }

    pub(super) fn malformed(path: &std::path::Path, reason: impl Into<String>) -> Self {
        Self::Malformed {
            path: path.into(),
            reason: reason.into(),
        }
    }
}
