//! Q6_K: 256 weights in 210 bytes, levels -32 to 31, stored plus 32.
//!
//! ```text
//! byte 0..128    the lower four bits: two halves of 64 bytes for 128 weights each. Byte i of a
//!                half holds weight i in its low half and weight i+64 in its high half
//! byte 128..192  the upper two bits: two halves of 32 bytes. Byte i of a half holds those of the
//!                weights i, i+32, i+64 and i+96, the lowest bits first
//! byte 192..208  the scales of 16 sub-blocks of 16 weights, signed bytes
//! byte 208..210  their unit, f16
//! ```

use super::read_f16;
use crate::float::{f16_to_f32, f32_to_f16};
use crate::rounding::nearest_int;
use crate::search::{self, ALL_ZERO};

/// Bytes of a block.
pub(crate) const BYTES: usize = 210;

/// Makes a block, given each sub-block's scale.
#[inline(always)]
pub(crate) fn encode(x: &[f32; 256], scales: &[f32; 16], block: &mut [u8; BYTES]) {
    let sub_blocks = x.as_chunks::<16>().0;
    let levels_of_search = |j: usize| search::scalar::scale(&sub_blocks[j]).levels;
    encode_scales(x, scales, levels_of_search, block);
}

/// Makes a block, given each sub-block's scale and how to get the levels of its search.
#[inline(always)]
pub(crate) fn encode_scales(
    x: &[f32; 256],
    scales: &[f32; 16],
    levels_of_search: impl Fn(usize) -> [u8; 16],
    block: &mut [u8; BYTES],
) {
    let largest = search::lanes::largest(scales);
    if largest.abs() < ALL_ZERO {
        block.fill(0);
        return;
    }

    // The scale of the largest magnitude becomes -128, the one value that is not symmetric.
    let per_unit = -128.0 / largest;
    let unit = f32_to_f16(1.0 / per_unit);
    let scales = scales.map(|scale| nearest_int(per_unit * scale).min(127) as i8);

    let mut levels = [0; 256];
    let sub_blocks = x
        .as_chunks::<16>()
        .0
        .iter()
        .zip(levels.as_chunks_mut::<16>().0);
    for (j, (x, levels)) in sub_blocks.enumerate() {
        let scale = f16_to_f32(unit) * f32::from(scales[j]);
        if scale == 0.0 {
            *levels = levels_of_search(j);
        } else {
            for (level, x) in levels.iter_mut().zip(x) {
                *level = (nearest_int(x / scale).clamp(-32, 31) + 32) as u8;
            }
        }
    }

    pack(unit, &scales, &levels, block);
}

/// Makes a block of its parts: the unit (f16), the scales and the levels plus 32.
#[inline(always)]
pub(crate) fn pack(unit: u16, scales: &[i8; 16], levels: &[u8; 256], block: &mut [u8; BYTES]) {
    let (low, rest) = block.split_at_mut(128);
    let (high, rest) = rest.split_at_mut(64);
    let halves = low
        .as_chunks_mut::<64>()
        .0
        .iter_mut()
        .zip(high.as_chunks_mut::<32>().0);
    for ((low, high), l) in halves.zip(levels.as_chunks::<128>().0) {
        for i in 0..64 {
            low[i] = l[i] & 15 | l[i + 64] << 4;
        }
        for i in 0..32 {
            high[i] =
                l[i] >> 4 | (l[i + 32] >> 4) << 2 | (l[i + 64] >> 4) << 4 | (l[i + 96] >> 4) << 6;
        }
    }
    for (byte, scale) in rest.iter_mut().zip(scales) {
        *byte = *scale as u8;
    }
    rest[16..].copy_from_slice(&unit.to_le_bytes());
}

/// Reads a block back.
#[inline(always)]
pub(crate) fn decode(block: &[u8; BYTES], y: &mut [f32; 256]) {
    let (low, rest) = block.split_at(128);
    let (high, scales) = rest.split_at(64);
    let mut levels = [0u8; 256];
    let halves = low.as_chunks::<64>().0.iter().zip(high.as_chunks::<32>().0);
    for ((low, high), l) in halves.zip(levels.as_chunks_mut::<128>().0) {
        for i in 0..64 {
            l[i] = low[i] & 15;
            l[i + 64] = low[i] >> 4;
        }
        for i in 0..32 {
            l[i] |= (high[i] & 3) << 4;
            l[i + 32] |= (high[i] >> 2 & 3) << 4;
            l[i + 64] |= (high[i] >> 4 & 3) << 4;
            l[i + 96] |= (high[i] >> 6) << 4;
        }
    }
    let unit = read_f16(block, 208);
    let mut scale_of_each = [0.0; 256];
    for (of_each, scale) in scale_of_each.as_chunks_mut::<16>().0.iter_mut().zip(scales) {
        *of_each = [unit * f32::from(*scale as i8); 16];
    }
    for ((y, level), scale) in y.iter_mut().zip(levels).zip(scale_of_each) {
        *y = scale * f32::from(level as i8 - 32);
    }
}
