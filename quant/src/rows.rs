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
use crate::formats::{five_bit, four_bit, iq4_nl, iq4_xs, q2_k, q3_k, q4_k, q5_k, q6_k, q8_0};
use crate::search::lanes::Lanes;
use crate::search::{self, ScaleAndMinSearch};
use crate::{GgmlType, Unsupported};

/// Quantizes with the scalar reference.
pub(crate) fn scalar(ty: GgmlType, src: &[f32], dst: &mut [u8]) -> Result<(), Unsupported> {
    match ty {
        GgmlType::Q2_K => scalar_scale_and_min::<16, 16, _>(src, dst, search::Q2_K, q2_k::encode),
        GgmlType::Q4_K => scalar_scale_and_min::<32, 8, _>(src, dst, search::Q4_K, q4_k::encode),
        GgmlType::Q5_K => scalar_scale_and_min::<32, 8, _>(src, dst, search::Q5_K, q5_k::encode),
        GgmlType::Q3_K => scalar_scale(
            src,
            dst,
            |x| search::scalar::refined_scale(x).scale,
            q3_k::encode,
        ),
        GgmlType::Q6_K => scalar_scale(src, dst, |x| search::scalar::scale(x).scale, q6_k::encode),
        GgmlType::IQ4_NL => scalar_scale(src, dst, search::scalar::grid_scale, iq4_nl::encode),
        GgmlType::IQ4_XS => scalar_scale(src, dst, search::scalar::grid_scale, iq4_xs::encode),
        GgmlType::Q8_0 => {
            for (x, block) in blocks(src, dst) {
                q8_0::encode::<false>(x, search::scalar::magnitude(x), block);
            }
        }
        GgmlType::Q4_0 => {
            for (x, block) in blocks(src, dst) {
                four_bit::encode_q4_0::<false>(x, search::scalar::largest(x), block);
            }
        }
        GgmlType::Q4_1 => {
            for (x, block) in blocks(src, dst) {
                four_bit::encode_q4_1::<false>(x, search::scalar::range(x), block);
            }
        }
        GgmlType::Q5_0 => {
            for (x, block) in blocks(src, dst) {
                five_bit::encode_q5_0::<false>(x, search::scalar::largest(x), block);
            }
        }
        GgmlType::Q5_1 => {
            for (x, block) in blocks(src, dst) {
                five_bit::encode_q5_1::<false>(x, search::scalar::range(x), block);
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

fn scalar_scale<
    const LEN: usize,
    const SUB_BLOCKS: usize,
    const BLOCK: usize,
    const BYTES: usize,
>(
    src: &[f32],
    dst: &mut [u8],
    search: impl Fn(&[f32; LEN]) -> f32,
    encode: impl Fn(&[f32; BLOCK], &[f32; SUB_BLOCKS], &mut [u8; BYTES]),
) {
    for (x, block) in blocks(src, dst) {
        let mut scales = [0.0; SUB_BLOCKS];
        for (scale, x) in scales.iter_mut().zip(x.as_chunks().0) {
            *scale = search(x);
        }
        encode(x, &scales, block);
    }
}

/// For each group of blocks whose sub-blocks fill `$n` lanes: searches their scales (and minimums),
/// and makes the blocks.
///
/// Not a function with the search and the format as parameters: what is called through a
/// parameter is a function of its own, which the instruction set is not switched on for.
macro_rules! search_in_lanes {
    (
        $n:ident, $sub_blocks:literal of $len:literal, $src:ident, $dst:ident,
        $x:ident => $search:expr,
        $encode:path, $($found:ident),+
    ) => {{
        let groups = $src.as_chunks().0.chunks($n / $sub_blocks);
        let blocks = $dst.as_chunks_mut().0.chunks_mut($n / $sub_blocks);
        let mut $x = Lanes::<$n, $len>::ZERO;
        for (x, blocks) in groups.zip(blocks) {
            $x.fill(x.as_flattened().as_chunks().0);
            #[allow(unused_parens, reason = "some searches find one thing, some two")]
            let ($($found),+) = $search;
            for (i, (x, block)) in x.iter().zip(blocks).enumerate() {
                $encode(x, $(&$found.as_chunks::<$sub_blocks>().0[i]),+, block);
            }
        }
    }};
}

/// Quantizes with `N` lanes, where `N` is 16 or 32. `ROUNDS` is told at
/// [`crate::rounding::nearest`].
#[inline(always)]
pub(crate) fn lanes<const N: usize, const ROUNDS: bool>(
    ty: GgmlType,
    src: &[f32],
    dst: &mut [u8],
) -> Result<(), Unsupported> {
    match ty {
        GgmlType::Q2_K => {
            search_in_lanes!(
                N, 16 of 16, src, dst,
                x => search::lanes::scale_and_min::<N, 16, ROUNDS>(&x, search::Q2_K),
                q2_k::encode, scales, mins
            )
        }
        GgmlType::Q4_K => {
            search_in_lanes!(
                N, 8 of 32, src, dst,
                x => search::lanes::scale_and_min::<N, 32, ROUNDS>(&x, search::Q4_K),
                q4_k::encode, scales, mins
            )
        }
        GgmlType::Q5_K => {
            search_in_lanes!(
                N, 8 of 32, src, dst,
                x => search::lanes::scale_and_min::<N, 32, ROUNDS>(&x, search::Q5_K),
                q5_k::encode, scales, mins
            )
        }
        GgmlType::Q3_K => {
            const BLOCKS: usize = 64;
            let groups = src.as_chunks::<256>().0.chunks(BLOCKS);
            for (x, blocks) in groups.zip(dst.as_chunks_mut().0.chunks_mut(BLOCKS)) {
                let sub_blocks = x.as_flattened().as_chunks().0;
                let scales =
                    search::lanes::refined_scales::<N, { 16 * BLOCKS }, ROUNDS>(sub_blocks);
                for ((x, scales), block) in x.iter().zip(scales.as_chunks().0).zip(blocks) {
                    q3_k::encode(x, scales, block);
                }
            }
        }
        GgmlType::Q6_K => {
            search_in_lanes!(
                N, 16 of 16, src, dst,
                x => search::lanes::scale::<N, ROUNDS>(&x),
                q6_k::encode, scales
            )
        }
        GgmlType::IQ4_NL => {
            search_in_lanes!(
                N, 1 of 32, src, dst,
                x => search::lanes::grid_scale(&x),
                iq4_nl::encode, scales
            )
        }
        GgmlType::IQ4_XS => {
            search_in_lanes!(
                N, 8 of 32, src, dst,
                x => search::lanes::grid_scale(&x),
                iq4_xs::encode, scales
            )
        }
        GgmlType::Q8_0 => {
            for (x, block) in blocks(src, dst) {
                q8_0::encode::<ROUNDS>(x, search::lanes::magnitude(x), block);
            }
        }
        GgmlType::Q4_0 => {
            for (x, block) in blocks(src, dst) {
                four_bit::encode_q4_0::<ROUNDS>(x, search::lanes::largest(x), block);
            }
        }
        GgmlType::Q4_1 => {
            for (x, block) in blocks(src, dst) {
                four_bit::encode_q4_1::<ROUNDS>(x, search::lanes::range(x), block);
            }
        }
        GgmlType::Q5_0 => {
            for (x, block) in blocks(src, dst) {
                five_bit::encode_q5_0::<ROUNDS>(x, search::lanes::largest(x), block);
            }
        }
        GgmlType::Q5_1 => {
            for (x, block) in blocks(src, dst) {
                five_bit::encode_q5_1::<ROUNDS>(x, search::lanes::range(x), block);
            }
        }
        _ => return numbers(ty, src, dst),
    }
    Ok(())
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
            return Err(Unsupported::quantize(ty));
        }
    }
    Ok(())
}

/// The blocks of a row beside their places in the output.
#[inline(always)]
pub(crate) fn blocks<'a, const LEN: usize, const BYTES: usize>(
    src: &'a [f32],
    dst: &'a mut [u8],
) -> impl Iterator<Item = (&'a [f32; LEN], &'a mut [u8; BYTES])> {
    src.as_chunks().0.iter().zip(dst.as_chunks_mut().0)
}
