//! The checkpoint of a merge, written: a plan of shards over the parents' own, run by the pipeline of
//! every conversion, and the small files beside them.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
};

use super::{Layout, Merge, MergeError};
use crate::{
    convert::{Conversion, Progress, WriteOptions, Written},
    plan::ConversionPlan,
};

/// The checkpoint of a merge, to be written.
#[derive(Debug)]
pub struct MergedCheckpoint {
    /// The plan of its shards.
    pub conversion: Conversion,
    merge: Merge,
    layout: Layout,
}

impl MergedCheckpoint {
    /// Plans a checkpoint in `layout`, with shards of at most `max_shard_bytes` of tensors.
    ///
    /// # Errors
    /// Where a tensor is too large to address.
    pub fn new(mut merge: Merge, layout: Layout, max_shard_bytes: u64) -> Result<Self, MergeError> {
        let tensors = merge.checkpoint_tensors(layout)?;
        let plan = ConversionPlan::of_checkpoint(tensors, merge.gate_dtype(), max_shard_bytes)?;
        Ok(Self {
            conversion: Conversion {
                source: merge.source(),
                inputs: merge.inputs(),
                origins: merge.origins(),
                shards: merge.take_shards(),
                default_file_name: "model.safetensors".into(),
                name: merge.name.clone(),
                notes: std::mem::take(&mut merge.notes),
                skipped: merge.skipped(),
                plan,
            },
            merge,
            layout,
        })
    }

    /// Fails where `dir` is not a place for the checkpoint, before any work is done.
    ///
    /// # Errors
    /// When there is something that is not an empty folder.
    pub fn check_output(&self, dir: &Path) -> Result<(), MergeError> {
        let is_empty = |dir: &Path| fs::read_dir(dir).is_ok_and(|mut all| all.next().is_none());
        match fs::symlink_metadata(dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(MergeError::write(dir, error)),
            Ok(found) if found.is_dir() && is_empty(dir) => Ok(()),
            Ok(_) => Err(MergeError::Exists { path: dir.into() }),
        }
    }

    /// Writes the checkpoint's folder to `dir`: beside its place first, and there once it is whole and on
    /// disk. `cancel` and `progress` are as those of [`Conversion::write`], and so is what is left
    /// behind when this ends early.
    ///
    /// # Errors
    /// As [`Conversion::write`]; a `dir` that is there is never replaced.
    pub fn write(
        &self,
        dir: &Path,
        options: &WriteOptions,
        cancel: &AtomicBool,
        progress: &(dyn Fn(Progress<'_>) + Sync),
    ) -> Result<Written, MergeError> {
        self.check_output(dir)?;
        let partial = partial_folder(dir)?;
        let failed = |error| MergeError::write(&partial, error);
        match fs::create_dir(&partial) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(MergeError::write(dir, error));
            }
            _ => {}
        }
        let shards = partial.join(&self.conversion.default_file_name);
        // What an earlier one has left there is ours.
        let options = WriteOptions {
            replace: true,
            ..*options
        };
        let written = self.conversion.write(&shards, &options, cancel, progress);
        let mut written = match written {
            Ok(written) => written,
            Err(error) => {
                // Only an empty one goes: another process, or what is kept, may be in it.
                let _ = fs::remove_dir(&partial);
                return Err(error.into());
            }
        };
        let finished = self
            .write_small_files(&partial)
            .and_then(|()| sync_all(&partial).map_err(failed))
            .and_then(|()| move_into_place(&partial, dir).map_err(failed));
        if let Err(error) = finished {
            let _ = fs::remove_dir_all(&partial);
            return Err(error);
        }
        for path in &mut written.paths {
            *path = dir.join(path.file_name().unwrap_or_default());
        }
        Ok(written)
    }

    /// Index, config, tokenizer, card and recipe.
    fn write_small_files(&self, dir: &Path) -> Result<(), MergeError> {
        let plan = &self.conversion.plan;
        if plan.files.len() > 1 {
            let path = dir.join("model.safetensors.index.json");
            fs::write(&path, format!("{:#}\n", plan.shard_index()))
                .map_err(|error| MergeError::write(&path, error))?;
        }
        self.merge.write_small_files(dir, self.layout)
    }
}

/// `.NAME.partial` beside the folder `NAME`.
fn partial_folder(dir: &Path) -> Result<PathBuf, MergeError> {
    let Some(name) = dir.file_name() else {
        return Err(MergeError::Exists { path: dir.into() });
    };
    let mut partial = std::ffi::OsString::from(".");
    partial.push(name);
    partial.push(".partial");
    Ok(dir.with_file_name(partial))
}

/// Puts the files of a folder, and of those in it, on disk. The shards are there already.
fn sync_all(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        match path.is_dir() {
            true => sync_all(&path)?,
            false => File::open(&path)?.sync_all()?,
        }
    }
    sync_folder(dir);
    Ok(())
}

/// Not every file system lets one sync a folder.
fn sync_folder(dir: &Path) {
    #[cfg(unix)]
    if let Ok(dir) = File::open(dir) {
        let _ = dir.sync_all();
    }
    #[cfg(not(unix))]
    let _ = dir;
}

fn move_into_place(partial: &Path, dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        // Only where it is still empty.
        fs::remove_dir(dir)?;
    }
    fs::rename(partial, dir)?;
    sync_folder(match dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    });
    Ok(())
}
