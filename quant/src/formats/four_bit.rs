//! Q4_0 and Q4_1: 32 weights in 18 or 20 bytes, levels 0 to 15. Read only.
//!
//! ```text
//! byte 0..2   scale, f16
//! byte 2..4   minimum, f16 (Q4_1 only; in Q4_0 the level 8 is zero)
//! 16 bytes    byte i holds weight i in its low half, weight i+16 in its high half
//! ```

use super::read_f16;

/// Bytes of a Q4_0 block.
pub(crate) const Q4_0_BYTES: usize = 18;

/// Bytes of a Q4_1 block.
pub(crate) const Q4_1_BYTES: usize = 20;

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

#[inline(always)]
fn level(bytes: &[u8], i: usize) -> u8 {
    bytes[i % 16] >> (i / 16 * 4) & 15
}
