//! The weights of one chunk, as they are in the checkpoint but in the order of the output.

use std::ops::{Deref, Range};

use super::{
    chunks::{self, Chunk},
    error::ConvertError,
};
use crate::{
    model::{RowOrder, TensorData},
    plan::ConversionPlan,
    source::{Checkpoint, Window},
};

/// The bytes of a chunk's weights.
pub(super) enum Weights<'a> {
    /// In place: the order of the checkpoint is that of the output.
    Mapped(Window<'a>),
    /// Copied together.
    Gathered(Vec<u8>),
}

impl Deref for Weights<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Mapped(window) => window,
            Self::Gathered(bytes) => bytes,
        }
    }
}

/// Reads the weights of `chunk`.
pub(super) fn read_chunk<'a>(
    checkpoint: &'a Checkpoint,
    plan: &ConversionPlan,
    chunk: &Chunk,
) -> Result<Weights<'a>, ConvertError> {
    let tensor = &plan.tensors[chunk.tensor];
    let (parts, order) = match &tensor.data {
        TensorData::Computed(values) => {
            return Ok(Weights::Gathered(
                values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            ));
        }
        TensorData::Rows { parts, order } => (parts, *order),
    };
    let part = &parts[chunk.part];
    let shard = &checkpoint.shards[part.shard];
    let open = |bytes: Range<u64>, read_now| {
        shard
            .window(bytes, read_now)
            .map_err(|error| ConvertError::Read {
                tensor: part.tensor.clone(),
                path: shard.path().into(),
                error,
            })
    };

    let item = part.dtype.bytes() as u64;
    let rows = chunks::source_rows(tensor, parts, order, chunk);
    let file =
        |weights: &Range<u64>| part.offset + weights.start * item..part.offset + weights.end * item;
    if order == RowOrder::AsIs {
        return open(file(&chunk.weights), true).map(Weights::Mapped);
    }
    let all = chunks::bounds(&rows);
    // Not read at once: of a head that is cut, only half of the rows are wanted.
    let window = open(file(&all), false)?;
    let mut bytes = Vec::with_capacity(((chunk.weights.end - chunk.weights.start) * item) as usize);
    for row in rows {
        let at = |weight: u64| ((weight - all.start) * item) as usize;
        bytes.extend_from_slice(&window[at(row.start)..at(row.end)]);
    }
    Ok(Weights::Gathered(bytes))
}
