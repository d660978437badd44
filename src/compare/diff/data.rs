//! The tensors of two files, chunk by chunk on all cores.

use std::ops::Range;

use rayon::prelude::*;
use swallow_quant::can_dequantize;

use super::{BlockDiff, DataDiff, Sides, TensorDiff};
use crate::{
    compare::{
        CompareError, Deviation,
        file::{self, WeightFile, dequantize},
    },
    gguf::TensorInfo,
};

/// The two tensors of one name and shape.
#[derive(Clone, Copy)]
struct Pair<'a> {
    a: &'a TensorInfo,
    b: &'a TensorInfo,
}

/// A chunk of a pair, and that pair's index.
struct Chunk<'a> {
    at: usize,
    pair: Pair<'a>,
    weights: Range<u64>,
}

/// What of a chunk differs.
enum Compared {
    /// No byte.
    Equal,
    /// Of a pair of the same type: how many blocks, and the first in the tensor. How far apart the
    /// weights are, where they can be computed.
    Differs {
        blocks: Option<(u64, u64)>,
        deviation: Option<Deviation>,
    },
}

/// Buffers that a thread takes from chunk to chunk.
#[derive(Default)]
struct Buffers {
    bytes: [Vec<u8>; 2],
    weights: [Vec<f32>; 2],
}

/// The tensors that differ: in A's order, then those that only B has.
pub(super) fn diff_tensors(
    a: &WeightFile,
    b: &WeightFile,
) -> Result<Vec<TensorDiff>, CompareError> {
    let pairs: Vec<Pair<'_>> = a
        .gguf
        .tensors
        .iter()
        .filter_map(|info| Some((info, b.tensor(&info.name)?)))
        .filter(|(a, b)| a.shape() == b.shape())
        .map(|(a, b)| Pair { a, b })
        .collect();
    let mut data = diff_data(a, b, &pairs)?.into_iter();

    let of_a = a.gguf.tensors.iter().filter_map(|info| {
        let Some(other) = b.tensor(&info.name) else {
            return Some(TensorDiff {
                infos: Sides::OnlyA(info.clone()),
                data: None,
            });
        };
        let data = if info.shape() == other.shape() {
            data.next().flatten()
        } else {
            None
        };
        (info != other || data.is_some()).then(|| TensorDiff {
            infos: Sides::Both(info.clone(), other.clone()),
            data,
        })
    });
    let only_b = b
        .gguf
        .tensors
        .iter()
        .filter(|info| a.tensor(&info.name).is_none());
    let only_b = only_b.map(|info| TensorDiff {
        infos: Sides::OnlyB(info.clone()),
        data: None,
    });
    Ok(of_a.chain(only_b).collect())
}

/// For each pair what of its weights differs.
fn diff_data(
    a: &WeightFile,
    b: &WeightFile,
    pairs: &[Pair<'_>],
) -> Result<Vec<Option<DataDiff>>, CompareError> {
    let chunks: Vec<Chunk<'_>> = pairs
        .iter()
        .enumerate()
        .flat_map(|(at, &pair)| {
            file::chunks(pair.a.elements()).map(move |weights| Chunk { at, pair, weights })
        })
        .collect();
    let compared: Vec<Compared> = chunks
        .par_iter()
        .enumerate()
        .map_init(Buffers::default, |buffers, (index, chunk)| {
            if let Some(next) = chunks.get(index + 1) {
                a.prefetch(next.pair.a, &next.weights);
                b.prefetch(next.pair.b, &next.weights);
            }
            compare(a, b, chunk, buffers)
        })
        .collect::<Result<_, _>>()?;

    let mut diffs: Vec<Option<DataDiff>> = vec![None; pairs.len()];
    for (chunk, compared) in chunks.iter().zip(&compared) {
        if let Compared::Differs { blocks, deviation } = compared {
            let diff = diffs[chunk.at].get_or_insert_with(|| nothing_yet(chunk.pair));
            add(diff, *blocks, deviation.as_ref());
        }
    }

    // An error is relative to all of A's weights: where only some chunks differ, the others are
    // missing yet.
    let equal_chunks: Vec<&Chunk<'_>> = chunks
        .iter()
        .zip(&compared)
        .filter(|(chunk, compared)| {
            let differs = diffs[chunk.at]
                .as_ref()
                .is_some_and(|d| d.deviation.is_ok());
            differs && matches!(compared, Compared::Equal)
        })
        .map(|(chunk, _)| chunk)
        .collect();
    let equal: Vec<Deviation> = equal_chunks
        .par_iter()
        .map_init(Buffers::default, |buffers, chunk| {
            let [bytes, _] = &mut buffers.bytes;
            a.read(chunk.pair.a, &chunk.weights, bytes)?;
            dequantize(chunk.pair.a.ty, bytes, &mut buffers.weights[0]);
            let mut equal = Deviation::default();
            equal.add_equal(&buffers.weights[0]);
            Ok(equal)
        })
        .collect::<Result<_, CompareError>>()?;
    for (chunk, equal) in equal_chunks.iter().zip(&equal) {
        if let Some(diff) = &mut diffs[chunk.at] {
            add(diff, None, Some(equal));
        }
    }
    Ok(diffs)
}

fn nothing_yet(Pair { a, b }: Pair<'_>) -> DataDiff {
    let unreadable = [a.ty, b.ty].into_iter().find(|&ty| !can_dequantize(ty));
    DataDiff {
        blocks: (a.ty == b.ty).then(|| BlockDiff {
            differing: 0,
            total: a.elements() / a.ty.block_len() as u64,
            first: 0,
        }),
        deviation: unreadable.map_or(Ok(Deviation::default()), Err),
    }
}

/// Adds a chunk that follows in the tensor.
fn add(diff: &mut DataDiff, blocks: Option<(u64, u64)>, deviation: Option<&Deviation>) {
    if let (Some(sum), Some((differing, first))) = (&mut diff.blocks, blocks) {
        if sum.differing == 0 {
            sum.first = first;
        }
        sum.differing += differing;
    }
    if let (Ok(sum), Some(deviation)) = (&mut diff.deviation, deviation) {
        sum.add(deviation);
    }
}

fn compare(
    a: &WeightFile,
    b: &WeightFile,
    Chunk { pair, weights, .. }: &Chunk<'_>,
    buffers: &mut Buffers,
) -> Result<Compared, CompareError> {
    let [bytes_a, bytes_b] = &mut buffers.bytes;
    let (ty_a, ty_b) = (pair.a.ty, pair.b.ty);
    let readable = can_dequantize(ty_a) && can_dequantize(ty_b);
    if ty_a != ty_b && !readable {
        return Ok(Compared::Differs {
            blocks: None,
            deviation: None,
        });
    }
    a.read(pair.a, weights, bytes_a)?;
    b.read(pair.b, weights, bytes_b)?;
    if ty_a == ty_b && bytes_a == bytes_b {
        return Ok(Compared::Equal);
    }
    let blocks = (ty_a == ty_b).then(|| {
        let block_bytes = ty_a.block_bytes();
        let pairs = bytes_a.chunks(block_bytes).zip(bytes_b.chunks(block_bytes));
        let mut differing = (weights.start / ty_a.block_len() as u64..)
            .zip(pairs)
            .filter(|(_, (a, b))| a != b)
            .map(|(block, _)| block);
        // Some block differs, because the bytes do.
        let first = differing.next().unwrap_or_default();
        (1 + differing.count() as u64, first)
    });
    let deviation = readable.then(|| {
        let [weights_a, weights_b] = &mut buffers.weights;
        dequantize(ty_a, bytes_a, weights_a);
        dequantize(ty_b, bytes_b, weights_b);
        let block_len = ty_a.block_len().max(ty_b.block_len());
        let first_block = weights.start / block_len as u64;
        Deviation::measure(weights_a, weights_b, block_len, first_block)
    });
    Ok(Compared::Differs { blocks, deviation })
}
