//! What can stop a conversion.

use std::{io, path::PathBuf};

use indicatif::DecimalBytes;

use crate::{
    hub::HubError,
    model::{ConfigError, TensorError, vocabulary::VocabularyError},
    plan::PlanError,
    source::{GgufModelError, SourceError},
};

/// What stopped a conversion.
#[derive(Debug, thiserror::Error)]
pub enum ConvertError {
    /// The checkpoint's files are not what they should be.
    #[error(transparent)]
    Source(SourceError),
    /// The hub does not give what is needed.
    #[error(transparent)]
    Hub(HubError),
    /// The GGUF is not what it should be.
    #[error(transparent)]
    Gguf(#[from] GgufModelError),
    /// config.json is not of a model we convert.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The tensors are not those of the config.
    #[error(transparent)]
    Tensors(#[from] TensorError),
    /// The tokenizer cannot be converted.
    #[error(transparent)]
    Vocabulary(#[from] VocabularyError),
    /// The file cannot be as it was asked for.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A file could not be read, or ends early.
    #[error("cannot read tensor `{tensor}` from `{path}`: {error}")]
    Read {
        /// The tensor's name in the source.
        tensor: String,
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        error: io::Error,
    },
    /// A weight is not a number that can be quantized.
    #[error(
        "tensor `{tensor}` has {value} at index {index:?}, expected finite weights: the source is damaged"
    )]
    NonFinite {
        /// The tensor's name in the source.
        tensor: String,
        /// NaN or an infinity.
        value: f32,
        /// Index in the source's tensor, outermost dimension first.
        index: Vec<u64>,
    },
    /// A weight is finite, but not in the type to be written.
    #[error(
        "tensor `{tensor}` has {value:e} near index {index:?}, too large for {ty}: choose BF16 or F32"
    )]
    TooLarge {
        /// The tensor's name in the source.
        tensor: String,
        /// The largest weight nearby.
        value: f32,
        /// Index in the source's tensor, outermost dimension first.
        index: Vec<u64>,
        /// The type to be written.
        ty: swallow_quant::GgmlType,
    },
    /// There is a file in the output's place.
    #[error("`{path}` exists: choose another name, or replace it with `--force`")]
    Exists {
        /// The output.
        path: PathBuf,
    },
    /// The output's place is taken by something that is no file.
    #[error("`{path}` is {found}, expected a file or nothing")]
    NotAFile {
        /// The output.
        path: PathBuf,
        /// What it is.
        found: &'static str,
    },
    /// Another process writes this output.
    #[error("`{path}` is being written by another process: wait for it, or choose another name")]
    Busy {
        /// The output.
        path: PathBuf,
    },
    /// What an ended conversion has left behind is not of this one.
    #[error(
        "a conversion to `{path}` was begun and not finished with {what}: go on with the command it was begun with, or begin anew with `--restart`"
    )]
    OtherConversion {
        /// The output.
        path: PathBuf,
        /// What differs.
        what: String,
    },
    /// Output and input are one file.
    #[error("`{path}` is a file of the source itself, expected another place for the output")]
    OutputIsInput {
        /// The output.
        path: PathBuf,
    },
    /// The disk is too full.
    #[error("not enough room in `{dir}`: the file takes {needed} bytes, {available} are free")]
    NoSpace {
        /// The folder.
        dir: PathBuf,
        /// Bytes needed.
        needed: u64,
        /// Bytes free.
        available: u64,
    },
    /// The output could not be written.
    #[error("cannot write `{path}`: {error}")]
    Write {
        /// The output.
        path: PathBuf,
        /// What the operating system said.
        error: io::Error,
    },
    /// The threads could not be started.
    #[error("cannot start {threads} threads: {reason}")]
    Threads {
        /// How many.
        threads: usize,
        /// Why.
        reason: String,
    },
    /// The user interrupted.
    #[error("interrupted: nothing was written")]
    Interrupted,
    /// The user interrupted, and what was written is kept.
    #[error(
        "interrupted: {written} of {total} are kept, and the same command goes on from there (`--restart` begins anew)",
        written = DecimalBytes(*written),
        total = DecimalBytes(*total)
    )]
    InterruptedKept {
        /// Bytes of the output that are there.
        written: u64,
        /// Bytes of the whole output.
        total: u64,
    },
}

impl ConvertError {
    /// Whether the user interrupted it.
    pub fn is_interrupted(&self) -> bool {
        matches!(self, Self::Interrupted | Self::InterruptedKept { .. })
    }

    /// Whether the same conversion may go on when it is started again.
    pub(super) fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::Interrupted
                | Self::Hub(_)
                | Self::Read { .. }
                | Self::Write { .. }
                | Self::NoSpace { .. }
        )
    }
}

impl From<SourceError> for ConvertError {
    fn from(error: SourceError) -> Self {
        match error {
            SourceError::Hub(error) => error.into(),
            error => Self::Source(error),
        }
    }
}

impl From<HubError> for ConvertError {
    fn from(error: HubError) -> Self {
        match error {
            HubError::Interrupted => Self::Interrupted,
            error => Self::Hub(error),
        }
    }
}
