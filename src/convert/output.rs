//! The output file: written beside its place, synced, and moved there when it is whole.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use tempfile::NamedTempFile;

use super::error::ConvertError;

/// Written bytes after which the system is asked to start putting them on disk, so that the sync
/// at the end finds little left to do.
const WRITE_BACK_BYTES: u64 = 32 << 20;

/// A file on its way. Dropped before [`finish`], it is gone without a trace.
pub(super) struct Output {
    path: PathBuf,
    replace: bool,
    file: NamedTempFile,
    written: u64,
    handed_over: u64,
}

/// Fails where `path` is not a place for the output: it is there and `replace` is not asked for,
/// it is no file, or it is one of the `inputs`.
pub(super) fn check(path: &Path, replace: bool, inputs: &[PathBuf]) -> Result<(), ConvertError> {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => {
            return Err(write_error(path, error));
        }
    };
    if metadata.is_dir() {
        return Err(ConvertError::NotAFile {
            path: path.into(),
            found: "a folder",
        });
    }
    if !metadata.is_file() {
        return Err(ConvertError::NotAFile {
            path: path.into(),
            found: "a device or pipe",
        });
    }
    if inputs
        .iter()
        .any(|file| same_file::is_same_file(file, path).unwrap_or(false))
    {
        return Err(ConvertError::OutputIsInput { path: path.into() });
    }
    if !replace {
        return Err(ConvertError::Exists { path: path.into() });
    }
    Ok(())
}

impl Output {
    /// Opens a temporary file beside `path`.
    pub(super) fn create(
        path: &Path,
        replace: bool,
        inputs: &[PathBuf],
    ) -> Result<Self, ConvertError> {
        check(path, replace, inputs)?;
        let name = path.file_name().ok_or_else(|| ConvertError::NotAFile {
            path: path.into(),
            found: "a folder",
        })?;
        let prefix = format!(".{}.", name.to_string_lossy());
        // Opened by ourselves: the result is an ordinary file, with what the user's umask allows,
        // and an error is told in the system's words alone, without the temporary name.
        let mut os_error = None;
        let open = |path: &Path| {
            let opened = File::options()
                .read(true)
                .write(true)
                .create_new(true)
                .open(path);
            opened.inspect_err(|error| os_error = error.raw_os_error())
        };
        let file = tempfile::Builder::new()
            .prefix(&prefix)
            .suffix(".partial")
            .make_in(folder_of(path), open)
            .map_err(|error| {
                write_error(path, os_error.map_or(error, io::Error::from_raw_os_error))
            })?;
        Ok(Self {
            path: path.into(),
            replace,
            file,
            written: 0,
            handed_over: 0,
        })
    }

    /// Appends bytes.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), ConvertError> {
        let path = &self.path;
        let written = self.file.as_file_mut().write_all(bytes);
        written.map_err(|error| write_error(path, error))?;
        self.written += bytes.len() as u64;
        if self.written - self.handed_over >= WRITE_BACK_BYTES {
            start_write_back(self.file.as_file(), self.handed_over, self.written);
            self.handed_over = self.written;
        }
        Ok(())
    }

    /// Puts the file on disk.
    fn sync(&self) -> Result<(), ConvertError> {
        let synced = self.file.as_file().sync_all();
        synced.map_err(|error| write_error(&self.path, error))
    }

    /// Moves the file, which is on disk, to its place.
    fn persist(self) -> Result<(), ConvertError> {
        let Self {
            path,
            replace,
            file,
            ..
        } = self;
        let moved = if replace {
            file.persist(&path)
        } else {
            file.persist_noclobber(&path)
        };
        moved.map_err(|e| match e.error.kind() {
            io::ErrorKind::AlreadyExists => ConvertError::Exists { path: path.clone() },
            _ => write_error(&path, e.error),
        })?;
        // The move itself is on disk when the folder is. Not every file system lets one sync a
        // folder, and the file is whole either way.
        #[cfg(unix)]
        if let Ok(dir) = File::open(folder_of(&path)) {
            let _ = dir.sync_all();
        }
        Ok(())
    }
}

/// Fails where the disk that `path` is on has less than `bytes` free.
pub(super) fn require_space(path: &Path, bytes: u64) -> Result<(), ConvertError> {
    let dir = folder_of(path);
    // Where the system does not tell, the write itself will.
    match fs4::available_space(dir) {
        Ok(available) if available < bytes => Err(ConvertError::NoSpace {
            dir: dir.into(),
            needed: bytes,
            available,
        }),
        _ => Ok(()),
    }
}

/// Puts all files on disk and then in their places, unless `cancel` is set by then. The first one,
/// by which a model in several files is opened, comes last.
pub(super) fn finish(outputs: Vec<Output>, cancel: &AtomicBool) -> Result<(), ConvertError> {
    outputs.iter().try_for_each(Output::sync)?;
    if cancel.load(Ordering::Relaxed) {
        return Err(ConvertError::Interrupted);
    }
    outputs.into_iter().rev().try_for_each(Output::persist)
}

fn write_error(path: &Path, error: io::Error) -> ConvertError {
    ConvertError::Write {
        path: path.into(),
        error,
    }
}

/// The folder that `path` is in.
fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Asks the system to begin writing these bytes to disk, without waiting for it.
#[cfg(target_os = "linux")]
fn start_write_back(file: &File, from: u64, to: u64) {
    use std::os::fd::AsRawFd;
    let (Ok(offset), Ok(len)) = (i64::try_from(from), i64::try_from(to - from)) else {
        return;
    };
    // SAFETY: the descriptor is open for as long as `file` is borrowed, and the call touches no
    // memory of ours. A failure leaves the work to the final sync.
    unsafe {
        libc::sync_file_range(file.as_raw_fd(), offset, len, libc::SYNC_FILE_RANGE_WRITE);
    }
}

#[cfg(not(target_os = "linux"))]
fn start_write_back(_file: &File, _from: u64, _to: u64) {}
