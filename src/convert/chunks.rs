//! The plan cut into chunks that are read, quantized and written one after the other.

use std::ops::Range;

use swallow_quant::GgmlType;

use super::output::Position;
use crate::{
    model::{Part, RowOrder, TensorData},
    plan::{ConversionPlan, PlannedTensor, bytes_of},
};

/// Weights of one chunk, where nothing asks for more. A multiple of every block length, so a chunk
/// never ends within a block: rows are whole blocks, and chunks of a part begin at its first
/// weight.
pub(crate) const CHUNK_WEIGHTS: u64 = 1 << 21;

/// Consecutive weights of the output that come from one part of one tensor. They are consecutive
/// in the source, too, in the order of the source's rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chunk {
    /// Index into the plan's tensors.
    pub(crate) tensor: usize,
    /// Index into the tensor's parts; 0 for a computed tensor.
    pub(crate) part: usize,
    /// Weights within the part.
    pub(crate) weights: Range<u64>,
    /// Whether this is the last chunk of its tensor.
    pub(crate) last: bool,
}

impl Chunk {
    /// Number of weights.
    pub(crate) fn len(&self) -> u64 {
        self.weights.end - self.weights.start
    }

    /// The part that the weights come from; `None` for a computed tensor.
    pub(crate) fn part<'a>(&self, plan: &'a ConversionPlan) -> Option<&'a Part> {
        match &plan.tensors[self.tensor].data {
            TensorData::Computed(_) => None,
            TensorData::Rows { parts, .. } => Some(&parts[self.part]),
        }
    }

    /// The type of the weights in the source.
    pub(crate) fn source_type(&self, plan: &ConversionPlan) -> GgmlType {
        self.part(plan).map_or(GgmlType::F32, |part| part.ty)
    }

    /// Bytes that are read for it.
    pub(crate) fn source_bytes(&self, plan: &ConversionPlan) -> u64 {
        self.part(plan)
            .map_or(0, |part| bytes_of(part.ty, self.len()))
    }

    /// Index of its first weight within the tensor.
    pub(crate) fn first_weight(&self, plan: &ConversionPlan) -> u64 {
        let tensor = &plan.tensors[self.tensor];
        let before: u64 = match &tensor.data {
            TensorData::Computed(_) => 0,
            TensorData::Rows { parts, .. } => parts[..self.part]
                .iter()
                .map(|p| p.rows * tensor.row_len())
                .sum(),
        };
        before + self.weights.start
    }

    /// Where it ends in the output, with the padding behind a tensor's last chunk.
    pub(crate) fn end(&self, plan: &ConversionPlan) -> Position {
        let tensor = &plan.tensors[self.tensor];
        let file = &plan.files[tensor.file];
        let next = plan.tensors.get(self.tensor + 1);
        let data_end = match next {
            _ if !self.last => {
                let weights = self.first_weight(plan) + self.len();
                tensor.info.offset + bytes_of(tensor.info.ty, weights)
            }
            Some(next) if next.file == tensor.file => next.info.offset,
            _ => file.data_bytes,
        };
        Position {
            file: tensor.file,
            offset: file.header.len() as u64 + data_end,
        }
    }
}

/// Every chunk of the plan, in the order of the file.
pub(crate) fn chunks(plan: &ConversionPlan) -> impl Iterator<Item = Chunk> + '_ {
    plan.tensors
        .iter()
        .enumerate()
        .flat_map(|(tensor, planned)| {
            let lens = part_lens(planned);
            let (n_parts, step) = (lens.len(), chunk_weights(planned));
            lens.into_iter().enumerate().flat_map(move |(part, len)| {
                (0..len).step_by(step as usize).map(move |start| {
                    let end = len.min(start + step);
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

/// The largest chunk of the plan, in weights.
pub(crate) fn largest_chunk(plan: &ConversionPlan) -> u64 {
    let tensors = plan.tensors.iter();
    let largest = tensors
        .map(|t| chunk_weights(t).min(t.info.elements()))
        .max();
    largest.unwrap_or(0)
}

/// Weights of each part.
fn part_lens(tensor: &PlannedTensor) -> Vec<u64> {
    match &tensor.data {
        TensorData::Computed(values) => vec![values.len() as u64],
        TensorData::Rows { parts, .. } => parts.iter().map(|p| p.rows * tensor.row_len()).collect(),
    }
}

/// Weights of a chunk of this tensor: as many as usual, in whole units of what must stay together.
/// That is a head where its rows change their order, and a row where each column has its importance.
fn chunk_weights(tensor: &PlannedTensor) -> u64 {
    let unit = match &tensor.data {
        TensorData::Rows {
            order: RowOrder::Rotary { head_rows },
            ..
        } => head_rows * tensor.row_len(),
        _ if tensor.importance.is_some() => tensor.row_len(),
        _ => 1,
    };
    (CHUNK_WEIGHTS / unit.max(1)).max(1) * unit.max(1)
}

/// Where in the source's tensor weight `weight` of a chunk's part stands, outermost dimension
/// first.
pub(super) fn source_index(plan: &ConversionPlan, chunk: &Chunk, weight: u64) -> Vec<u64> {
    let tensor = &plan.tensors[chunk.tensor];
    let TensorData::Rows { parts, order } = &tensor.data else {
        return vec![weight];
    };
    let part = &parts[chunk.part];
    let row_len = tensor.row_len();
    let (row, column) = (weight / row_len, weight % row_len);
    let mut flat = (part.first_row + order.source_row(row)) * row_len + column;
    let mut index = vec![0; part.shape.len()];
    for (i, &dim) in index.iter_mut().zip(&part.shape).rev() {
        *i = flat % dim.max(1);
        flat /= dim.max(1);
    }
    index
}
