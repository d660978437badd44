//! One chat, one program: a lock on a file beside it. The chat's own file is replaced, and a lock with it.

use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::{SessionError, SessionName};
use crate::places;

/// A lock that is held until this is dropped. A program that is killed holds none.
#[derive(Debug)]
pub(super) struct Lock {
    path: PathBuf,
    _file: File,
}

impl Lock {
    /// Takes the lock of `name`, at `path`.
    pub(super) fn take(path: &Path, name: &SessionName) -> Result<Self, SessionError> {
        let io = |error| SessionError::io("lock", path)(error);
        loop {
            let mut options = File::options();
            options.read(true).write(true).create(true).truncate(false);
            let file = places::private(&mut options).open(path).map_err(io)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    return Err(SessionError::InUse {
                        name: name.to_string(),
                    });
                }
                // Where the file system has no locks there are none to respect.
                Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => {}
                Err(TryLockError::Error(error)) => return Err(io(error)),
            }
            // Whoever had it before may have removed the file after it was opened here.
            let opened = file.try_clone().and_then(same_file::Handle::from_file);
            let there = same_file::Handle::from_path(path);
            if let (Ok(opened), Ok(there)) = (opened, there)
                && opened == there
            {
                return Ok(Self {
                    path: path.to_owned(),
                    _file: file,
                });
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // A file left over locks nothing.
        let _ = fs::remove_file(&self.path);
    }
}
