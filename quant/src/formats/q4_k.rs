//! Q4_K: 256 weights in 144 bytes, levels 0 to 15.
//!
//! ```text
//! byte 0..16    units, scales and minimums, see `six_bit_scales`
//! byte 16..144  four runs of 32 bytes: byte i of run r holds weight i of sub-block 2r in its
//!               low half, weight i of sub-block 2r+1 in its high half
//! ```

use super::six_bit_scales;
use crate::search::{self, weighted::Steps};

/// Bytes of a block.
pub(crate) const BYTES: usize = 144;

/// Makes a block, given each sub-block's scale and minimum.
#[inline(always)]
pub(crate) fn encode(x: &[f32; 256], scales: &[f32; 8], mins: &[f32; 8], block: &mut [u8; BYTES]) {
    let (header, low) = block.split_at_mut(six_bit_scales::BYTES);
    let levels = six_bit_scales::encode(x, scales, mins, search::Q4_K, header);
    store_levels(&levels, low);
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
    let (header, low) = block.split_at_mut(six_bit_scales::BYTES);
    let levels = six_bit_scales::encode_steps(x, scales, mins, 15, levels_of_search, header);
    store_levels(&levels, low);
}

/// Stores the levels in the bytes behind the header.
#[inline(always)]
pub(crate) fn store_levels(levels: &[[u8; 32]; 8], low: &mut [u8]) {
    for (low, levels) in low
        .as_chunks_mut::<32>()
        .0
        .iter_mut()
        .zip(levels.as_chunks::<2>().0)
    {
        for i in 0..32 {
            low[i] = levels[0][i] | levels[1][i] << 4;
        }
    }
}

/// Reads a block back.
#[inline(always)]
pub(crate) fn decode(block: &[u8; BYTES], y: &mut [f32; 256]) {
    let (header, low) = block.split_at(six_bit_scales::BYTES);
    let (scales, mins) = six_bit_scales::load(header);
    for (j, y) in y.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        let low = &low[j / 2 * 32..][..32];
        for (y, low) in y.iter_mut().zip(low) {
            let level = low >> (4 * (j % 2)) & 15;
            *y = scales[j] * f32::from(level) - mins[j];
        }
    }
}
