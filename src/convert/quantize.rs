//! One chunk: source numbers → f32 → checked (→ edited, in a merge) → blocks, on all threads of the
//! pool.

use rayon::prelude::*;
use swallow_quant::{GgmlType, Isa, Unsupported};

use super::{
    block_writer::BlockWriter,
    chunks::{self, Chunk},
    error::ConvertError,
};
use crate::{
    model::{Edit, Part},
    plan::ConversionPlan,
};

/// Weights that one thread takes at a time: their f32 values stay in its cache. A multiple of
/// every block length.
const TASK_WEIGHTS: usize = 1 << 14;

/// Weights above this may not fit the f16 scales and numbers of the types we write.
const LARGE: f32 = 6e4;

/// What is wrong with a weight, at its place in the chunk.
struct BadWeight {
    at: usize,
    value: f32,
    /// The type that it does not fit.
    ty: GgmlType,
}

/// Quantizes the chunk's `src` bytes into `dst`, which is resized to fit.
pub(super) fn quantize_chunk(
    plan: &ConversionPlan,
    chunk: &Chunk,
    src: &[u8],
    isa: Isa,
    dst: &mut Vec<u8>,
) -> Result<(), ConvertError> {
    let (from, to) = (chunk.source_type(plan), plan.tensors[chunk.tensor].info.ty);
    let writer = BlockWriter::new(plan, chunk, isa);
    let task_weights = writer.task_weights(TASK_WEIGHTS);
    dst.resize(bytes_of(to, chunk.len() as usize), 0);
    let edit = chunk.part(plan).and_then(|part: &Part| part.edit.as_ref());

    let first_bad = src
        .par_chunks(bytes_of(from, task_weights))
        .zip(dst.par_chunks_mut(bytes_of(to, task_weights)))
        .enumerate()
        .map_init(
            || vec![0.0; task_weights],
            |weights, (task, (src, dst))| {
                let n = src.len() / from.block_bytes() * from.block_len();
                let weights = &mut weights[..n];
                let first = task * task_weights;
                let bad = if from == to && edit.is_none() {
                    copy_task(from, src, weights, dst)
                } else {
                    dequantize(from, src, weights);
                    let first_of_part = chunk.weights.start + first as u64;
                    edit.and_then(|edit| edit_weights((edit, first_of_part), from, src, weights))
                        .or_else(|| {
                            let blocks =
                                |weights: &[f32], dst: &mut [u8]| writer.write(first, weights, dst);
                            quantize_task(to, weights, dst, blocks)
                        })
                };
                bad.map(|bad| BadWeight {
                    at: first + bad.at,
                    ..bad
                })
            },
        )
        .flatten()
        .min_by_key(|bad| bad.at);

    let Some(BadWeight { at, value, ty }) = first_bad else {
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
            ty,
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

/// Copies what stays of its type, and looks whether its weights are finite where that can be told.
fn copy_task(ty: GgmlType, src: &[u8], weights: &mut [f32], dst: &mut [u8]) -> Option<BadWeight> {
    dst.copy_from_slice(src);
    swallow_quant::dequantize(ty, src, weights).ok()?;
    non_finite(weights, ty)
}

fn non_finite(weights: &[f32], ty: GgmlType) -> Option<BadWeight> {
    let at = swallow_quant::first_non_finite(weights)?;
    let value = weights[at];
    Some(BadWeight { at, value, ty })
}

/// Edits weights, which have been read from `src`, unless one of them is not finite or does not fit
/// the format that they are edited to. The first is weight `first` of the part.
fn edit_weights(
    (edit, first): (&Edit, u64),
    from: GgmlType,
    src: &[u8],
    weights: &mut [f32],
) -> Option<BadWeight> {
    let ty = edit.dtype().ggml_type();
    if let Some(bad) = non_finite(weights, ty) {
        return Some(bad);
    }
    edit.apply(weights, first);
    let at = swallow_quant::first_non_finite(weights)?;
    // What it was before, for a message that helps.
    dequantize(from, src, weights);
    let value = weights[at];
    Some(BadWeight { at, value, ty })
}

fn dequantize(ty: GgmlType, src: &[u8], weights: &mut [f32]) {
    if let Err(unsupported) = swallow_quant::dequantize(ty, src, weights) {
        // The plan has seen to it that this type is read; see `require_possible` there.
        unreachable!("{unsupported}");
    }
}

/// Quantizes weights by `blocks`, unless one of them is not finite or does not fit. Spoils `weights`
/// then.
fn quantize_task(
    to: GgmlType,
    weights: &mut [f32],
    dst: &mut [u8],
    blocks: impl FnOnce(&[f32], &mut [u8]) -> Result<(), Unsupported>,
) -> Option<BadWeight> {
    let top = swallow_quant::largest_magnitude(weights);
    if !top.is_finite()
        && let Some(bad) = non_finite(weights, to)
    {
        return Some(bad);
    }
    if let Err(unsupported) = blocks(weights, dst) {
        // As above: the plan has seen to it that this type is written.
        unreachable!("{unsupported}");
    }
    if top < LARGE || to == GgmlType::F32 {
        return None;
    }
    let at = weights.iter().position(|v| v.abs() == top)?;
    let value = weights[at];
    dequantize(to, dst, weights);
    swallow_quant::first_non_finite(weights).map(|_| BadWeight { at, value, ty: to })
}
