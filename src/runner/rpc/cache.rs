//! The folder in which llama.cpp's server keeps large tensors, so that they cross the network once.
//!
//! A file is called after the hash of what is in it (FNV-1a, in hexadecimal), and is believed by its name. One
//! that was not written to its end, because the worker was ended or the disk is full, would become
//! weights of a model all the same; so each file is read once before a client may ask for it.

use std::collections::HashMap;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use rayon::prelude::*;

use super::RpcError;

/// Bytes of a file read at once.
const BUFFER: usize = 256 << 10;

/// The folder.
#[derive(Debug)]
pub(super) struct TensorCache {
    folder: PathBuf,
    /// Files that are what their names say, by length and time of the last change.
    whole: Mutex<HashMap<PathBuf, (u64, SystemTime)>>,
}

impl TensorCache {
    /// The folder, made where it is not there, for this user alone.
    pub(super) fn open(folder: &Path) -> Result<Self, RpcError> {
        let failed = |source| RpcError::Cache {
            path: folder.to_owned(),
            source,
        };
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(folder).map_err(failed)?;
        fs::read_dir(folder).map_err(failed)?;
        Ok(Self {
            folder: folder.to_owned(),
            whole: Mutex::default(),
        })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Removes the files that are not what their names say; gives the bytes of those that are left.
    pub(super) fn check(&self) -> u64 {
        let mut whole = self.whole.lock().unwrap_or_else(PoisonError::into_inner);
        let files = files(&self.folder);
        let known = &*whole;
        let checked: Vec<_> = files
            .into_par_iter()
            .map(|(path, stamp)| {
                let is_whole = known.get(&path) == Some(&stamp)
                    || hash(&path).is_ok_and(|hash| is_named(&path, hash));
                (path, stamp, is_whole)
            })
            .collect();
        whole.clear();
        for (path, stamp, is_whole) in checked {
            if is_whole {
                whole.insert(path, stamp);
            } else {
                // Where it cannot be removed, it could not be read either.
                let _ = fs::remove_file(path);
            }
        }
        whole.values().map(|(bytes, _)| bytes).sum()
    }
}

/// The files of the folder whose names are hashes; others are not ours.
fn files(folder: &Path) -> Vec<(PathBuf, (u64, SystemTime))> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter(|entry| {
            let name = entry.file_name();
            let is_digit = |b: &u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
            name.len() == 16 && name.as_encoded_bytes().iter().all(is_digit)
        })
        .filter_map(|entry| {
            let metadata = entry.metadata().ok().filter(fs::Metadata::is_file)?;
            let changed = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            Some((entry.path(), (metadata.len(), changed)))
        })
        .collect()
}

fn is_named(path: &Path, hash: u64) -> bool {
    path.file_name()
        .is_some_and(|name| name == format!("{hash:016x}").as_str())
}

fn hash(path: &Path) -> io::Result<u64> {
    let mut file = File::open(path)?;
    let mut buffer = vec![0; BUFFER];
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hash),
            n => {
                hash = buffer[..n].iter().fold(hash, |hash, &byte| {
                    (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_not_whole_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let cache = TensorCache::open(&dir.path().join("a/rpc")).unwrap();
        let write = |name: &str, bytes: &[u8]| fs::write(cache.folder().join(name), bytes).unwrap();
        // Known values of FNV-1a.
        write("cbf29ce484222325", b"");
        write("85944171f73967e8", b"foobar");
        write("af63dc4c8601ec8c", b"b");
        write("notes.txt", b"mine");
        assert_eq!(cache.check(), 6);
        let left = |name: &str| cache.folder().join(name).exists();
        assert!(left("85944171f73967e8") && left("notes.txt"));
        assert!(!left("af63dc4c8601ec8c"));
        // What was whole once is read again when it was changed.
        write("85944171f73967e8", b"foob");
        assert_eq!(cache.check(), 0);
        assert!(!left("85944171f73967e8"));
    }
}
