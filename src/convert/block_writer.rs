//! How a chunk's weights become blocks: by which search, and with which importance of their columns.

use swallow_quant::{GgmlType, Isa, Unsupported};

use super::chunks::Chunk;
use crate::plan::{ConversionPlan, PlannedTensor, Search};

/// Makes the blocks of a chunk.
pub(super) struct BlockWriter<'a> {
    ty: GgmlType,
    isa: Isa,
    search: Search,
    weighing: Option<Weighing<'a>>,
}

/// The importance of the columns of a chunk's rows.
struct Weighing<'a> {
    /// Expert after expert.
    importance: &'a [f32],
    /// Columns of a row.
    row: usize,
    /// Rows of an expert.
    expert_rows: usize,
    /// The row of the tensor that the chunk begins with.
    first_row: usize,
}

impl<'a> BlockWriter<'a> {
    pub(super) fn new(plan: &'a ConversionPlan, chunk: &Chunk, isa: Isa) -> Self {
        let tensor = &plan.tensors[chunk.tensor];
        Self {
            ty: tensor.info.ty,
            isa,
            search: plan.search,
            weighing: Weighing::of(tensor, || chunk.first_weight(plan)),
        }
    }

    /// Weights that one thread takes at a time: about `wanted`, a multiple of every block length. Where
    /// columns count differently, whole rows.
    pub(super) fn task_weights(&self, wanted: usize) -> usize {
        match &self.weighing {
            Some(weighing) => (wanted / weighing.row).max(1) * weighing.row,
            None => wanted,
        }
    }

    /// Makes the blocks of a task, the first weight of which is the chunk's weight `first`.
    pub(super) fn write(
        &self,
        first: usize,
        weights: &[f32],
        dst: &mut [u8],
    ) -> Result<(), Unsupported> {
        let Self {
            ty, isa, search, ..
        } = *self;
        match &self.weighing {
            None => match search {
                Search::Reference => swallow_quant::quantize(ty, isa, weights, dst),
                Search::Best => swallow_quant::quantize_best(ty, isa, None, weights, dst),
            },
            Some(weighing) => {
                weighing.by_expert(first, weights, dst, |importance, rows, dst| match search {
                    Search::Reference => {
                        swallow_quant::quantize_with_importance(ty, isa, importance, rows, dst)
                    }
                    Search::Best => {
                        swallow_quant::quantize_best(ty, isa, Some(importance), rows, dst)
                    }
                })
            }
        }
    }
}

impl<'a> Weighing<'a> {
    /// `None` where all columns count alike. A chunk of others is whole rows.
    fn of(tensor: &'a PlannedTensor, first_weight: impl FnOnce() -> u64) -> Option<Self> {
        let importance = tensor.importance.as_deref()?;
        let row = tensor.row_len();
        Some(Self {
            importance,
            row: row as usize,
            expert_rows: tensor.info.dims.get(1).copied().unwrap_or(1) as usize,
            first_row: (first_weight() / row) as usize,
        })
    }

    /// Hands rows on, the first of which begins with the chunk's weight `first`: those of each expert
    /// with its importance.
    fn by_expert(
        &self,
        first: usize,
        mut weights: &[f32],
        mut dst: &mut [u8],
        quantize: impl Fn(&[f32], &[f32], &mut [u8]) -> Result<(), Unsupported>,
    ) -> Result<(), Unsupported> {
        let row_bytes = dst.len() / (weights.len() / self.row).max(1);
        let mut row = self.first_row + first / self.row;
        while !weights.is_empty() {
            let expert = row / self.expert_rows;
            let importance = &self.importance[expert * self.row..][..self.row];
            let rows = ((expert + 1) * self.expert_rows - row).min(weights.len() / self.row);
            let (own, rest) = weights.split_at(rows * self.row);
            let (own_dst, rest_dst) = dst.split_at_mut(rows * row_bytes);
            quantize(importance, own, own_dst)?;
            (weights, dst) = (rest, rest_dst);
            row += rows;
        }
        Ok(())
    }
}
