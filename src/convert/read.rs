//! Reads the weights of one chunk, as they are in the checkpoint but in the order of the output.

use std::ops::Range;

use super::{
    chunks::{self, Chunk},
    error::ConvertError,
};
use crate::{
    model::{Part, RowOrder, TensorData},
    plan::{ConversionPlan, PlannedTensor},
    source::{Checkpoint, Shard},
};

/// Asks the disk for the bytes of `chunk`, ahead of [`read_chunk`].
pub(crate) fn prefetch(checkpoint: &Checkpoint, plan: &ConversionPlan, chunk: &Chunk) {
    let tensor = &plan.tensors[chunk.tensor];
    if let TensorData::Rows { parts, order } = &tensor.data {
        let part = &parts[chunk.part];
        let rows = chunks::source_rows(tensor, parts, *order, chunk);
        checkpoint.shards[part.shard].prefetch(in_file(part, &chunks::bounds(&rows)));
    }
}

/// Reads the weights of `chunk` into `bytes`, which is resized to fit, and drops them from the
/// page cache.
pub(crate) fn read_chunk(
    checkpoint: &Checkpoint,
    plan: &ConversionPlan,
    chunk: &Chunk,
    bytes: &mut Vec<u8>,
) -> Result<(), ConvertError> {
    let tensor = &plan.tensors[chunk.tensor];
    let (parts, order) = match &tensor.data {
        TensorData::Computed(values) => {
            bytes.clear();
            bytes.extend(values.iter().flat_map(|v| v.to_le_bytes()));
            return Ok(());
        }
        TensorData::Rows { parts, order } => (parts, *order),
    };
    let part = &parts[chunk.part];
    let shard = &checkpoint.shards[part.shard];
    let rows = chunks::source_rows(tensor, parts, order, chunk);
    let len: u64 = rows.iter().map(|weights| weights.end - weights.start).sum();
    bytes.resize(len as usize * part.dtype.bytes(), 0);

    let mut at = 0;
    for weights in &rows {
        let file = in_file(part, weights);
        let end = at + (file.end - file.start) as usize;
        shard
            .read_exact_at(&mut bytes[at..end], file.start)
            .map_err(|error| ConvertError::Read {
                tensor: part.tensor.clone(),
                path: shard.path().into(),
                error,
            })?;
        at = end;
    }
    drop_read(tensor, parts, order, chunk, shard);
    Ok(())
}

/// Drops from the page cache what will not be read again: the chunk itself, or where permuted rows
/// come from all over the part, the part after its last chunk.
fn drop_read(
    tensor: &PlannedTensor,
    parts: &[Part],
    order: RowOrder,
    chunk: &Chunk,
    shard: &Shard,
) {
    let part = &parts[chunk.part];
    if order == RowOrder::AsIs {
        shard.drop_from_cache(in_file(part, &chunk.weights));
    } else {
        let len = chunks::part_len(tensor, parts, chunk.part);
        if chunk.weights.end == len {
            shard.drop_from_cache(in_file(part, &(0..len)));
        }
    }
}

/// Where weights of a part are in its shard's file, in bytes.
fn in_file(part: &Part, weights: &Range<u64>) -> Range<u64> {
    let item = part.dtype.bytes() as u64;
    part.offset + weights.start * item..part.offset + weights.end * item
}
