//! Rows of weights to rows of blocks: scales are searched, then blocks encoded.
//!
//! [`scalar`] goes block by block through the reference searches. [`lanes`] fills the lanes of a
//! search with the sub-blocks of as many blocks as it takes; where a row ends early, the rest of
//! the lanes hold zeros and their results are dropped.
//!
//! Everything under [`lanes`] is `#[inline(always)]` and free of closures that the compiler could
//! leave as functions of their own: it has to end up in the function that switches an
//! instruction set on (see [`crate::dispatch`]).

use crate::float::{f32_to_bf16, f32_to_f16};
use crate::formats::{five_bit, four_bit, q2_k, q4_k, q5_k, q6_k, q8_0};
use crate::search::lanes::Lanes;
use crate::search::{self, ScaleAndMinSearch};
use crate::{GgmlType, Unsupported};

/// Quantizes with the scalar reference.
pub(crate) fn scalar(ty: GgmlType, src: &[f32], dst: &mut [u8]) -> Result<(), Unsupported> {
    match ty {
        GgmlType::Q2_K => scalar_scale_and_min::<16, 16, _>(src, dst, search::Q2_K, q2_k::encode),
        GgmlType::Q4_K => scalar_scale_and_min::<32, 8, _>(src, dst, search::Q4_K, q4_k::encode),
        GgmlType::Q5_K => scalar_scale_and_min::<32, 8, _>(src, dst, search::Q5_K, q5_k::encode),
        GgmlType::Q6_K => {
            for (x, block) in blocks::<256, { q6_k::BYTES }>(src, dst) {
                let mut scales = [0.0; 16];
                for (scale, x) in scales.iter_mut().zip(x.as_chunks().0) {
                    *scale = search::scalar::scale(x).scale;
                }
                q6_k::encode(x, &scales, block);
            }
        }
        GgmlType::Q8_0 => {
            for (x, block) in blocks(src, dst) {
                q8_0::encode(x, search::scalar::magnitude(x), block);
            }
        }
        GgmlType::Q4_0 => {
            for (x, block) in blocks(src, dst) {
                four_bit::encode_q4_0(x, search::scalar::largest(x), block);
            }
        }
        GgmlType::Q4_1 => {
            for (x, block) in blocks(src, dst) {
                four_bit::encode_q4_1(x, search::scalar::range(x), block);
            }
        }
        GgmlType::Q5_0 => {
            for (x, block) in blocks(src, dst) {
                five_bit::encode_q5_0(x, search::scalar::largest(x), block);
            }
        }
        GgmlType::Q5_1 => {
            for (x, block) in blocks(src, dst) {
                five_bit::encode_q5_1(x, search::scalar::range(x), block);
            }
        }
        _ => return numbers(ty, src, dst),
    }
    Ok(())
}

fn scalar_scale_and_min<const LEN: usize, const SUB_BLOCKS: usize, const BYTES: usize>(
    src: &[f32],
    dst: &mut [u8],
    search: ScaleAndMinSearch,
    encode: impl Fn(&[f32; 256], &[f32; SUB_BLOCKS], &[f32; SUB_BLOCKS], &mut [u8; BYTES]),
) {
    for (x, block) in blocks::<256, BYTES>(src, dst) {
        let (mut scales, mut mins) = ([0.0; SUB_BLOCKS], [0.0; SUB_BLOCKS]);
        for (j, x) in x.as_chunks::<LEN>().0.iter().enumerate() {
            let found = search::scalar::scale_and_min(x, search);
            (scales[j], mins[j]) = (found.scale, found.min);
        }
        encode(x, &scales, &mins, block);
    }
}

/// Quantizes with `N` lanes, where `N` is 16 or 32.
#[inline(always)]
pub(crate) fn lanes<const N: usize>(
    ty: GgmlType,
    src: &[f32],
    dst: &mut [u8],
) -> Result<(), Unsupported> {
    match ty {
        GgmlType::Q2_K => lanes_scale_and_min::<N, 16, 16, _>(src, dst, search::Q2_K, q2_k::encode),
        GgmlType::Q4_K => lanes_scale_and_min::<N, 32, 8, _>(src, dst, search::Q4_K, q4_k::encode),
        GgmlType::Q5_K => lanes_scale_and_min::<N, 32, 8, _>(src, dst, search::Q5_K, q5_k::encode),
        GgmlType::Q6_K => lanes_scale::<N>(src, dst),
        GgmlType::Q8_0 => {
            for (x, block) in blocks(src, dst) {
                q8_0::encode(x, search::lanes::magnitude(x), block);
            }
        }
        GgmlType::Q4_0 => {
            for (x, block) in blocks(src, dst) {
                four_bit::encode_q4_0(x, search::lanes::largest(x), block);
            }
        }
        GgmlType::Q4_1 => {
            for (x, block) in blocks(src, dst) {
                four_bit::encode_q4_1(x, search::lanes::range(x), block);
            }
        }
        GgmlType::Q5_0 => {
            for (x, block) in blocks(src, dst) {
                five_bit::encode_q5_0(x, search::lanes::largest(x), block);
            }
        }
        GgmlType::Q5_1 => {
            for (x, block) in blocks(src, dst) {
                five_bit::encode_q5_1(x, search::lanes::range(x), block);
            }
        }
        _ => return numbers(ty, src, dst),
    }
    Ok(())
}

#[inline(always)]
fn lanes_scale_and_min<
    const N: usize,
    const LEN: usize,
    const SUB_BLOCKS: usize,
    const BYTES: usize,
>(
    src: &[f32],
    dst: &mut [u8],
    search: ScaleAndMinSearch,
    encode: impl Fn(&[f32; 256], &[f32; SUB_BLOCKS], &[f32; SUB_BLOCKS], &mut [u8; BYTES]),
) {
    let rows = src.as_chunks::<256>().0.chunks(N / SUB_BLOCKS);
    for (x, dst) in rows.zip(dst.as_chunks_mut::<BYTES>().0.chunks_mut(N / SUB_BLOCKS)) {
        let lanes = to_lanes::<N, LEN>(x.as_flattened());
        let (scales, mins) = search::lanes::scale_and_min(&lanes, search);
        let scales = scales.as_chunks().0.iter().zip(mins.as_chunks().0);
        for ((x, block), (scales, mins)) in x.iter().zip(dst).zip(scales) {
            encode(x, scales, mins, block);
        }
    }
}

#[inline(always)]
fn lanes_scale<const N: usize>(src: &[f32], dst: &mut [u8]) {
    let rows = src.as_chunks::<256>().0.chunks(N / 16);
    for (x, dst) in rows.zip(dst.as_chunks_mut().0.chunks_mut(N / 16)) {
        let lanes = to_lanes::<N, 16>(x.as_flattened());
        let scales = search::lanes::scale(&lanes);
        for ((x, block), scales) in x.iter().zip(dst).zip(scales.as_chunks().0) {
            q6_k::encode(x, scales, block);
        }
    }
}

/// Puts up to `N` sub-blocks of `LEN` weights into a lane each; lanes without one are zero.
#[inline(always)]
fn to_lanes<const N: usize, const LEN: usize>(x: &[f32]) -> Lanes<N, LEN> {
    let mut lanes = Lanes::ZERO;
    for (n, x) in x.as_chunks::<LEN>().0.iter().enumerate() {
        for (lanes, &x) in lanes.0.iter_mut().zip(x) {
            lanes[n] = x;
        }
    }
    lanes
}

/// The types that store every weight by itself.
#[inline(always)]
fn numbers(ty: GgmlType, src: &[f32], dst: &mut [u8]) -> Result<(), Unsupported> {
    match ty {
        GgmlType::F32 => {
            for ([x], number) in blocks(src, dst) {
                *number = x.to_le_bytes();
            }
        }
        GgmlType::F16 => {
            for ([x], number) in blocks(src, dst) {
                *number = f32_to_f16(*x).to_le_bytes();
            }
        }
        GgmlType::BF16 => {
            for ([x], number) in blocks(src, dst) {
                *number = f32_to_bf16(*x).to_le_bytes();
            }
        }
        _ => {
            return Err(Unsupported {
                ty,
                what: "quantize to",
            });
        }
    }
    Ok(())
}

/// The blocks of a row beside their places in the output.
#[inline(always)]
fn blocks<'a, const LEN: usize, const BYTES: usize>(
    src: &'a [f32],
    dst: &'a mut [u8],
) -> impl Iterator<Item = (&'a [f32; LEN], &'a mut [u8; BYTES])> {
    src.as_chunks().0.iter().zip(dst.as_chunks_mut().0)
}
