//! Executes a plan: one thread reads chunks, all cores quantize one, one thread writes.
//!
//! ```text
//! shards --map and read--> weights --quantize--> blocks --write--> file
//!                                         ^_________________|     buffers go round
//! ```
//!
//! A fixed number of chunks is on its way, so memory is bounded whatever the model, and each stage
//! waits for the slower ones. A chunk is cut into tasks of fixed size, so the bytes do not depend
//! on the number of threads.

use std::{
    num::NonZeroUsize,
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::sync_channel,
    },
    thread,
    time::{Duration, Instant},
};

use swallow_quant::Isa;

use super::{
    chunks::{self, CHUNK_WEIGHTS, Chunk},
    error::ConvertError,
    output::Output,
    quantize::quantize_chunk,
    read::{Weights, read_chunk},
};
use crate::{model::TensorData, plan::ConversionPlan, source::Checkpoint};

/// Chunks that wait between two stages.
const WAITING: usize = 2;

/// Bytes that all chunks take at most: of F32, read ones and quantized ones, each waiting, being
/// made and being used; and each thread's scratch.
pub const MAX_BUFFER_BYTES: u64 = 2 * (WAITING as u64 + 2) * CHUNK_WEIGHTS * 4 + (8 << 20);

/// How far a conversion is.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// The tensor being written.
    pub tensor: &'a str,
    /// Bytes of weights read and written so far.
    pub source_bytes: u64,
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

/// Writes the header and all tensors of `plan` to `output`.
pub(super) fn run(
    checkpoint: &Checkpoint,
    plan: &ConversionPlan,
    output: &mut Output,
    threads: Option<NonZeroUsize>,
    cancel: &AtomicBool,
    progress: &(dyn Fn(Progress<'_>) + Sync),
) -> Result<Times, ConvertError> {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads.map_or(0, NonZeroUsize::get))
        .build()
        .map_err(|e| ConvertError::Threads {
            threads: threads.map_or(0, NonZeroUsize::get),
            reason: e.to_string(),
        })?;
    let isa = Isa::best();
    output.write(&plan.header)?;

    let (send_read, read) = sync_channel::<(Chunk, Weights<'_>)>(WAITING);
    let (send_done, done) = sync_channel::<(Chunk, Vec<u8>)>(WAITING);
    // Buffers for blocks come back from the writer; weights are mapped and need none.
    let (send_empty, empty) = sync_channel::<Vec<u8>>(WAITING + 2);
    for _ in 0..WAITING + 2 {
        // There is room for exactly these, and the receiver is right here.
        let _ = send_empty.send(Vec::new());
    }
    thread::scope(|scope| {
        let reader = scope.spawn(move || -> Result<Duration, ConvertError> {
            let mut busy = Duration::ZERO;
            for chunk in chunks::chunks(plan) {
                if cancel.load(Ordering::Relaxed) {
                    return Err(ConvertError::Interrupted);
                }
                let start = Instant::now();
                let weights = read_chunk(checkpoint, plan, &chunk)?;
                busy += start.elapsed();
                // A closed channel means that a later stage has stopped, and says why itself.
                if send_read.send((chunk, weights)).is_err() {
                    break;
                }
            }
            Ok(busy)
        });
        let writer = scope.spawn(move || -> Result<Duration, ConvertError> {
            let mut busy = Duration::ZERO;
            let mut source_bytes = 0;
            for (chunk, blocks) in done {
                let start = Instant::now();
                write_chunk(plan, &chunk, &blocks, output)?;
                busy += start.elapsed();
                let _ = send_empty.send(blocks);
                source_bytes += chunk_source_bytes(plan, &chunk);
                let tensor = &plan.tensors[chunk.tensor].info.name;
                progress(Progress {
                    tensor,
                    source_bytes,
                });
            }
            Ok(busy)
        });

        let mut quantized = Ok(Duration::ZERO);
        for (chunk, weights) in read {
            let Ok(mut blocks) = empty.recv() else { break };
            let start = Instant::now();
            let tensor = &plan.tensors[chunk.tensor];
            let result = pool
                .install(|| quantize_chunk(checkpoint, tensor, &chunk, &weights, isa, &mut blocks));
            if let Err(error) = result {
                quantized = Err(error);
                break;
            }
            quantized = quantized.map(|busy| busy + start.elapsed());
            drop(weights);
            if send_done.send((chunk, blocks)).is_err() {
                break;
            }
        }
        // Closing our ends is what lets the other two finish.
        drop((send_done, empty));
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

fn join<T>(handle: thread::ScopedJoinHandle<'_, T>) -> T {
    handle
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Appends a chunk's blocks, and behind its tensor's last the padding.
fn write_chunk(
    plan: &ConversionPlan,
    chunk: &Chunk,
    bytes: &[u8],
    output: &mut Output,
) -> Result<(), ConvertError> {
    output.write(bytes)?;
    if chunk.last {
        let info = &plan.tensors[chunk.tensor].info;
        let end = info.offset + info.size();
        let next = plan
            .tensors
            .get(chunk.tensor + 1)
            .map_or(plan.data_bytes, |t| t.info.offset);
        output.write(&vec![0; (next - end) as usize])?;
    }
    Ok(())
}

fn chunk_source_bytes(plan: &ConversionPlan, chunk: &Chunk) -> u64 {
    let item = match &plan.tensors[chunk.tensor].data {
        TensorData::Computed(_) => 0,
        TensorData::Rows { parts, .. } => parts[chunk.part].dtype.bytes(),
    };
    (chunk.weights.end - chunk.weights.start) * item as u64
}
