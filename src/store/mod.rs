//! The models that `run` has made: each converted once, and found again by what it was made of.
//!
//! ```text
//! $XDG_DATA_HOME/swallow-gguf/models/     or --models-dir, SWALLOW_GGUF_MODELS
//!   NAME/                                 a model at a file type
//!     FILE.gguf
//!     entry.json                          what it was made of, and when
//!     used                                empty; its time of change is when the model was last used
//!     unfinished.json                     as entry.json, of a conversion that has not ended yet
//!     .FILE.gguf.partial, .journal        what there is of it: see `convert`
//!   .locks/DIGEST                         held (flock) while a source is converted
//! ```
//!
//! A model whose source has changed is made anew beside the old one, which goes when the new one is
//! whole. Nothing here knows of the network: what a source is now is the caller's to find out.
//!
//! - [`key`]: what a model is made of, and whether that is still the same; pure
//! - [`fingerprint`]: what files are now
//! - [`record`]: the two JSON files
//! - [`entry`]: a model of the store, begun, finished, used and removed
//! - [`choice`]: the file type that is taken where none is asked for

pub mod choice;
pub mod entry;
mod error;
pub mod fingerprint;
pub mod key;
pub mod record;
#[cfg(test)]
mod tests;

use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

pub use entry::{Entry, Place};
pub use error::StoreError;
pub use key::{Key, Part};
pub use record::Record;

use crate::{lock::Lock, nearest, places};

/// The variable that names another folder.
pub const VARIABLE: &str = "SWALLOW_GGUF_MODELS";

/// The folder in that of the program's data.
const FOLDER: &str = "models";

/// Where the locks are.
const LOCKS: &str = ".locks";

/// The folder that models are kept in.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
}

/// That a source is being converted by this process, until it is dropped.
#[derive(Debug)]
pub struct Converting {
    _lock: Lock,
}

impl Store {
    /// The store in a folder, which need not be there yet.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The store in the folder `asked` for, else in the one that the environment names, else in the
    /// platform's place.
    ///
    /// # Errors
    /// Where there is no home folder for it.
    pub fn find(asked: Option<&Path>) -> Result<Self, StoreError> {
        let named = || std::env::var_os(VARIABLE).filter(|value: &OsString| !value.is_empty());
        let root = match asked {
            Some(asked) => Some(asked.to_owned()),
            None => named()
                .map(PathBuf::from)
                .or_else(|| Some(places::data()?.join(FOLDER))),
        };
        root.map(Self::new).ok_or(StoreError::NoHome)
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// All models, those that are not finished included, in the order of their names.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn entries(&self) -> Result<Vec<Entry>, StoreError> {
        let listed = match fs::read_dir(&self.root) {
            Ok(listed) => listed,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(StoreError::io(&self.root, error)),
        };
        let mut entries = Vec::new();
        for found in listed {
            let found = found.map_err(|error| StoreError::io(&self.root, error))?;
            let Ok(name) = found.file_name().into_string() else {
                continue;
            };
            if !name.starts_with('.') {
                entries.extend(Entry::read(&self.root, &name));
            }
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    /// The model that `name` names: by its name, or where that is only one of them, by the source it
    /// was made of or the beginning of its name.
    ///
    /// # Errors
    /// Where there is none, with the nearest one, or several.
    pub fn named(&self, name: &str) -> Result<Entry, StoreError> {
        let mut entries = self.entries()?;
        let same = |entry: &Entry| entry.name.eq_ignore_ascii_case(name);
        if let Some(at) = entries.iter().position(same) {
            return Ok(entries.swap_remove(at));
        }
        let begins = format!("{}-", name.to_lowercase());
        let is_meant = |entry: &Entry| {
            entry.source() == name || entry.name.to_lowercase().starts_with(&begins)
        };
        let meant: Vec<usize> = (0..entries.len())
            .filter(|at| is_meant(&entries[*at]))
            .collect();
        match meant[..] {
            [one] => Ok(entries.swap_remove(one)),
            [] => {
                let names = entries.iter().map(|entry| entry.name.as_str());
                Err(StoreError::Unknown {
                    name: name.into(),
                    near: nearest::of(name, names).map(str::to_owned),
                    empty: entries.is_empty(),
                })
            }
            _ => Err(StoreError::Several {
                name: name.into(),
                there: meant.iter().map(|at| entries[*at].name.clone()).collect(),
            }),
        }
    }

    /// Waits until no other process converts `source`, after telling so once, as long as `wanted` says;
    /// from then on others wait for this one. `None` where it is no longer wanted.
    ///
    /// # Errors
    /// When the lock cannot be made.
    pub fn convert_alone(
        &self,
        source: &str,
        wanted: &dyn Fn() -> bool,
        waiting: &dyn Fn(),
    ) -> Result<Option<Converting>, StoreError> {
        let path = self.lock_path(source)?;
        let lock = Lock::take(&path, wanted, waiting).map_err(|e| StoreError::io(&path, e))?;
        Ok(lock.map(|lock| Converting { _lock: lock }))
    }

    /// Removes a model: its files, and its folder where nothing else is in it.
    ///
    /// # Errors
    /// When it is being converted, or a file cannot be removed.
    pub fn remove(&self, entry: &Entry) -> Result<(), StoreError> {
        let path = self.lock_path(entry.source())?;
        let lock = Lock::try_take(&path).map_err(|error| StoreError::io(&path, error))?;
        if lock.is_none() {
            return Err(StoreError::Busy {
                name: entry.name.clone(),
            });
        }
        entry.remove_files()
    }

    fn lock_path(&self, source: &str) -> Result<PathBuf, StoreError> {
        let folder = self.root.join(LOCKS);
        fs::create_dir_all(&folder).map_err(|error| StoreError::io(&folder, error))?;
        Ok(folder.join(fingerprint::of_text(source)))
    }
}
