//! Q8_0: 32 weights in 34 bytes: an f16 scale, then the levels -127 to 127 as signed bytes.

use super::read_f16;
use crate::float::f32_to_f16;
use crate::rounding::round_half_away;

/// Bytes of a block.
pub(crate) const BYTES: usize = 34;

/// Makes a block, given the largest magnitude in it. `ROUNDS` is told at
/// [`crate::rounding::nearest`].
#[inline(always)]
pub(crate) fn encode<const ROUNDS: bool>(x: &[f32; 32], magnitude: f32, block: &mut [u8; BYTES]) {
    let scale = magnitude / 127.0;
    let per_scale = if scale != 0.0 { 1.0 / scale } else { 0.0 };
    block[..2].copy_from_slice(&f32_to_f16(scale).to_le_bytes());
    // By way of an array of its own: the compiler cannot know that `x` and `block` do not overlap.
    let mut levels = [0; 32];
    for (level, x) in levels.iter_mut().zip(x) {
        *level = round_half_away::<ROUNDS>(x * per_scale) as u8;
    }
    block[2..].copy_from_slice(&levels);
}

/// Reads a block back.
#[inline(always)]
pub(crate) fn decode(block: &[u8; BYTES], y: &mut [f32; 32]) {
    let scale = read_f16(block, 0);
    for (y, &byte) in y.iter_mut().zip(&block[2..]) {
        *y = f32::from(byte as i8) * scale;
    }
}
