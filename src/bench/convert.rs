//! Measures whole conversions of a checkpoint with the target's shapes, and where the time goes.

use std::{
    fmt, fs, io,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
    time::{Duration, Instant},
};

use anyhow::Context;
use indicatif::DecimalBytes;

use crate::{
    convert::{CheckpointOptions, CheckpointSource, Conversion, Times, WriteOptions, Written},
    file_type::FileType,
    source::Dtype,
    synthetic::{self, Layout, Sizes, Spec},
};

/// A generated checkpoint of the target's shapes.
#[derive(Debug)]
pub struct Bench {
    dir: PathBuf,
    source: PathBuf,
}

/// What one conversion took.
#[derive(Debug)]
pub struct Measured {
    file_type: FileType,
    source_bytes: u64,
    written: Written,
    /// Bytes of memory that the process held at most until now, where the system tells.
    peak_memory: Option<u64>,
    /// How long each stage takes by itself.
    alone: Times,
}

impl Bench {
    /// Makes a checkpoint of `layers` layers in `dir`, unless it is there.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn prepare(dir: &Path, layers: usize) -> io::Result<Self> {
        let source = dir.join(format!("Target-Shaped-{layers}-Layers"));
        if !source.is_dir() {
            // Under another name until it is whole, so that an interrupted run is not taken for one.
            let partial = dir.join("partial-checkpoint");
            let spec = Spec {
                sizes: Sizes::target(layers),
                layout: Layout::Separate,
                dtype: Dtype::Bf16,
                tied: false,
                shards: layers,
                seed: 1,
                sparse: false,
                other_dtype: None,
            };
            synthetic::write(&partial, &spec)?;
            fs::rename(&partial, &source)?;
        }
        Ok(Self {
            dir: dir.into(),
            source,
        })
    }

    /// Converts the checkpoint once, from the disk and not from the page cache, and removes the
    /// result; then does what each stage does by itself.
    ///
    /// # Errors
    /// As [`Conversion::write`].
    pub fn run(
        &self,
        file_type: FileType,
        threads: Option<NonZeroUsize>,
    ) -> anyhow::Result<Measured> {
        let forget = || {
            forget_cached(&self.source).context("cannot drop the checkpoint from the page cache")
        };
        forget()?;
        let start = Instant::now();
        let options = CheckpointOptions {
            source: CheckpointSource::Folder(self.source.clone()),
            wishes: file_type.into(),
            chat_template: None,
            pre: None,
        };
        let conversion = Conversion::of_checkpoint(&options)?;
        let output = self.dir.join("output.gguf");
        let never = AtomicBool::new(false);
        let options = WriteOptions {
            replace: true,
            restart: true,
            threads,
            ..WriteOptions::default()
        };
        let mut written = conversion.write(&output, &options, &never, &|_| {})?;
        written.elapsed = start.elapsed();
        let peak_memory = peak_memory();

        forget()?;
        let read = conversion.time_reading()?;
        let others = conversion.time_quantizing_and_writing(&output, threads)?;
        fs::remove_file(&output).context("cannot remove the measured output")?;
        Ok(Measured {
            file_type,
            source_bytes: conversion.plan.source_bytes(),
            written,
            peak_memory,
            alone: Times { read, ..others },
        })
    }
}

impl Measured {
    /// The heads of the columns of [`Measured`]'s first line.
    pub const HEADER: &str = "type        input     output   read s  quantize s  write s  sync s  total s     GB/s  peak memory";

    /// The slowest stage, with nothing else to do.
    fn slowest_alone(&self) -> Duration {
        let Times {
            read,
            quantize,
            write,
            sync,
        } = self.alone;
        read.max(quantize).max(write + sync)
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = |times: &Times| {
            format!(
                "{:>8.2} {:>11.2} {:>8.2} {:>7.2}",
                times.read.as_secs_f64(),
                times.quantize.as_secs_f64(),
                times.write.as_secs_f64(),
                times.sync.as_secs_f64(),
            )
        };
        let seconds = self.written.elapsed.as_secs_f64();
        writeln!(
            f,
            "{:7} {:>9} {:>10} {} {:>8.2} {:>8.2}  {}",
            self.file_type,
            DecimalBytes(self.source_bytes).to_string(),
            DecimalBytes(self.written.file_bytes).to_string(),
            line(&self.written.times),
            seconds,
            self.source_bytes as f64 / 1e9 / seconds,
            self.peak_memory
                .map_or("unknown".into(), |b| DecimalBytes(b).to_string()),
        )?;
        let slowest = self.slowest_alone().as_secs_f64();
        write!(
            f,
            "{:28} {}    the whole takes {:.2} times the slowest",
            "  each stage by itself",
            line(&self.alone),
            seconds / slowest.max(1e-9),
        )
    }
}

/// Drops the files of a folder from the page cache, where the system has a call for it. What the disk
/// still has to do is done first: giving back the room of a removed file takes some of them a while.
fn forget_cached(dir: &Path) -> io::Result<()> {
    #[cfg(unix)]
    rustix::fs::sync();
    for entry in fs::read_dir(dir)? {
        let file = fs::File::open(entry?.path())?;
        file.sync_all()?;
        #[cfg(target_os = "linux")]
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
    }
    Ok(())
}

/// The most memory this process has had resident.
#[cfg(target_os = "linux")]
fn peak_memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(not(target_os = "linux"))]
fn peak_memory() -> Option<u64> {
    None
}
