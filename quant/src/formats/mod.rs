//! The block formats: how levels and scales lie in the bytes of a block.
//!
//! `encode` makes a block of weights whose scales are already found (see [`crate::search`]),
//! `decode` reads one back. Both are plain loops over arrays of fixed length, the same code for
//! every instruction set: compiled into a kernel for AVX2 they are AVX2 code.

pub(crate) mod five_bit;
pub(crate) mod four_bit;
pub(crate) mod iq4_nl;
pub(crate) mod iq4_xs;
pub(crate) mod q2_k;
pub(crate) mod q3_k;
pub(crate) mod q4_k;
pub(crate) mod q5_k;
pub(crate) mod q6_k;
pub(crate) mod q8_0;
pub(crate) mod six_bit_scales;
mod two_bits;

use crate::float::f16_to_f32;
use crate::rounding::integer_part;

/// The f16 at byte `at` of a block, as f32.
#[inline(always)]
fn read_f16(block: &[u8], at: usize) -> f32 {
    f16_to_f32(u16::from_le_bytes([block[at], block[at + 1]]))
}

/// Scale and levels of Q4_0 (`HALF` 8) and Q5_0 (16), where the level `HALF` is zero. `largest` is
/// the first of the weights that are largest in magnitude; it gets level 0. The levels are whole
/// numbers, as floats. `ROUNDS` is told at [`crate::rounding::nearest`].
#[inline(always)]
fn levels_around_zero<const HALF: i8, const ROUNDS: bool>(
    x: &[f32; 32],
    largest: f32,
) -> (f32, [f32; 32]) {
    let half = f32::from(HALF);
    let scale = largest / -half;
    let (per_scale, zero) = reciprocal(scale, half + 0.5);
    // Loops, not closures: a closure would be compiled without the caller's instruction set.
    let mut levels = [0.0; 32];
    for (level, x) in levels.iter_mut().zip(x) {
        let whole = integer_part::<ROUNDS>(x * per_scale + zero);
        *level = if whole > 2.0 * half - 1.0 {
            2.0 * half - 1.0
        } else {
            whole
        };
    }
    (scale, levels)
}

/// Scale and levels of Q4_1 (`MAX` 15) and Q5_1 (31), where level 0 is the smallest weight and
/// `MAX` the largest: it is multiplied to `MAX`, give or take a rounding, so no limit is needed.
#[inline(always)]
fn levels_above<const MAX: i8, const ROUNDS: bool>(
    x: &[f32; 32],
    min: f32,
    max: f32,
) -> (f32, [f32; 32]) {
    let scale = (max - min) / f32::from(MAX);
    let (per_scale, half) = reciprocal(scale, 0.5);
    let mut levels = [0.0; 32];
    for (level, x) in levels.iter_mut().zip(x) {
        *level = integer_part::<ROUNDS>((x - min) * per_scale + half);
    }
    (scale, levels)
}

/// The reciprocal of a scale, 0 for 0, and what is added to a product with it. Where the reciprocal
/// is infinite all levels are to be 0, as in ggml, where an infinity becomes a level by way of i8.
#[inline(always)]
fn reciprocal(scale: f32, added: f32) -> (f32, f32) {
    let per_scale = if scale != 0.0 { 1.0 / scale } else { 0.0 };
    if per_scale.is_infinite() {
        (0.0, 0.0)
    } else {
        (per_scale, added)
    }
}
