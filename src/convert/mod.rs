//! A conversion from end to end: open the source, plan, write.
//!
//! [`Conversion::of_checkpoint`] and [`Conversion::of_gguf`] read headers and make the plan, and
//! [`Conversion::write`] executes it in one pass over the weights. What else can say where the weights
//! of a model are, as a merge does, has a [`Described`] planned.

mod block_writer;
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
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

pub use error::ConvertError;
pub use from_checkpoint::{CheckpointOptions, CheckpointSource};
pub(crate) use from_checkpoint::{Described, Planner};
pub use from_gguf::GgufOptions;
pub use pipeline::{Progress, Times};

use xxhash_rust::xxh3::Xxh3;

use self::output::{Output, OutputIdentity, OutputOptions, Position};
pub(crate) use self::output::{journal_path, partial_path};
use crate::{
    model::TensorData,
    plan::{ConversionPlan, PlannedFile},
    source::{Origin, Shard},
};

/// Version of what conversions write: raised when the same source and wishes make other bytes than before,
/// so that models that are kept are made anew.
pub const OUTPUT_VERSION: u32 = 2;

/// An opened source and the plan of its GGUF.
#[derive(Debug)]
pub struct Conversion {
    /// The files that weights are read from; the plan's parts say which.
    pub(crate) shards: Vec<Shard>,
    /// Every file of the source; an output must be none of them.
    pub(crate) inputs: Vec<PathBuf>,
    /// What the checkpoints that it is made of are on the hub, of those that are from there.
    pub origins: Vec<Origin>,
    /// Where it comes from, for people.
    pub(crate) source: String,
    /// What the model is called, for people.
    pub name: String,
    /// The file name by convention.
    pub default_file_name: String,
    /// What will be written.
    pub plan: ConversionPlan,
    /// What the user should know, a line each.
    pub notes: Vec<String>,
    /// Tensors of the source that are left out by hand.
    pub skipped: Vec<String>,
}

/// How to write.
#[derive(Clone, Copy, Debug, Default)]
pub struct WriteOptions {
    /// Replace files that are there, once the new ones are whole.
    pub replace: bool,
    /// Throw away what an earlier conversion has left behind, whatever it was.
    pub restart: bool,
    /// Keep what is written for the same conversion to go on with, where it ends early for a reason that
    /// may pass. What comes from the hub is kept in any case.
    pub keep: bool,
    /// Write `FILE.sha256` beside each file.
    pub checksum: bool,
    /// Threads to quantize with; `None` for as many as there are cores.
    pub threads: Option<NonZeroUsize>,
}

/// What a finished conversion cost.
#[derive(Clone, Debug)]
pub struct Written {
    /// The files: one, or the parts of a split model.
    pub paths: Vec<PathBuf>,
    /// Bytes of all files.
    pub file_bytes: u64,
    /// Bytes of weights that were read: not those of an earlier conversion that was gone on with.
    pub source_bytes: u64,
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

    /// Writes the GGUF to `path`, or its parts to `path` with their numbers: beside their places
    /// first, and there once they are whole and on disk. Goes on with what the same conversion left
    /// behind when it was killed. `cancel` is looked at all the time; `progress` is called from
    /// another thread.
    ///
    /// # Errors
    /// When there is no room, something cannot be read or written, a weight is not finite, or
    /// `cancel` was set. A file at `path` is as it was then. Nothing is left behind, but for a source
    /// on the hub where the reason may pass: then the same conversion can go on.
    pub fn write(
        &self,
        path: &Path,
        options: &WriteOptions,
        cancel: &AtomicBool,
        progress: &(dyn Fn(Progress<'_>) + Sync),
    ) -> Result<Written, ConvertError> {
        let start = Instant::now();
        let paths = self.paths(path);
        let identity = self.output_identity();
        let mut output = Output::open(
            path,
            &paths,
            &OutputOptions {
                identity: &identity,
                replace: options.replace,
                restart: options.restart,
                checksum: options.checksum,
                keep: options.keep || self.shards.iter().any(Shard::is_remote),
                inputs: &self.inputs,
            },
        )?;
        let there = self.bytes_before(output.position());
        let resumed_source = pipeline::source_bytes_before(&self.plan, output.position());
        if let Err(error) = output::require_space(path, self.plan.file_bytes() - there) {
            return Err(match there {
                0 => error,
                there => output.abandon(error, there, self.plan.file_bytes()),
            });
        }
        if there > 0 {
            progress(Progress::Resumed {
                output_bytes: there,
                source_bytes: resumed_source,
            });
        }
        let written = pipeline::run(
            &self.shards,
            &self.plan,
            &mut output,
            options.threads,
            cancel,
            progress,
        );
        let synced = written.and_then(|mut times| {
            let sync = Instant::now();
            output.sync()?;
            times.sync = sync.elapsed();
            match cancel.load(Ordering::Relaxed) {
                true => Err(ConvertError::Interrupted),
                false => Ok(times),
            }
        });
        let times = match synced {
            Ok(times) => times,
            Err(error) => {
                let file = output.position().file;
                let before = self.bytes_before(Position { file, offset: 0 });
                return Err(output.abandon(error, before, self.plan.file_bytes()));
            }
        };
        output.finish()?;
        Ok(Written {
            paths,
            file_bytes: self.plan.file_bytes(),
            source_bytes: self.plan.source_bytes() - resumed_source,
            elapsed: start.elapsed(),
            times,
        })
    }

    /// Bytes of the output before a place in it.
    fn bytes_before(&self, at: Position) -> u64 {
        let files = self.plan.files[..at.file].iter();
        files.map(PlannedFile::bytes).sum::<u64>() + at.offset
    }

    /// What decides about the bytes of the output: the plan, the sources with their times of change,
    /// and this program's version.
    fn output_identity(&self) -> OutputIdentity {
        let mut digest = Xxh3::new();
        for file in &self.plan.files {
            digest.update(&file.header);
        }
        for shard in &self.shards {
            digest.update(shard.fingerprint().as_bytes());
        }
        for tensor in &self.plan.tensors {
            let importance = tensor.importance.iter().flatten();
            importance.for_each(|value| digest.update(&value.to_le_bytes()));
            match &tensor.data {
                TensorData::Computed(values) => {
                    values.iter().for_each(|v| digest.update(&v.to_le_bytes()));
                }
                TensorData::Rows { parts, order } => {
                    digest.update(format!("{parts:?}{order:?}").as_bytes());
                }
            }
        }
        OutputIdentity {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            plan: format!("{:032x}", digest.digest128()),
            source: self.source.clone(),
            file_type: self.plan.file_type.name().to_owned(),
        }
    }

    /// The files that [`Conversion::write`] writes when given `path`.
    pub fn paths(&self, path: &Path) -> Vec<PathBuf> {
        self.plan.paths(path)
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
