//! IQ4_XS: 256 weights in 136 bytes, levels of the uneven grid (`search/grid.rs`).
//!
//! ```text
//! byte 0..2    unit of the scales, f16
//! byte 2..4    upper two bits of the 8 scales, the first one's lowest, u16
//! byte 4..8    lower four bits, those of scale 2i in the low half of byte i, of 2i+1 in its high
//! byte 8..136  levels of the 8 sub-blocks of 32 weights, as in IQ4_NL
//! ```
//! Scales are -32 to 31, stored plus 32.

use super::{iq4_nl, read_f16};
use crate::float::f32_to_f16;
use crate::rounding::nearest_int;
use crate::search;

/// Bytes of a block.
pub(crate) const BYTES: usize = 136;

/// Makes a block, given each sub-block's scale.
#[inline(always)]
pub(crate) fn encode(x: &[f32; 256], scales: &[f32; 8], block: &mut [u8; BYTES]) {
    // The largest becomes -32, the one value that is not symmetric.
    let unit = -search::lanes::largest(scales) / 32.0;
    let per_unit = if unit != 0.0 { 1.0 / unit } else { 0.0 };
    let steps = scales.map(|scale| nearest_int(per_unit * scale).clamp(-32, 31));

    block[..2].copy_from_slice(&f32_to_f16(unit).to_le_bytes());
    let mut high = 0;
    let stored = steps.map(|step| (step + 32) as u16);
    for (j, step) in stored.iter().enumerate() {
        high |= (step >> 4) << (2 * j);
    }
    block[2..4].copy_from_slice(&high.to_le_bytes());
    for (low, steps) in block[4..8].iter_mut().zip(stored.as_chunks::<2>().0) {
        *low = (steps[0] & 15 | (steps[1] & 15) << 4) as u8;
    }
    let sub_blocks = x.as_chunks().0.iter().zip(steps);
    for ((x, step), bytes) in sub_blocks.zip(block[8..].as_chunks_mut::<16>().0) {
        // For the unit as it was found, not as it is stored: ggml does so.
        iq4_nl::store_levels(x, unit * step as f32, bytes);
    }
}

/// Reads a block back.
#[inline(always)]
pub(crate) fn decode(block: &[u8; BYTES], y: &mut [f32; 256]) {
    let unit = read_f16(block, 0);
    let high = u16::from_le_bytes([block[2], block[3]]);
    for (j, y) in y.as_chunks_mut().0.iter_mut().enumerate() {
        let low = block[4 + j / 2] >> (4 * (j % 2)) & 15;
        let step = i16::from(low) | ((high >> (2 * j) & 3) << 4) as i16;
        iq4_nl::load_weights(&block[8 + 16 * j..], unit * f32::from(step - 32), y);
    }
}
