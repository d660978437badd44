//! Whether there is a place for the output.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{super::error::ConvertError, write_error};

/// Fails where `path` is not a place for the output: it is there and `replace` is not asked for,
/// it is no file, or it is one of the `inputs`.
pub(in crate::convert) fn check(
    path: &Path,
    replace: bool,
    inputs: &[PathBuf],
) -> Result<(), ConvertError> {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(write_error(path, error)),
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

/// Fails where the disk that `path` is on has less than `bytes` free.
pub(in crate::convert) fn require_space(path: &Path, bytes: u64) -> Result<(), ConvertError> {
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

/// The folder that `path` is in.
pub(super) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}
