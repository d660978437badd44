//! Q3_K: 256 weights in 110 bytes, levels -4 to 3, stored plus 4.
//!
//! ```text
//! byte 0..32     bit j of byte i is the third bit of weight 32j+i
//! byte 32..96    the lower two bits, see `two_bits`
//! byte 96..108   the scales s0..s15 of sub-blocks of 16 weights, -32 to 31, stored plus 32:
//!                byte j of the first 8   s8+j bits 3..0, sj bits 3..0
//!                byte j of the last 4    s12+j, s8+j, s4+j and sj, bits 5..4 of each
//! byte 108..110  their unit, f16
//! ```

use super::{read_f16, two_bits};
use crate::float::{f16_to_f32, f32_to_f16};
use crate::rounding::nearest_int;
use crate::search;

/// Bytes of a block.
pub(crate) const BYTES: usize = 110;

/// Makes a block, given each sub-block's scale.
#[inline(always)]
pub(crate) fn encode(x: &[f32; 256], scales: &[f32; 16], block: &mut [u8; BYTES]) {
    let largest = search::lanes::largest(scales);
    let mut unit = 0;
    let mut steps = [-32; 16];
    if largest != 0.0 {
        // The largest becomes -32, the one value that is not symmetric.
        let per_unit = -32.0 / largest;
        unit = f32_to_f16(1.0 / per_unit);
        // Through i8, as ggml goes: where `per_unit` is infinite the step is 0.
        steps = scales.map(|scale| (nearest_int(per_unit * scale) as i8).clamp(-32, 31));
    }

    let sub_blocks = x.as_chunks::<16>().0;
    let levels_of_search = |j: usize| search::scalar::refined_scale(&sub_blocks[j]).levels;
    encode_steps(x, unit, &steps, levels_of_search, block);
}

/// Makes a block, given its unit as f16, the scales in steps of it from -32 to 31, and how to get
/// the levels of the search for a sub-block.
#[inline(always)]
pub(crate) fn encode_steps(
    x: &[f32; 256],
    unit: u16,
    steps: &[i8; 16],
    levels_of_search: impl Fn(usize) -> [u8; 16],
    block: &mut [u8; BYTES],
) {
    let mut levels = [0; 256];
    let sub_blocks = x
        .as_chunks::<16>()
        .0
        .iter()
        .zip(levels.as_chunks_mut::<16>().0);
    for (j, (x, levels)) in sub_blocks.enumerate() {
        let scale = f16_to_f32(unit) * f32::from(steps[j]);
        if scale == 0.0 {
            *levels = levels_of_search(j);
        } else {
            for (level, x) in levels.iter_mut().zip(x) {
                *level = (nearest_int(x / scale).clamp(-4, 3) + 4) as u8;
            }
        }
    }

    let mut high = [0; 32];
    for (j, levels) in levels.as_chunks::<32>().0.iter().enumerate() {
        for (high, level) in high.iter_mut().zip(levels) {
            *high |= (level >> 2) << j;
        }
    }
    block[..32].copy_from_slice(&high);
    two_bits::store(&levels.map(|level| level & 3), &mut block[32..96]);
    let s = steps.map(|step| (step + 32) as u8);
    for j in 0..8 {
        block[96 + j] = s[j] & 15 | s[8 + j] << 4;
    }
    for j in 0..4 {
        block[104 + j] =
            s[j] >> 4 | (s[4 + j] >> 4) << 2 | (s[8 + j] >> 4) << 4 | (s[12 + j] >> 4) << 6;
    }
    block[108..].copy_from_slice(&unit.to_le_bytes());
}

/// Reads a block back.
#[inline(always)]
pub(crate) fn decode(block: &[u8; BYTES], y: &mut [f32; 256]) {
    let unit = read_f16(block, 108);
    for (j, y) in y.as_chunks_mut::<16>().0.iter_mut().enumerate() {
        let low = block[96 + j % 8] >> (j / 8 * 4) & 15;
        let high = block[104 + j % 4] >> (j / 4 * 2) & 3;
        let scale = unit * f32::from((low | high << 4) as i8 - 32);
        for (i, y) in y.iter_mut().enumerate() {
            let i = 16 * j + i;
            let level = two_bits::level(&block[32..96], i) | (block[i % 32] >> (i / 32) & 1) << 2;
            *y = scale * f32::from(level as i8 - 4);
        }
    }
}
