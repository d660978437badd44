//! A lock between processes: flock on a file that stays, as Python's filelock has it. It ends with the
//! process that holds it, whatever ends that.

use std::{
    fs::{File, TryLockError},
    io,
    path::Path,
    thread,
    time::Duration,
};

/// How often a lock that is taken is tried again.
const PAUSE: Duration = Duration::from_millis(100);

/// A lock that is held until this is dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock at `path`; waits for it, after telling so once, as long as `wanted` says. `None`
    /// where it said no.
    pub(crate) fn take(
        path: &Path,
        wanted: &dyn Fn() -> bool,
        waiting: &dyn Fn(),
    ) -> io::Result<Option<Self>> {
        let mut told = false;
        loop {
            if let Some(lock) = Self::try_take(path)? {
                return Ok(Some(lock));
            }
            if !wanted() {
                return Ok(None);
            }
            if !told {
                waiting();
                told = true;
            }
            thread::sleep(PAUSE);
        }
    }

    /// Takes the lock at `path`; `None` where another process has it.
    pub(crate) fn try_take(path: &Path) -> io::Result<Option<Self>> {
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false);
        // Others who share the folder must be able to take it too.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o664);
        let file = options.open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            // Where the file system has no locks, one does without: what is written is held against digests.
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
                Ok(Some(Self { _file: file }))
            }
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}
