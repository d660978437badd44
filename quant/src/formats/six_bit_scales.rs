//! What Q4_K and Q5_K share: a super-block of 8 sub-blocks of 32 weights, with a 6-bit scale and
//! a 6-bit minimum each, in units of two f16.
//!
//! ```text
//! byte 0..2   d     unit of the scales, f16
//! byte 2..4   dmin  unit of the minimums, f16
//! byte 4..16  the scales s0..s7 and minimums m0..m7:
//!             byte 4+j   s4+j bits 5..4, s j        (j in 0..4)
//!             byte 8+j   m4+j bits 5..4, m j
//!             byte 12+j  m4+j bits 3..0, s4+j bits 3..0
//! ```

use super::read_f16;
use crate::float::f32_to_f16;
use crate::rounding::nearest_int;
use crate::search::{self, ScaleAndMinSearch, weighted::Steps};

/// Bytes of the two units and the packed scales: the `header` of the functions here.
pub(crate) const BYTES: usize = 16;

/// Stores the scales and minimums that the search found for the 8 sub-blocks.
#[inline(always)]
fn store(scales: &[f32; 8], mins: &[f32; 8], header: &mut [u8]) {
    let largest = |values: &[f32; 8]| {
        let mut largest = 0.0;
        for &value in values {
            if value > largest {
                largest = value;
            }
        }
        largest
    };
    let (max_scale, max_min) = (largest(scales), largest(mins));
    let six_bits = |values: &[f32; 8], max: f32| {
        let per_unit = if max > 0.0 { 63.0 / max } else { 0.0 };
        Steps {
            unit: max / 63.0,
            // Through u8, so that a negative value becomes 63 and not 0: ggml does so.
            steps: values.map(|value| (nearest_int(per_unit * value) as u8).min(63)),
        }
    };
    store_steps(
        &six_bits(scales, max_scale),
        &six_bits(mins, max_min),
        header,
    );
}

/// Stores scales and minimums that are in steps of their units. A step above 63 spills over into
/// the bits of another, as ggml lets it.
#[inline(always)]
fn store_steps(scales: &Steps<8>, mins: &Steps<8>, header: &mut [u8]) {
    let (d, dmin) = (f32_to_f16(scales.unit), f32_to_f16(mins.unit));
    write(d, dmin, &scales.steps, &mins.steps, header);
}

/// Writes the two units, f16, and the scales and minimums in steps of them.
#[inline(always)]
pub(crate) fn write(d: u16, dmin: u16, s: &[u8; 8], m: &[u8; 8], header: &mut [u8]) {
    header[0..2].copy_from_slice(&d.to_le_bytes());
    header[2..4].copy_from_slice(&dmin.to_le_bytes());
    for j in 0..4 {
        header[4 + j] = s[j] | (s[4 + j] >> 4) << 6;
        header[8 + j] = m[j] | (m[4 + j] >> 4) << 6;
        header[12 + j] = s[4 + j] & 15 | (m[4 + j] & 15) << 4;
    }
}

/// Scale and minimum of each sub-block, as a reader of the block computes them.
#[inline(always)]
pub(crate) fn load(header: &[u8]) -> ([f32; 8], [f32; 8]) {
    let (d, dmin) = (read_f16(header, 0), read_f16(header, 2));
    let (mut scales, mut mins) = ([0.0; 8], [0.0; 8]);
    for j in 0..4 {
        let (a, b, c) = (header[4 + j], header[8 + j], header[12 + j]);
        scales[j] = d * f32::from(a & 63);
        mins[j] = dmin * f32::from(b & 63);
        scales[4 + j] = d * f32::from(c & 15 | (a >> 6) << 4);
        mins[4 + j] = dmin * f32::from(c >> 4 | (b >> 6) << 4);
    }
    (scales, mins)
}

/// Stores the scales and gives the levels of the weights, see [`levels`].
#[inline(always)]
pub(crate) fn encode(
    x: &[f32; 256],
    scales: &[f32; 8],
    mins: &[f32; 8],
    search: ScaleAndMinSearch,
    header: &mut [u8],
) -> [[u8; 32]; 8] {
    store(scales, mins, header);
    let sub_blocks = x.as_chunks::<32>().0;
    let levels_of_search = |j: usize| search::scalar::scale_and_min(&sub_blocks[j], search).levels;
    levels(x, header, search.max_level as i32, levels_of_search)
}

/// As [`encode`], given scales and minimums in steps of their units, and how to get the levels of
/// the search for a sub-block.
#[inline(always)]
pub(crate) fn encode_steps(
    x: &[f32; 256],
    scales: &Steps<8>,
    mins: &Steps<8>,
    max_level: i32,
    levels_of_search: impl Fn(usize) -> [u8; 32],
    header: &mut [u8],
) -> [[u8; 32]; 8] {
    store_steps(scales, mins, header);
    levels(x, header, max_level, levels_of_search)
}

/// The levels of the weights: rounded anew for the stored scales, except where a stored scale is 0.
/// There the levels of the search stay.
#[inline(always)]
fn levels(
    x: &[f32; 256],
    header: &[u8],
    max_level: i32,
    levels_of_search: impl Fn(usize) -> [u8; 32],
) -> [[u8; 32]; 8] {
    let (scales, mins) = load(header);
    let mut levels = [[0; 32]; 8];
    for (j, x) in x.as_chunks::<32>().0.iter().enumerate() {
        let (scale, min) = (scales[j], mins[j]);
        if scale == 0.0 {
            levels[j] = levels_of_search(j);
        } else {
            for (level, &x) in levels[j].iter_mut().zip(x) {
                let l = nearest_int((x + min) / scale);
                *level = l.clamp(0, max_level) as u8;
            }
        }
    }
    levels
}
