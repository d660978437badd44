//! A conversion from end to end: open the source, plan, write.
//!
//! [`Conversion::of_checkpoint`] and [`Conversion::of_gguf`] read headers and make the plan;
//! [`Conversion::write`] executes it in one pass over the weights.

pub(crate) mod chunks;
mod error;
mod from_checkpoint;
mod from_gguf;
mod output;
mod pipeline;
mod quantize;
pub(crate) mod read;
mod stages;

use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
    time::{Duration, Instant},
};

pub use error::ConvertError;
pub use from_checkpoint::CheckpointOptions;
pub use from_gguf::GgufOptions;
pub use pipeline::{Progress, Times};

use crate::{
    plan::{ConversionPlan, paths},
    source::Shard,
};

/// An opened source and the plan of its GGUF.
#[derive(Debug)]
pub struct Conversion {
    /// The files that weights are read from; the plan's parts say which.
    pub(crate) shards: Vec<Shard>,
    /// Every file of the source; an output must be none of them.
    inputs: Vec<PathBuf>,
    /// What the model is called, for people.
    pub name: String,
    /// The file name by convention.
    pub default_file_name: String,
    /// What will be written.
    pub plan: ConversionPlan,
    /// What the user should know, a line each.
    pub notes: Vec<String>,
}

/// What a finished conversion cost.
#[derive(Clone, Debug)]
pub struct Written {
    /// The files: one, or the parts of a split model.
    pub paths: Vec<PathBuf>,
    /// Bytes of all files.
    pub file_bytes: u64,
    /// From the first byte read to the file being whole on disk.
    pub elapsed: Duration,
    /// How long each stage was busy.
    pub times: Times,
}

impl Conversion {
    /// Resident memory that writing takes at most, besides the vocabulary: the buffers.
    pub fn memory_bytes(&self) -> u64 {
        pipeline::buffer_bytes(&self.plan) + 2 * self.plan.header_bytes()
    }

    /// Writes the GGUF to `path`, or its parts to `path` with their numbers: beside their places first, and
    /// there once they are whole and on disk. `cancel` is looked at all the time; `progress` is
    /// called from another thread.
    ///
    /// # Errors
    /// When there is no room, something cannot be read or written, a weight is not finite, or
    /// `cancel` was set. Nothing is left behind then, and a file at `path` is as it was.
    pub fn write(
        &self,
        path: &Path,
        replace: bool,
        threads: Option<NonZeroUsize>,
        cancel: &AtomicBool,
        progress: &(dyn Fn(Progress<'_>) + Sync),
    ) -> Result<Written, ConvertError> {
        let start = Instant::now();
        let paths = self.paths(path);
        let mut outputs = paths
            .iter()
            .map(|path| output::Output::create(path, replace, &self.inputs))
            .collect::<Result<Vec<_>, _>>()?;
        output::require_space(path, self.plan.file_bytes())?;
        let mut times = pipeline::run(
            &self.shards,
            &self.plan,
            &mut outputs,
            threads,
            cancel,
            progress,
        )?;
        let sync = Instant::now();
        output::finish(outputs, cancel)?;
        times.sync = sync.elapsed();
        Ok(Written {
            paths,
            file_bytes: self.plan.file_bytes(),
            elapsed: start.elapsed(),
            times,
        })
    }

    /// The files that [`Conversion::write`] writes when given `path`.
    pub fn paths(&self, path: &Path) -> Vec<PathBuf> {
        paths(path, self.plan.files.len())
    }

    /// Fails where `path` is not a place to write to, before any work is done.
    ///
    /// # Errors
    /// As [`Conversion::write`].
    pub fn check_output(&self, path: &Path, replace: bool) -> Result<(), ConvertError> {
        self.paths(path)
            .iter()
            .try_for_each(|path| output::check(path, replace, &self.inputs))
    }
}
