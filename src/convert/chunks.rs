//! The plan cut into chunks that are read, quantized and written one after the other.

use std::ops::Range;

use crate::{
    model::{Part, RowOrder, TensorData},
    plan::{ConversionPlan, PlannedTensor},
};

/// Weights of one chunk at most. A multiple of every block length, so a chunk never ends within a
/// block: rows are whole blocks, and chunks of a part begin at its first weight.
pub(super) const CHUNK_WEIGHTS: u64 = 1 << 21;

/// Consecutive weights of the output that come from one part of one tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chunk {
    /// Index into the plan's tensors.
    pub(super) tensor: usize,
    /// Index into the tensor's parts; 0 for a computed tensor.
    pub(super) part: usize,
    /// Weights within the part, in the order of the output.
    pub(super) weights: Range<u64>,
    /// Whether this is the last chunk of its tensor.
    pub(super) last: bool,
}

/// Every chunk of the plan, in the order of the file.
pub(super) fn chunks(plan: &ConversionPlan) -> impl Iterator<Item = Chunk> + '_ {
    plan.tensors
        .iter()
        .enumerate()
        .flat_map(|(tensor, planned)| {
            let lens = part_lens(planned);
            let n_parts = lens.len();
            lens.into_iter().enumerate().flat_map(move |(part, len)| {
                (0..len).step_by(CHUNK_WEIGHTS as usize).map(move |start| {
                    let end = len.min(start + CHUNK_WEIGHTS);
                    Chunk {
                        tensor,
                        part,
                        weights: start..end,
                        last: end == len && part + 1 == n_parts,
                    }
                })
            })
        })
}

/// Weights of each part.
fn part_lens(tensor: &PlannedTensor) -> Vec<u64> {
    match &tensor.data {
        TensorData::Computed(values) => vec![values.len() as u64],
        TensorData::Rows { parts, .. } => {
            let row = row_len(tensor, parts);
            parts.iter().map(|p| p.rows * row).collect()
        }
    }
}

/// Weights of a source row. It is the GGUF's row, but 1 for a permuted vector.
fn row_len(tensor: &PlannedTensor, parts: &[Part]) -> u64 {
    let rows: u64 = parts.iter().map(|p| p.rows).sum();
    tensor.info.elements() / rows.max(1)
}

/// A contiguous piece of a shard, and where its weights go in the chunk's buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// Bytes of the shard's file.
    pub(super) file: Range<u64>,
    /// First byte in the buffer.
    pub(super) buffer: usize,
}

/// The pieces of a chunk of `part`, in the order of the buffer.
pub(super) fn pieces(
    tensor: &PlannedTensor,
    parts: &[Part],
    order: RowOrder,
    chunk: &Chunk,
) -> Vec<Piece> {
    let part = &parts[chunk.part];
    let bytes = part.dtype.bytes() as u64;
    let Range { start, end } = chunk.weights;
    if order == RowOrder::AsIs {
        let file = part.offset + start * bytes..part.offset + end * bytes;
        return vec![Piece { file, buffer: 0 }];
    }
    let row_len = row_len(tensor, parts);
    let mut pieces = Vec::new();
    let mut at = start;
    while at < end {
        let (row, column) = (at / row_len, at % row_len);
        let n = (row_len - column).min(end - at);
        let first = order.source_row(row) * row_len + column;
        let file = part.offset + first * bytes..part.offset + (first + n) * bytes;
        pieces.push(Piece {
            file,
            buffer: ((at - start) * bytes) as usize,
        });
        at += n;
    }
    pieces
}

/// Where in the checkpoint's tensor, of this `shape`, weight `weight` of a part stands.
pub(super) fn source_index(
    tensor: &PlannedTensor,
    chunk: &Chunk,
    shape: &[u64],
    weight: u64,
) -> Vec<u64> {
    let mut flat = weight;
    if let TensorData::Rows { parts, order } = &tensor.data {
        let row_len = row_len(tensor, parts);
        let (row, column) = (weight / row_len, weight % row_len);
        flat = (parts[chunk.part].first_row + order.source_row(row)) * row_len + column;
    }
    let mut index = vec![0; shape.len()];
    for (i, &dim) in index.iter_mut().zip(shape).rev() {
        *i = flat % dim.max(1);
        flat /= dim.max(1);
    }
    index
}
