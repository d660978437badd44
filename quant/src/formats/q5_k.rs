//! Q5_K: 256 weights in 176 bytes, levels 0 to 31.
//!
//! ```text
//! byte 0..16    units, scales and minimums, see `six_bit_scales`
//! byte 16..48   bit j of byte i is the fifth bit of weight i of sub-block j
//! byte 48..176  the lower four bits, as in Q4_K
//! ```

use super::six_bit_scales;
use crate::search::{self, weighted::Steps};

/// Bytes of a block.
pub(crate) const BYTES: usize = 176;

/// Makes a block, given each sub-block's scale and minimum.
#[inline(always)]
pub(crate) fn encode(x: &[f32; 256], scales: &[f32; 8], mins: &[f32; 8], block: &mut [u8; BYTES]) {
    let (header, bits) = block.split_at_mut(six_bit_scales::BYTES);
    let levels = six_bit_scales::encode(x, scales, mins, search::Q5_K, header);
    store_levels(&levels, bits);
}

/// Makes a block, given scales and minimums in steps of their units, and how to get the levels of
/// the search for a sub-block.
#[inline(always)]
pub(crate) fn encode_steps(
    x: &[f32; 256],
    scales: &Steps<8>,
    mins: &Steps<8>,
    levels_of_search: impl Fn(usize) -> [u8; 32],
    block: &mut [u8; BYTES],
) {
    // Limited, which ggml does in Q5_K only.
    let limited = |steps: &Steps<8>| Steps {
        unit: steps.unit,
        steps: steps.steps.map(|step| step.min(63)),
    };
    let (scales, mins) = (limited(scales), limited(mins));
    let (header, bits) = block.split_at_mut(six_bit_scales::BYTES);
    let levels = six_bit_scales::encode_steps(x, &scales, &mins, 31, levels_of_search, header);
    store_levels(&levels, bits);
}

/// Stores the levels in the bytes behind the header.
#[inline(always)]
pub(crate) fn store_levels(levels: &[[u8; 32]; 8], bits: &mut [u8]) {
    let (high, low) = bits.split_at_mut(32);
    high.fill(0);
    for (j, levels) in levels.iter().enumerate() {
        for (high, level) in high.iter_mut().zip(levels) {
            *high |= (level >> 4) << j;
        }
    }
    for (low, levels) in low
        .as_chunks_mut::<32>()
        .0
        .iter_mut()
        .zip(levels.as_chunks::<2>().0)
    {
        for i in 0..32 {
            low[i] = levels[0][i] & 15 | levels[1][i] << 4;
        }
    }
}

/// Reads a block back.
#[inline(always)]
pub(crate) fn decode(block: &[u8; BYTES], y: &mut [f32; 256]) {
    let (header, bits) = block.split_at(six_bit_scales::BYTES);
    let (high, low) = bits.split_at(32);
    let (scales, mins) = six_bit_scales::load(header);
    for (j, y) in y.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        let low = &low[j / 2 * 32..][..32];
        for ((y, low), high) in y.iter_mut().zip(low).zip(high) {
            let level = low >> (4 * (j % 2)) & 15 | (high >> j & 1) << 4;
            *y = scales[j] * f32::from(level) - mins[j];
        }
    }
}
