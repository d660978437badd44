//! The lock of a blob, the same that Python's filelock takes: flock on a file that stays.

use std::{
    fs::{File, TryLockError},
    path::Path,
    thread,
    time::Duration,
};

use crate::hub::HubError;

/// How often a lock that is taken is tried again.
const PAUSE: Duration = Duration::from_millis(100);

/// A lock that is held until this is dropped.
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock at `path`; waits for it, after telling so once, as long as `wanted` says.
    pub(super) fn take(
        path: &Path,
        wanted: &dyn Fn() -> bool,
        waiting: &dyn Fn(),
    ) -> Result<Self, HubError> {
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false);
        // Others who share the cache must be able to take it too.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o664);
        let file = options.open(path).map_err(HubError::io(path))?;
        let mut told = false;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: file }),
                Err(TryLockError::WouldBlock) => {}
                // Where the file system has no locks, digests still tell a mixture.
                Err(TryLockError::Error(error))
                    if error.kind() == std::io::ErrorKind::Unsupported =>
                {
                    return Ok(Self { _file: file });
                }
                Err(TryLockError::Error(error)) => return Err(HubError::io(path)(error)),
            }
            if !wanted() {
                return Err(HubError::Interrupted);
            }
            if !told {
                waiting();
                told = true;
            }
            thread::sleep(PAUSE);
        }
    }
}
