//! A model of the store.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use super::{Record, Store, StoreError};
use crate::convert::{ConvertError, journal_path, partial_path};

const ENTRY: &str = "entry.json";
const UNFINISHED: &str = "unfinished.json";
const USED: &str = "used";

/// A model of the store.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its name, which is its folder's.
    pub name: String,
    /// The model that is there whole.
    pub whole: Option<Record>,
    /// The one that is not finished: in its place, or where both are there, to be.
    pub unfinished: Option<Record>,
    dir: PathBuf,
}

/// Where a model is being written.
#[derive(Debug)]
pub struct Place {
    /// The model's name.
    pub name: String,
    /// The file to be written.
    pub path: PathBuf,
    dir: PathBuf,
    record: Record,
}

impl Entry {
    /// The model in the folder `name`; `None` where nothing is known of it.
    pub(super) fn read(root: &Path, name: &str) -> Option<Self> {
        let dir = root.join(name);
        let mut whole = Record::read(&dir.join(ENTRY));
        let mut unfinished = Record::read(&dir.join(UNFINISHED));
        let is_there = |record: &Record| {
            let found = fs::metadata(dir.join(&record.file));
            found.is_ok_and(|found| found.is_file() && found.len() == record.bytes)
        };
        // A file gets its name when it is whole; the program may have been ended then.
        let is_newer = |record: &Record| {
            let changed = |path: &Path| fs::metadata(path).and_then(|found| found.modified()).ok();
            changed(&dir.join(&record.file)) >= changed(&dir.join(UNFINISHED))
        };
        let is_finished =
            |record: &Record| is_there(record) && (whole.is_none() || is_newer(record));
        if unfinished.as_ref().is_some_and(is_finished) {
            whole = unfinished.take();
        }
        let whole = whole.filter(is_there);
        if whole.is_none() && unfinished.is_none() {
            return None;
        }
        Some(Self {
            name: name.to_owned(),
            whole,
            unfinished,
            dir,
        })
    }

    /// What is known of it: of what is there, else of what is to be.
    fn record(&self) -> Option<&Record> {
        self.whole.as_ref().or(self.unfinished.as_ref())
    }

    /// What it is made of.
    pub fn source(&self) -> &str {
        self.record().map_or("", |record| &record.source)
    }

    /// Its file type.
    pub fn file_type(&self) -> &str {
        self.record().map_or("", |record| &record.file_type)
    }

    /// Bytes of its file, of one that is not finished when it is.
    pub fn bytes(&self) -> u64 {
        self.record().map_or(0, |record| record.bytes)
    }

    /// The file, where it is whole.
    ///
    /// # Errors
    /// Where it is not.
    pub fn path(&self) -> Result<PathBuf, StoreError> {
        match &self.whole {
            Some(record) => Ok(self.dir.join(&record.file)),
            None => Err(StoreError::Unfinished {
                name: self.name.clone(),
                from: self.source().to_owned(),
            }),
        }
    }

    /// Bytes that are there of the one that is not finished.
    pub fn written(&self) -> u64 {
        let partial = self.unfinished.as_ref();
        let partial = partial.map(|record| partial_path(&self.dir.join(&record.file)));
        let found = partial.and_then(|path| fs::metadata(path).ok());
        found.map_or(0, |found| found.len())
    }

    /// When it was last used, or else made.
    pub fn last_used(&self) -> Option<SystemTime> {
        let path = match &self.whole {
            Some(_) => self.dir.join(USED),
            None => self.dir.join(UNFINISHED),
        };
        fs::metadata(path).ok()?.modified().ok()
    }

    /// Notes that it is used now. In a store that may only be read that is not known, and no matter.
    pub fn use_now(&self) {
        let _ = touch(&self.dir.join(USED));
    }

    /// Removes its files, and its folder where nothing else is in it.
    pub(super) fn remove_files(&self) -> Result<(), StoreError> {
        // Without the records it is none of the store's, whatever becomes of the rest.
        let records = [ENTRY, UNFINISHED, USED].map(|name| self.dir.join(name));
        let files = self
            .whole
            .iter()
            .chain(&self.unfinished)
            .flat_map(|record| {
                let path = self.dir.join(&record.file);
                [partial_path(&path), journal_path(&path), path]
            });
        for path in records.into_iter().chain(files) {
            Record::remove(&path).map_err(|error| StoreError::io(&path, error))?;
        }
        match fs::remove_dir(&self.dir) {
            Err(error)
                if !matches!(
                    error.kind(),
                    io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::NotFound
                ) =>
            {
                Err(StoreError::io(&self.dir, error))
            }
            _ => Ok(()),
        }
    }
}

impl Store {
    /// A place for the model that `record` tells of: in `old`, which it replaces or goes on with, or in
    /// a new folder. There it stands as not finished until [`Place::finish`].
    ///
    /// # Errors
    /// When the folder cannot be made or written.
    pub fn begin(&self, old: Option<&Entry>, record: Record) -> Result<Place, StoreError> {
        let (name, dir) = match old {
            Some(old) => (old.name.clone(), old.dir.clone()),
            None => self.new_folder(&record.file)?,
        };
        let path = dir.join(UNFINISHED);
        record
            .write(&path)
            .map_err(|error| StoreError::io(&path, error))?;
        Ok(Place {
            name,
            path: dir.join(&record.file),
            dir,
            record,
        })
    }

    /// Makes a folder named after a file, with a number where there is one of that name.
    fn new_folder(&self, file: &str) -> Result<(String, PathBuf), StoreError> {
        fs::create_dir_all(&self.root).map_err(|error| StoreError::io(&self.root, error))?;
        let stem = file.strip_suffix(".gguf").unwrap_or(file);
        let stem = stem.trim_start_matches('.');
        let mut number = 1;
        loop {
            let name = match number {
                1 => stem.to_owned(),
                number => format!("{stem}-{number}"),
            };
            let dir = self.root.join(&name);
            match fs::create_dir(&dir) {
                Ok(()) => return Ok((name, dir)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
                Err(error) => return Err(StoreError::io(&dir, error)),
            }
        }
    }
}

impl Place {
    /// The file is there: the model is whole, and what it replaces is gone.
    ///
    /// # Errors
    /// When the record cannot be written.
    pub fn finish(self) -> Result<Entry, StoreError> {
        let (entry, unfinished) = (self.dir.join(ENTRY), self.dir.join(UNFINISHED));
        let old = Record::read(&entry).filter(|old| old.file != self.record.file);
        fs::rename(&unfinished, &entry).map_err(|error| StoreError::io(&entry, error))?;
        if let Some(old) = old {
            let path = self.dir.join(old.file);
            Record::remove(&path).map_err(|error| StoreError::io(&path, error))?;
        }
        let entry = Entry {
            name: self.name,
            whole: Some(self.record),
            unfinished: None,
            dir: self.dir,
        };
        entry.use_now();
        Ok(entry)
    }

    /// The conversion ended with `error`: what there is of it waits to be gone on with, and where there is
    /// nothing, all is as it was before.
    pub fn ended_early(self, error: ConvertError) -> StoreError {
        if !journal_path(&self.path).exists() {
            let _ = Record::remove(&self.dir.join(UNFINISHED));
            // Only where it is empty: what it was to replace may be there.
            let _ = fs::remove_dir(&self.dir);
            return error.into();
        }
        match error {
            ConvertError::InterruptedKept { written, total } => StoreError::Interrupted {
                name: self.name,
                written,
                total,
            },
            error => error.into(),
        }
    }
}

/// Sets the time of change of the file at `path` to now, and makes it where it is missing.
fn touch(path: &Path) -> io::Result<()> {
    let file = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)?;
    file.set_modified(SystemTime::now())
}
