//! Executes a plan: one thread reads chunks, all cores quantize one, one thread writes.
//!
//! ```text
//! shards --read--> [bytes] --quantize--> [blocks] --write--> file
//!            ^________________|    ^________________|           buffers go round
//! ```
//!
//! A fixed number of buffers goes round, so memory is bounded whatever the model, and each stage
//! waits for the slower ones. A chunk is cut into tasks of fixed size, so the bytes do not depend
//! on the number of threads.

use std::{
    num::NonZeroUsize,
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use swallow_quant::Isa;

use super::{
    chunks::{self, Chunk},
    error::ConvertError,
    output::{Output, Position},
    quantize::quantize_chunk,
    read::ChunkReader,
};
use crate::{plan::ConversionPlan, source::Shard};

/// Buffers of each kind: one being filled, one being used, one waiting.
const BUFFERS: usize = 3;

/// Bytes that all buffers take at most: chunks of up to four bytes a weight, on their way in and
/// out, one that is being put in order, and each thread's scratch.
pub(super) fn buffer_bytes(plan: &ConversionPlan) -> u64 {
    (2 * BUFFERS as u64 + 1) * chunks::largest_chunk(plan) * 4 + (8 << 20)
}

/// How far a conversion is.
#[derive(Clone, Copy, Debug)]
pub enum Progress<'a> {
    /// It goes on with what an earlier one has written.
    Resumed {
        /// Bytes of the output that are there.
        output_bytes: u64,
        /// Bytes of weights that these were made of.
        source_bytes: u64,
    },
    /// A chunk has been written.
    Written {
        /// The tensor being written.
        tensor: &'a str,
        /// Bytes of weights read and written so far.
        source_bytes: u64,
    },
}

/// How long each stage was busy, waiting left out.
#[derive(Clone, Copy, Debug, Default)]
pub struct Times {
    /// Reading from the checkpoint.
    pub read: Duration,
    /// Quantizing, on all threads at once.
    pub quantize: Duration,
    /// Handing bytes to the system.
    pub write: Duration,
    /// Waiting for the disk at the end.
    pub sync: Duration,
}

/// A chunk's bytes, before or after quantization.
struct Filled {
    chunk: Chunk,
    bytes: Vec<u8>,
}

/// A channel of filled buffers one way, and of empty ones back.
struct Loop {
    filled: (SyncSender<Filled>, Receiver<Filled>),
    empty: (SyncSender<Vec<u8>>, Receiver<Vec<u8>>),
}

impl Loop {
    fn new() -> Self {
        let empty = sync_channel(BUFFERS);
        for _ in 0..BUFFERS {
            // There is room for exactly these, and the receiver is right here.
            let _ = empty.0.send(Vec::new());
        }
        Self {
            filled: sync_channel(BUFFERS),
            empty,
        }
    }
}

/// Writes the headers and all tensors of `plan` to `output`, from where it goes on.
pub(super) fn run(
    shards: &[Shard],
    plan: &ConversionPlan,
    output: &mut Output,
    threads: Option<NonZeroUsize>,
    cancel: &AtomicBool,
    progress: &(dyn Fn(Progress<'_>) + Sync),
) -> Result<Times, ConvertError> {
    let pool = thread_pool(threads)?;
    let isa = Isa::best();
    let begin = output.position();
    let written = |chunk: &Chunk| chunk.end(plan) <= begin;

    let Loop {
        filled: (send_read, read),
        empty: (send_read_empty, read_empty),
    } = Loop::new();
    let Loop {
        filled: (send_done, done),
        empty: (send_done_empty, done_empty),
    } = Loop::new();
    thread::scope(|scope| {
        let reader = scope.spawn(move || -> Result<Duration, ConvertError> {
            let mut busy = Duration::ZERO;
            let chunks = chunks::chunks(plan).skip_while(written);
            let mut reader = ChunkReader::new(shards, plan, chunks);
            // A closed channel means that a later stage has stopped, and says why itself.
            while let Ok(mut bytes) = read_empty.recv() {
                if cancel.load(Ordering::Relaxed) {
                    return Err(ConvertError::Interrupted);
                }
                let start = Instant::now();
                let Some(chunk) = reader.read_next(&mut bytes)? else {
                    break;
                };
                busy += start.elapsed();
                if send_read.send(Filled { chunk, bytes }).is_err() {
                    break;
                }
            }
            Ok(busy)
        });
        let writer = scope.spawn(move || -> Result<Duration, ConvertError> {
            let mut busy = Duration::ZERO;
            let mut source_bytes = source_bytes_before(plan, begin);
            for Filled { chunk, bytes } in done {
                let start = Instant::now();
                write_chunk(plan, &chunk, &bytes, output)?;
                busy += start.elapsed();
                let _ = send_done_empty.send(bytes);
                let planned = &plan.tensors[chunk.tensor];
                source_bytes += chunk.source_bytes(plan);
                progress(Progress::Written {
                    tensor: &planned.info.name,
                    source_bytes,
                });
            }
            // Also of a model without weights.
            begin_files(plan, output, plan.files.len() - 1)?;
            Ok(busy)
        });

        let mut quantized = Ok(Duration::ZERO);
        for Filled { chunk, bytes } in read {
            let Ok(mut blocks) = done_empty.recv() else {
                break;
            };
            let start = Instant::now();
            let result = pool.install(|| quantize_chunk(plan, &chunk, &bytes, isa, &mut blocks));
            if let Err(error) = result {
                quantized = Err(error);
                break;
            }
            quantized = quantized.map(|busy| busy + start.elapsed());
            let _ = send_read_empty.send(bytes);
            if send_done
                .send(Filled {
                    chunk,
                    bytes: blocks,
                })
                .is_err()
            {
                break;
            }
        }
        // Closing our ends is what lets the other two finish.
        drop((send_read_empty, send_done, done_empty));
        let read = join(reader);
        let write = join(writer);
        Ok(Times {
            quantize: quantized?,
            read: read?,
            write: write?,
            sync: Duration::ZERO,
        })
    })
}

/// Bytes of weights that the output before `at` was made of.
pub(super) fn source_bytes_before(plan: &ConversionPlan, at: Position) -> u64 {
    chunks::chunks(plan)
        .take_while(|chunk| chunk.end(plan) <= at)
        .map(|chunk| chunk.source_bytes(plan))
        .sum()
}

/// The threads that quantize: as many as asked for, or as there are cores.
pub(super) fn thread_pool(
    threads: Option<NonZeroUsize>,
) -> Result<rayon::ThreadPool, ConvertError> {
    let threads = threads.map_or(0, NonZeroUsize::get);
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .map_err(|error| ConvertError::Threads {
            threads,
            reason: error.to_string(),
        })
}

fn join<T>(handle: thread::ScopedJoinHandle<'_, T>) -> T {
    handle
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Appends a chunk's blocks to its file, and behind its tensor's last the padding.
fn write_chunk(
    plan: &ConversionPlan,
    chunk: &Chunk,
    bytes: &[u8],
    output: &mut Output,
) -> Result<(), ConvertError> {
    let file = plan.tensors[chunk.tensor].file;
    begin_files(plan, output, file)?;
    output.write(file, bytes)?;
    let padding = chunk.end(plan).offset - output.position().offset;
    output.write(file, &vec![0; padding as usize])?;
    output.end_chunk()
}

/// Writes the headers of all files up to `last` that have none yet.
fn begin_files(
    plan: &ConversionPlan,
    output: &mut Output,
    last: usize,
) -> Result<(), ConvertError> {
    let Position { file, offset } = output.position();
    let first = if offset == 0 { file } else { file + 1 };
    for file in first..=last {
        output.write(file, &plan.files[file].header)?;
    }
    Ok(())
}
