//! What can be wrong with a checkpoint's files.

use std::{io, path::PathBuf};

use super::{FileProblem, WeightsError, weights_files::and_more};
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
    /// A file cannot be read, or is not what its name says.
    #[error("`{path}`: {problem}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: FileProblem,
    },
    /// There are no weights that can be read.
    #[error("`{path}`: {problem}")]
    Weights {
        /// The folder.
        path: PathBuf,
        /// What there is instead.
        problem: WeightsError,
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
    /// Shards that the index names are not there.
    #[error(
        "{} of {count} shards that `{index}` names are missing, `{}`{}{hint}: download them again",
        missing.len(),
        missing.first().map_or("", String::as_str),
        and_more(missing.len())
    )]
    ShardMissing {
        /// The names of those that are not there.
        missing: Vec<String>,
        /// How many there should be.
        count: usize,
        /// The index file.
        index: PathBuf,
        /// What is there in their place; empty, or begins with a space.
        hint: String,
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
            super::ShardError::Local(error) => Self::io(path, error),
            super::ShardError::Remote(error) => Self::Hub(*error),
        }
    }

    pub(super) fn io(path: &std::path::Path, error: io::Error) -> Self {
        Self::file(path, FileProblem::io(path, error))
    }

    pub(super) fn file(path: &std::path::Path, problem: FileProblem) -> Self {
        Self::File {
            path: path.into(),
            problem,
        }
    }

    pub(super) fn malformed(path: &std::path::Path, reason: impl Into<String>) -> Self {
        Self::Malformed {
            path: path.into(),
            reason: reason.into(),
        }
    }
}
