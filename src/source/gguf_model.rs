//! A GGUF model as a source of tensors: one file, or all parts of one that is split.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    path::{Path, PathBuf},
};

use super::Shard;
use crate::gguf::{
    Gguf, KeyValues, ReadError, escape,
    split::{self, Split},
};

/// A GGUF model that cannot be opened whole.
#[derive(Debug, thiserror::Error)]
pub enum GgufModelError {
    /// A file is not a GGUF that can be read.
    #[error(transparent)]
    Open(#[from] ReadError),
    /// The file is a part of a model, but its name does not tell where the others are.
    #[error(
        "`{path}` is part {no} of {count} of a model, expected a name that ends with `-{no:05}-of-{count:05}.gguf`"
    )]
    Name {
        /// The part.
        path: PathBuf,
        /// Its number, from 1.
        no: u64,
        /// The number of parts.
        count: u64,
    },
    /// Another part is not there.
    #[error("`{path}` is missing, it is one of {count} parts of the model: download it again")]
    Missing {
        /// The missing part.
        path: PathBuf,
        /// The number of parts.
        count: u64,
    },
    /// A part is not what the others say.
    #[error(
        "`{path}` does not belong to the other parts: expected {expected}, found {found}; take all parts from one download"
    )]
    Foreign {
        /// The part.
        path: PathBuf,
        /// What the others say.
        expected: String,
        /// What it is.
        found: String,
    },
    /// Two parts have a tensor of the same name.
    #[error("tensor `{tensor}` is in `{path}` and in a part before it")]
    Duplicate {
        /// The tensor, escaped.
        tensor: String,
        /// The second part that has it.
        path: PathBuf,
    },
    /// There are more parts than a model can have tensors.
    #[error("`{path}` says that the model has {count} parts, expected at most {MAX_PARTS}")]
    TooMany {
        /// The part.
        path: PathBuf,
        /// The number of parts.
        count: u64,
    },
}

/// As many parts as a file name has digits for.
const MAX_PARTS: u64 = 99_999;

/// A model's files, open for reading; nothing but headers has been read.
#[derive(Debug)]
pub struct GgufModel {
    /// Where the model would be if it were in one file.
    pub path: PathBuf,
    /// The header of each file.
    pub headers: Vec<Gguf>,
    /// The files themselves.
    pub shards: Vec<Shard>,
}

impl GgufModel {
    /// Opens the model at `path`: a file, or any part of a split model, whose others are then
    /// expected beside it.
    ///
    /// # Errors
    /// When a file is not a GGUF, or parts are missing or do not belong together.
    pub fn open(path: &Path) -> Result<Self, GgufModelError> {
        let gguf = Gguf::open(path)?;
        let Some(split) = Split::of(&gguf) else {
            return Ok(Self {
                path: path.to_owned(),
                headers: vec![gguf],
                shards: vec![open_shard(path)?],
            });
        };
        let Split { no, count, tensors } = split;
        if count > MAX_PARTS {
            let path = path.to_owned();
            return Err(GgufModelError::TooMany { path, count });
        }
        let whole = split::whole_path(path, split).ok_or_else(|| GgufModelError::Name {
            path: path.to_owned(),
            no: no.saturating_add(1),
            count,
        })?;
        let mut model = Self {
            path: whole,
            headers: Vec::new(),
            shards: Vec::new(),
        };
        let mut names = BTreeSet::new();
        for no in 0..count {
            model.add_part(Split { no, count, tensors }, &mut names)?;
        }
        if names.len() as u64 != tensors {
            return Err(GgufModelError::Foreign {
                path: path.to_owned(),
                expected: format!("{tensors} tensors in all parts"),
                found: names.len().to_string(),
            });
        }
        Ok(model)
    }

    fn add_part(
        &mut self,
        expected: Split,
        names: &mut BTreeSet<String>,
    ) -> Result<(), GgufModelError> {
        let Split { no, count, .. } = expected;
        let path = split::path(&self.path, no as usize, count as usize);
        // A link that points nowhere is there, and opening it says what is wrong.
        if fs::symlink_metadata(&path).is_err() {
            return Err(GgufModelError::Missing { path, count });
        }
        let gguf = Gguf::open(&path)?;
        let found = Split::of(&gguf);
        if found != Some(expected) {
            let describe = |split: Option<Split>| match split {
                Some(s) => format!(
                    "part {} of {} with {} tensors",
                    s.no.saturating_add(1),
                    s.count,
                    s.tensors
                ),
                None => "a model in one file".into(),
            };
            return Err(GgufModelError::Foreign {
                path,
                expected: describe(Some(expected)),
                found: describe(found),
            });
        }
        for tensor in &gguf.tensors {
            if !names.insert(tensor.name.clone()) {
                let tensor = escape(tensor.name.as_bytes());
                return Err(GgufModelError::Duplicate { tensor, path });
            }
        }
        self.headers.push(gguf);
        self.shards.push(open_shard(&path)?);
        Ok(())
    }

    /// The model's metadata: that of the first file, without what it says of being a part.
    pub fn key_values(&self) -> KeyValues {
        let first = self
            .headers
            .iter()
            .take(1)
            .flat_map(|gguf| &gguf.key_values);
        first
            .filter(|(key, _)| !split::is_split_key(key))
            .cloned()
            .collect()
    }
}

fn open_shard(path: &Path) -> Result<Shard, ReadError> {
    let file = File::open(path).map_err(|source| ReadError::Open {
        path: path.to_owned(),
        source,
    })?;
    Ok(Shard::new(path.to_owned(), file))
}
