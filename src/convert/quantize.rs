//! One chunk: source numbers → f32 → checked → blocks, on all threads of the pool.

use rayon::prelude::*;
use swallow_quant::{GgmlType, Isa, Unsupported};

use super::{
    chunks::{self, Chunk},
    error::ConvertError,
};
use crate::plan::{ConversionPlan, PlannedTensor, Search};

/// Weights that one thread takes at a time: their f32 values stay in its cache. A multiple of
/// every block length.
const TASK_WEIGHTS: usize = 1 << 14;

/// Weights above this may not fit the f16 scales and numbers of the types we write.
const LARGE: f32 = 6e4;

/// What is wrong with a weight, at its place in the chunk.
struct BadWeight {
    at: usize,
    value: f32,
}

/// Quantizes the chunk's `src` bytes into `dst`, which is resized to fit.
pub(super) fn quantize_chunk(
    plan: &ConversionPlan,
    chunk: &Chunk,
    src: &[u8],
    isa: Isa,
    dst: &mut Vec<u8>,
) -> Result<(), ConvertError> {
    let tensor = &plan.tensors[chunk.tensor];
    let (from, to) = (chunk.source_type(plan), tensor.info.ty);
    let weighing = Weighing::of(tensor, chunk.first_weight(plan));
    let task_weights = weighing
        .as_ref()
        .map_or(TASK_WEIGHTS, Weighing::task_weights);
    dst.resize(bytes_of(to, chunk.len() as usize), 0);
    let blocks = |weights: &[f32], dst: &mut [u8]| match plan.search {
        Search::Reference => swallow_quant::quantize(to, isa, weights, dst),
        Search::Best => swallow_quant::quantize_best(to, isa, None, weights, dst),
    };
    let by_columns = |importance: &[f32], rows: &[f32], dst: &mut [u8]| match plan.search {
        Search::Reference => {
            swallow_quant::quantize_with_importance(to, isa, importance, rows, dst)
        }
        Search::Best => swallow_quant::quantize_best(to, isa, Some(importance), rows, dst),
    };

    let first_bad =
        src.par_chunks(bytes_of(from, task_weights))
            .zip(dst.par_chunks_mut(bytes_of(to, task_weights)))
            .enumerate()
            .map_init(
                || vec![0.0; task_weights],
                |weights, (task, (src, dst))| {
                    let n = src.len() / from.block_bytes() * from.block_len();
                    let weights = &mut weights[..n];
                    let first = task * task_weights;
                    let bad = match from == to {
                        true => copy_task(from, src, weights, dst),
                        false => quantize_task(from, to, src, weights, dst, |weights, dst| {
                            match &weighing {
                                Some(weighing) => {
                                    weighing.quantize(first, weights, dst, by_columns)
                                }
                                None => blocks(weights, dst),
                            }
                        }),
                    };
                    bad.map(|bad| BadWeight {
                        at: first + bad.at,
                        ..bad
                    })
                },
            )
            .flatten()
            .min_by_key(|bad| bad.at);

    let Some(BadWeight { at, value }) = first_bad else {
        return Ok(());
    };
    let index = chunks::source_index(plan, chunk, chunk.weights.start + at as u64);
    let tensor = match chunk.part(plan) {
        Some(part) => part.tensor.clone(),
        None => plan.tensors[chunk.tensor].info.name.clone(),
    };
    Err(if value.is_finite() {
        ConvertError::TooLarge {
            tensor,
            value,
            index,
            ty: to,
        }
    } else {
        ConvertError::NonFinite {
            tensor,
            value,
            index,
        }
    })
}

fn bytes_of(ty: GgmlType, weights: usize) -> usize {
    weights / ty.block_len() * ty.block_bytes()
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

impl<'a> Weighing<'a> {
    /// `None` where all columns count alike. A chunk of others is whole rows.
    fn of(tensor: &'a PlannedTensor, first_weight: u64) -> Option<Self> {
        let importance = tensor.importance.as_deref()?;
        let row = tensor.row_len();
        Some(Self {
            importance,
            row: row as usize,
            expert_rows: tensor.info.dims.get(1).copied().unwrap_or(1) as usize,
            first_row: (first_weight / row) as usize,
        })
    }

    /// Weights that one thread takes at a time: whole rows.
    fn task_weights(&self) -> usize {
        (TASK_WEIGHTS / self.row).max(1) * self.row
    }

    /// Quantizes rows, the first of which begins with the chunk's weight `first`: those of each
    /// expert by `quantize`, with its importance.
    fn quantize(
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

/// Copies what stays of its type, and looks whether its weights are finite where that can be told.
fn copy_task(ty: GgmlType, src: &[u8], weights: &mut [f32], dst: &mut [u8]) -> Option<BadWeight> {
    dst.copy_from_slice(src);
    swallow_quant::dequantize(ty, src, weights).ok()?;
    let at = swallow_quant::first_non_finite(weights)?;
    let value = weights[at];
    Some(BadWeight { at, value })
}

/// Quantizes weights by `quantize`, unless one of them is not finite or does not fit.
fn quantize_task(
    from: GgmlType,
    to: GgmlType,
    src: &[u8],
    weights: &mut [f32],
    dst: &mut [u8],
    quantize: impl FnOnce(&[f32], &mut [u8]) -> Result<(), Unsupported>,
) -> Option<BadWeight> {
    if let Err(unsupported) = swallow_quant::dequantize(from, src, weights) {
        // The plan has seen to it that this type is read; see `require_possible` there.
        unreachable!("{unsupported}");
    }
    // The bits of a float without its sign order like its magnitude, with infinity and NaN on top.
    let magnitude = |v: &f32| v.to_bits() & 0x7fff_ffff;
    let top = weights.iter().map(magnitude).max().unwrap_or(0);
    if top >= f32::INFINITY.to_bits()
        && let Some(at) = swallow_quant::first_non_finite(weights)
    {
        return Some(BadWeight {
            at,
            value: weights[at],
        });
    }
    if let Err(unsupported) = quantize(weights, dst) {
        // As above: the plan has seen to it that this type is written.
        unreachable!("{unsupported}");
    }
    if top < LARGE.to_bits() || to == GgmlType::F32 {
        return None;
    }
    let at = weights.iter().position(|v| magnitude(v) == top)?;
    let value = weights[at];
    if let Err(unsupported) = swallow_quant::dequantize(to, dst, weights) {
        unreachable!("{unsupported}");
    }
    swallow_quant::first_non_finite(weights).map(|_| BadWeight { at, value })
}
