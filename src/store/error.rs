//! What can go wrong with the store.

use std::{
    io,
    path::{Path, PathBuf},
};

use indicatif::DecimalBytes;

use super::VARIABLE;
use crate::{convert::ConvertError, hub::quoted};

/// What stopped the work with the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no place for it.
    #[error(
        "there is no home folder to keep models in: name a folder with `--models-dir` or {VARIABLE}"
    )]
    NoHome,
    /// A file or folder of it cannot be read or written.
    #[error(
        "cannot use `{path}`: {error}: `--models-dir` or {VARIABLE} can name another folder for models"
    )]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        error: io::Error,
    },
    /// There is no such model.
    #[error("there is no model `{name}` in the store{}", meant(near.as_deref(), *empty))]
    Unknown {
        /// The name given.
        name: String,
        /// The nearest name there is.
        near: Option<String>,
        /// Whether the store has no model at all.
        empty: bool,
    },
    /// There are several that a name may stand for.
    #[error("`{name}` may be any of {}: give one of these names", quoted(there))]
    Several {
        /// The name given.
        name: String,
        /// The names of the models.
        there: Vec<String>,
    },
    /// A model that is to be removed is only nearly named.
    #[error("there is no model `{name}` in the store, did you mean `{meant}`?")]
    NotExactly {
        /// The name given.
        name: String,
        /// The name of the one that may be meant.
        meant: String,
    },
    /// A model is being made.
    #[error("`{name}` is being converted by another process: wait for it, or end it first")]
    Busy {
        /// The model's name.
        name: String,
    },
    /// A model is not there as a whole.
    #[error(
        "`{name}` is not finished: `swallow-gguf run {from}` goes on with it",
        from = shlex::try_quote(from).unwrap_or_default()
    )]
    Unfinished {
        /// The model's name.
        name: String,
        /// What it is made of.
        from: String,
    },
    /// A conversion failed.
    #[error(transparent)]
    Conversion(#[from] ConvertError),
    /// The user interrupted a conversion.
    #[error(
        "interrupted: {} of {} of `{name}` are kept, and the same command goes on from there (`swallow-gguf models rm {name}` removes them)",
        DecimalBytes(*written),
        DecimalBytes(*total)
    )]
    Interrupted {
        /// The model's name.
        name: String,
        /// Bytes that are there.
        written: u64,
        /// Bytes of the whole file.
        total: u64,
    },
}

impl StoreError {
    /// Whether the user interrupted it.
    pub fn is_interrupted(&self) -> bool {
        match self {
            Self::Conversion(error) => error.is_interrupted(),
            error => matches!(error, Self::Interrupted { .. }),
        }
    }

    pub(super) fn io(path: &Path, error: io::Error) -> Self {
        Self::Io {
            path: path.into(),
            error,
        }
    }
}

fn meant(near: Option<&str>, empty: bool) -> String {
    match near {
        Some(near) => format!(", did you mean `{near}`?"),
        None if empty => ", which is empty".to_owned(),
        None => ": `swallow-gguf models` lists them".to_owned(),
    }
}
