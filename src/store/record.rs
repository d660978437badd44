//! What is written down of a model: a JSON object beside it.

use std::{
    fs,
    io::{self, Write},
    path::Path,
};

use serde::{Deserialize, Serialize};

use super::Part;
use crate::source::text_file;

/// The largest record that is read, in bytes: that of a merge of 256 models has some 50,000.
const MAX_BYTES: u64 = 1 << 20;

/// What a model was made of, and to what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The source as a whole: see [`Key`](super::Key).
    pub source: String,
    /// What was read of it, as it was then.
    pub made_of: Vec<Part>,
    /// What else decided about the file.
    pub knobs: String,
    /// The file type.
    #[serde(rename = "type")]
    pub file_type: String,
    /// The name of the file.
    pub file: String,
    /// Its bytes.
    pub bytes: u64,
    /// The version of what conversions write: [`OUTPUT_VERSION`](crate::convert::OUTPUT_VERSION).
    pub version: u32,
    /// When it was begun, as RFC 3339 has it.
    pub made: String,
}

impl Record {
    /// Reads the record at `path`; `None` where there is none, or it is damaged.
    pub(super) fn read(path: &Path) -> Option<Self> {
        let record: Self = text_file::read_json(path, MAX_BYTES).ok()??;
        // It becomes part of paths.
        let is_name = Path::new(&record.file).file_name() == Some(record.file.as_ref());
        is_name.then_some(record)
    }

    /// Writes it to `path`, so that no reader sees half of it.
    pub(super) fn write(&self, path: &Path) -> io::Result<()> {
        let folder = path.parent().unwrap_or(Path::new("."));
        let mut file = tempfile::Builder::new();
        // As any file, with what the user's umask allows.
        #[cfg(unix)]
        file.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let mut file = file.tempfile_in(folder)?;
        serde_json::to_writer_pretty(&mut file, self)?;
        file.write_all(b"\n")?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    }

    /// Removes what is at `path`, if there is anything.
    pub(super) fn remove(path: &Path) -> io::Result<()> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}
