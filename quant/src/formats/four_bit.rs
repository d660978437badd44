//! Q4_0 and Q4_1: 32 weights in 18 or 20 bytes, levels 0 to 15.
//!
//! ```text
//! byte 0..2   scale, f16
//! byte 2..4   minimum, f16 (Q4_1 only; in Q4_0 the level 8 is zero)
//! 16 bytes    byte i holds weight i in its low half, weight i+16 in its high half
//! ```

use super::{levels_above, levels_around_zero, read_f16};
use crate::float::f32_to_f16;
use crate::rounding::nearest_int;

/// Bytes of a Q4_0 block.
pub(crate) const Q4_0_BYTES: usize = 18;

/// Bytes of a Q4_1 block.
pub(crate) const Q4_1_BYTES: usize = 20;

/// Makes a Q4_0 block, given the first of the weights that are largest in magnitude.
#[inline(always)]
pub(crate) fn encode_q4_0<const ROUNDS: bool>(
    x: &[f32; 32],
    largest: f32,
    block: &mut [u8; Q4_0_BYTES],
) {
    let (scale, levels) = levels_around_zero::<8, ROUNDS>(x, largest);
    store_q4_0(scale, &levels, block);
}

/// Stores a Q4_0 block.
#[inline(always)]
pub(crate) fn store_q4_0(
    scale: f32,
    levels: &[impl Into<f32> + Copy; 32],
    block: &mut [u8; Q4_0_BYTES],
) {
    block[..2].copy_from_slice(&f32_to_f16(scale).to_le_bytes());
    store_levels(levels, &mut block[2..]);
}

/// Makes a Q4_1 block, given its smallest and largest weight.
#[inline(always)]
pub(crate) fn encode_q4_1<const ROUNDS: bool>(
    x: &[f32; 32],
    (min, max): (f32, f32),
    block: &mut [u8; Q4_1_BYTES],
) {
    let (scale, levels) = levels_above::<15, ROUNDS>(x, min, max);
    store_q4_1(scale, min, &levels, block);
}

/// Stores a Q4_1 block.
#[inline(always)]
pub(crate) fn store_q4_1(
    scale: f32,
    min: f32,
    levels: &[impl Into<f32> + Copy; 32],
    block: &mut [u8; Q4_1_BYTES],
) {
    block[..2].copy_from_slice(&f32_to_f16(scale).to_le_bytes());
    block[2..4].copy_from_slice(&f32_to_f16(min).to_le_bytes());
    store_levels(levels, &mut block[4..]);
}

/// Reads a Q4_0 block back.
#[inline(always)]
pub(crate) fn decode_q4_0(block: &[u8; Q4_0_BYTES], y: &mut [f32; 32]) {
    let scale = read_f16(block, 0);
    for (i, y) in y.iter_mut().enumerate() {
        *y = f32::from(level(&block[2..], i) as i8 - 8) * scale;
    }
}

/// Reads a Q4_1 block back.
#[inline(always)]
pub(crate) fn decode_q4_1(block: &[u8; Q4_1_BYTES], y: &mut [f32; 32]) {
    let (scale, min) = (read_f16(block, 0), read_f16(block, 2));
    for (i, y) in y.iter_mut().enumerate() {
        *y = f32::from(level(&block[4..], i)) * scale + min;
    }
}

/// Stores levels of up to four bits, whole numbers: 32 weights in 16 bytes. The two levels of a byte
/// are put together as floats, which saves a conversion; and bytes that are made one by one would
/// have to wait for memory on their way here.
#[inline(always)]
pub(super) fn store_levels(levels: &[impl Into<f32> + Copy; 32], bytes: &mut [u8]) {
    let mut pairs = [0; 16];
    for (i, pair) in pairs.iter_mut().enumerate() {
        let (low, high): (f32, f32) = (levels[i].into(), levels[i + 16].into());
        *pair = nearest_int(low + 16.0 * high) as u8;
    }
    bytes.copy_from_slice(&pairs);
}

/// Level of weight `i`.
#[inline(always)]
pub(super) fn level(bytes: &[u8], i: usize) -> u8 {
    bytes[i % 16] >> (i / 16 * 4) & 15
}
