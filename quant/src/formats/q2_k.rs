//! Q2_K: 256 weights in 84 bytes, levels 0 to 3, 16 sub-blocks of 16 weights.
//!
//! ```text
//! byte 0..16   scale of each sub-block in the low half, its minimum in the high half
//! byte 16..80  levels, see `two_bits`
//! byte 80..82  d     unit of the scales, f16
//! byte 82..84  dmin  unit of the minimums, f16
//! ```

use super::{read_f16, two_bits};
use crate::float::{f16_to_f32, f32_to_f16};
use crate::rounding::nearest_int;
use crate::search::{self, weighted::Steps};

/// Bytes of a block.
pub(crate) const BYTES: usize = 84;

/// Makes a block, given each sub-block's scale and minimum.
#[inline(always)]
pub(crate) fn encode(
    x: &[f32; 256],
    scales: &[f32; 16],
    mins: &[f32; 16],
    block: &mut [u8; BYTES],
) {
    let sub_blocks = x.as_chunks::<16>().0;
    let levels_of_search =
        |j: usize| search::scalar::scale_and_min(&sub_blocks[j], search::Q2_K).levels;
    encode_steps(
        x,
        &four_bits(scales),
        &four_bits(mins),
        levels_of_search,
        block,
    );
}

/// Makes a block, given scales and minimums in steps of their units, and how to get the levels of
/// the search for a sub-block.
#[inline(always)]
pub(crate) fn encode_steps(
    x: &[f32; 256],
    scales: &Steps<16>,
    mins: &Steps<16>,
    levels_of_search: impl Fn(usize) -> [u8; 16],
    block: &mut [u8; BYTES],
) {
    let (d, dmin) = (f32_to_f16(scales.unit), f32_to_f16(mins.unit));
    // Not masked, as ggml does not: a scale below zero sets the minimum's bits, too.
    let mut packed = [0; 16];
    for ((packed, scale), min) in packed.iter_mut().zip(scales.steps).zip(mins.steps) {
        *packed = scale | min << 4;
    }

    let mut levels = [[0; 16]; 16];
    let (unit, min_unit) = (f16_to_f32(d), f16_to_f32(dmin));
    for (j, x) in x.as_chunks::<16>().0.iter().enumerate() {
        let scale = unit * f32::from(packed[j] & 15);
        let min = min_unit * f32::from(packed[j] >> 4);
        if scale == 0.0 {
            levels[j] = levels_of_search(j);
        } else {
            for (level, x) in levels[j].iter_mut().zip(x) {
                *level = nearest_int((x + min) / scale).clamp(0, 3) as u8;
            }
        }
    }

    block[..16].copy_from_slice(&packed);
    two_bits::store(levels.as_flattened(), &mut block[16..80]);
    block[80..82].copy_from_slice(&d.to_le_bytes());
    block[82..].copy_from_slice(&dmin.to_le_bytes());
}

/// Scales or minimums in fifteenths of the largest.
#[inline(always)]
fn four_bits(values: &[f32; 16]) -> Steps<16> {
    let mut largest = 0.0;
    for &value in values {
        if value > largest {
            largest = value;
        }
    }
    if largest > 0.0 {
        let per_unit = 15.0 / largest;
        Steps {
            unit: largest / 15.0,
            steps: values.map(|value| nearest_int(per_unit * value) as u8),
        }
    } else {
        Steps {
            unit: 0.0,
            steps: [0; 16],
        }
    }
}

/// Reads a block back.
#[inline(always)]
pub(crate) fn decode(block: &[u8; BYTES], y: &mut [f32; 256]) {
    let (unit, min_unit) = (read_f16(block, 80), read_f16(block, 82));
    for (i, y) in y.iter_mut().enumerate() {
        let packed = block[i / 16];
        let scale = unit * f32::from(packed & 15);
        let min = min_unit * f32::from(packed >> 4);
        *y = scale * f32::from(two_bits::level(&block[16..80], i)) - min;
    }
}
