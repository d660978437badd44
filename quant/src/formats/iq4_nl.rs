//! IQ4_NL: 32 weights in 18 bytes, levels of the uneven grid (`search/grid.rs`).
//!
//! ```text
//! byte 0..2   scale, f16
//! byte 2..18  byte i holds weight i in its low half, weight i+16 in its high half
//! ```

use super::{four_bit, read_f16};
use crate::float::f32_to_f16;
use crate::search::grid;

/// Bytes of a block.
pub(crate) const BYTES: usize = 18;

/// Makes a block, given its scale.
#[inline(always)]
pub(crate) fn encode(x: &[f32; 32], [scale]: &[f32; 1], block: &mut [u8; BYTES]) {
    block[..2].copy_from_slice(&f32_to_f16(*scale).to_le_bytes());
    store_levels(x, *scale, &mut block[2..]);
}

/// Stores the levels of 32 weights, rounded for a scale that is not rounded.
#[inline(always)]
pub(super) fn store_levels(x: &[f32; 32], scale: f32, bytes: &mut [u8]) {
    let per_scale = if scale != 0.0 { 1.0 / scale } else { 0.0 };
    let mut levels = [0; 32];
    for (level, x) in levels.iter_mut().zip(x) {
        *level = grid::level(per_scale * x);
    }
    for (i, byte) in bytes.iter_mut().enumerate() {
        *byte = levels[i] | levels[i + 16] << 4;
    }
}

/// Reads a block back.
#[inline(always)]
pub(crate) fn decode(block: &[u8; BYTES], y: &mut [f32; 32]) {
    load_weights(&block[2..], read_f16(block, 0), y);
}

/// Reads 32 weights.
#[inline(always)]
pub(super) fn load_weights(bytes: &[u8], scale: f32, y: &mut [f32; 32]) {
    for (i, y) in y.iter_mut().enumerate() {
        *y = scale * f32::from(grid::VALUES[usize::from(four_bit::level(bytes, i))]);
    }
}
