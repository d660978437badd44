//! One chunk: source numbers → f32 → checked → blocks, on all threads of the pool.

use rayon::prelude::*;
use swallow_quant::{GgmlType, Isa};

use super::{
    chunks::{self, Chunk},
    error::ConvertError,
};
use crate::{
    model::TensorData,
    plan::PlannedTensor,
    source::{Checkpoint, Dtype},
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
}

/// Quantizes the chunk's `src` bytes into `dst`, which is resized to fit.
pub(super) fn quantize_chunk(
    checkpoint: &Checkpoint,
    tensor: &PlannedTensor,
    chunk: &Chunk,
    src: &[u8],
    isa: Isa,
    dst: &mut Vec<u8>,
) -> Result<(), ConvertError> {
    let ty = tensor.info.ty;
    let (dtype, name) = match &tensor.data {
        TensorData::Computed(_) => (Dtype::F32, tensor.info.name.as_str()),
        TensorData::Rows { parts, .. } => {
            let part = &parts[chunk.part];
            (part.dtype, part.tensor.as_str())
        }
    };
    let n = src.len() / dtype.bytes();
    dst.resize(n / ty.block_len() * ty.block_bytes(), 0);

    let task_bytes = TASK_WEIGHTS / ty.block_len() * ty.block_bytes();
    let first_bad = src
        .par_chunks(TASK_WEIGHTS * dtype.bytes())
        .zip(dst.par_chunks_mut(task_bytes))
        .enumerate()
        .map_init(
            || vec![0.0; TASK_WEIGHTS],
            |weights, (task, (src, dst))| {
                let weights = &mut weights[..src.len() / dtype.bytes()];
                dtype.to_f32(src, weights);
                let bad = quantize_task(ty, isa, weights, dst);
                bad.map(|bad| BadWeight {
                    at: task * TASK_WEIGHTS + bad.at,
                    ..bad
                })
            },
        )
        .flatten()
        .min_by_key(|bad| bad.at);

    let Some(BadWeight { at, value }) = first_bad else {
        return Ok(());
    };
    let shape = checkpoint.tensors.get(name).map_or(&[][..], |t| &t.shape);
    let index = chunks::source_index(tensor, chunk, shape, chunk.weights.start + at as u64);
    let tensor = name.to_owned();
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

/// Quantizes `weights`, unless one of them is not finite or does not fit.
fn quantize_task(ty: GgmlType, isa: Isa, weights: &mut [f32], dst: &mut [u8]) -> Option<BadWeight> {
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
    if let Err(unsupported) = swallow_quant::quantize(ty, isa, weights, dst) {
        // The mix chooses among the types that we write; the tests hold it to that.
        unreachable!("{unsupported}");
    }
    if top < LARGE.to_bits() || ty == GgmlType::F32 {
        return None;
    }
    let at = weights.iter().position(|v| magnitude(v) == top)?;
    let value = weights[at];
    if let Err(unsupported) = swallow_quant::dequantize(ty, dst, weights) {
        unreachable!("{unsupported}");
    }
    swallow_quant::first_non_finite(weights).map(|_| BadWeight { at, value })
}
