//! Q5_0 and Q5_1: 32 weights in 22 or 24 bytes, levels 0 to 31.
//!
//! ```text
//! byte 0..2   scale, f16
//! byte 2..4   minimum, f16 (Q5_1 only; in Q5_0 the level 16 is zero)
//! 4 bytes     bit i is the fifth bit of weight i
//! 16 bytes    byte i holds the lower bits of weight i in its low half, of weight i+16 in its high
//! ```

use super::{four_bit, levels_above, levels_around_zero, read_f16};
use crate::float::f32_to_f16;

/// Bytes of a Q5_0 block.
pub(crate) const Q5_0_BYTES: usize = 22;

/// Bytes of a Q5_1 block.
pub(crate) const Q5_1_BYTES: usize = 24;

/// Makes a Q5_0 block, given the first of the weights that are largest in magnitude.
#[inline(always)]
pub(crate) fn encode_q5_0<const ROUNDS: bool>(
    x: &[f32; 32],
    largest: f32,
    block: &mut [u8; Q5_0_BYTES],
) {
    let (scale, levels) = levels_around_zero::<16, ROUNDS>(x, largest);
    store_q5_0(scale, &levels, block);
}

/// Stores a Q5_0 block.
#[inline(always)]
pub(crate) fn store_q5_0(
    scale: f32,
    levels: &[impl Into<f32> + Copy; 32],
    block: &mut [u8; Q5_0_BYTES],
) {
    block[..2].copy_from_slice(&f32_to_f16(scale).to_le_bytes());
    store_levels(levels, &mut block[2..]);
}

/// Makes a Q5_1 block, given its smallest and largest weight.
#[inline(always)]
pub(crate) fn encode_q5_1<const ROUNDS: bool>(
    x: &[f32; 32],
    (min, max): (f32, f32),
    block: &mut [u8; Q5_1_BYTES],
) {
    let (scale, levels) = levels_above::<31, ROUNDS>(x, min, max);
    store_q5_1(scale, min, &levels, block);
}

/// Stores a Q5_1 block.
#[inline(always)]
pub(crate) fn store_q5_1(
    scale: f32,
    min: f32,
    levels: &[impl Into<f32> + Copy; 32],
    block: &mut [u8; Q5_1_BYTES],
) {
    block[..2].copy_from_slice(&f32_to_f16(scale).to_le_bytes());
    block[2..4].copy_from_slice(&f32_to_f16(min).to_le_bytes());
    store_levels(levels, &mut block[4..]);
}

/// Reads a Q5_0 block back.
#[inline(always)]
pub(crate) fn decode_q5_0(block: &[u8; Q5_0_BYTES], y: &mut [f32; 32]) {
    let scale = read_f16(block, 0);
    for (y, level) in y.iter_mut().zip(load_levels(&block[2..])) {
        *y = f32::from(level as i8 - 16) * scale;
    }
}

/// Reads a Q5_1 block back.
#[inline(always)]
pub(crate) fn decode_q5_1(block: &[u8; Q5_1_BYTES], y: &mut [f32; 32]) {
    let (scale, min) = (read_f16(block, 0), read_f16(block, 2));
    for (y, level) in y.iter_mut().zip(load_levels(&block[4..])) {
        *y = f32::from(level) * scale + min;
    }
}

/// Stores levels, whole numbers.
#[inline(always)]
fn store_levels(levels: &[impl Into<f32> + Copy; 32], bytes: &mut [u8]) {
    let (high, low) = bytes.split_at_mut(4);
    let mut fifth_bits = 0u32;
    let mut rest = [0.0; 32];
    for (i, rest) in rest.iter_mut().enumerate() {
        let level: f32 = levels[i].into();
        let has_fifth_bit = level >= 16.0;
        fifth_bits |= u32::from(has_fifth_bit) << i;
        *rest = if has_fifth_bit { level - 16.0 } else { level };
    }
    high.copy_from_slice(&fifth_bits.to_le_bytes());
    four_bit::store_levels(&rest, low);
}

#[inline(always)]
fn load_levels(bytes: &[u8]) -> [u8; 32] {
    let (high, low) = bytes.split_at(4);
    let mut levels = [0; 32];
    for (i, level) in levels.iter_mut().enumerate() {
        *level = low[i % 16] >> (i / 16 * 4) & 15 | (high[i / 8] >> (i % 8) & 1) << 4;
    }
    levels
}
