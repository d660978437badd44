//! The plan cut into chunks that are read, quantized and written one after the other.

use std::ops::Range;

use crate::{
    model::{Part, RowOrder, TensorData},
    plan::{ConversionPlan, PlannedTensor},
};

/// Weights of one chunk at most. A multiple of every block length, so a chunk never ends within a
/// block: rows are whole blocks, and chunks of a part begin at its first weight.
pub(crate) const CHUNK_WEIGHTS: u64 = 1 << 21;

/// Consecutive weights of the output that come from one part of one tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chunk {
    /// Index into the plan's tensors.
    pub(crate) tensor: usize,
    /// Index into the tensor's parts; 0 for a computed tensor.
    pub(crate) part: usize,
    /// Weights within the part, in the order of the output.
    pub(crate) weights: Range<u64>,
    /// Whether this is the last chunk of its tensor.
    pub(crate) last: bool,
}

/// Every chunk of the plan, in the order of the file.
pub(crate) fn chunks(plan: &ConversionPlan) -> impl Iterator<Item = Chunk> + '_ {
    plan.tensors
        .iter()
        .enumerate()
        .flat_map(|(tensor, planned)| {
            let n_parts = n_parts(planned);
            (0..n_parts).flat_map(move |part| {
                let len = match &planned.data {
                    TensorData::Computed(values) => values.len() as u64,
                    TensorData::Rows { parts, .. } => part_len(planned, parts, part),
                };
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

/// Number of parts, at least 1.
fn n_parts(tensor: &PlannedTensor) -> usize {
    match &tensor.data {
        TensorData::Computed(_) => 1,
        TensorData::Rows { parts, .. } => parts.len(),
    }
}

/// Weights of one part.
pub(crate) fn part_len(tensor: &PlannedTensor, parts: &[Part], part: usize) -> u64 {
    parts[part].rows * row_len(tensor, parts)
}

/// Weights of a source row. It is the GGUF's row, but 1 for a permuted vector.
fn row_len(tensor: &PlannedTensor, parts: &[Part]) -> u64 {
    let rows: u64 = parts.iter().map(|p| p.rows).sum();
    tensor.info.elements() / rows.max(1)
}

/// The weights of a part that make up a chunk: consecutive ones in the checkpoint each, in the
/// order of the output.
pub(super) fn source_rows(
    tensor: &PlannedTensor,
    parts: &[Part],
    order: RowOrder,
    chunk: &Chunk,
) -> Vec<Range<u64>> {
    if order == RowOrder::AsIs {
        return vec![chunk.weights.clone()];
    }
    let row_len = row_len(tensor, parts);
    let mut rows = Vec::new();
    let mut at = chunk.weights.start;
    while at < chunk.weights.end {
        let (row, column) = (at / row_len, at % row_len);
        let n = (row_len - column).min(chunk.weights.end - at);
        let first = order.source_row(row) * row_len + column;
        rows.push(first..first + n);
        at += n;
    }
    rows
}

/// The smallest range that holds all of `ranges`.
pub(super) fn bounds(ranges: &[Range<u64>]) -> Range<u64> {
    let start = ranges.iter().map(|r| r.start).min().unwrap_or(0);
    let end = ranges.iter().map(|r| r.end).max().unwrap_or(0);
    start..end
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
