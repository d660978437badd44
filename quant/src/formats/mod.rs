//! The block formats: how levels and scales lie in the bytes of a block.
//!
//! `encode` makes a block of weights whose scales are already found (see [`crate::search`]),
//! `decode` reads one back. Both are plain loops over arrays of fixed length, the same code for
//! every instruction set: compiled into a kernel for AVX2 they are AVX2 code.

pub(crate) mod five_bit;
pub(crate) mod four_bit;
pub(crate) mod iq4_nl;
pub(crate) mod iq4_xs;
pub(crate) mod q2_k;
pub(crate) mod q3_k;
pub(crate) mod q4_k;
pub(crate) mod q5_k;
pub(crate) mod q6_k;
pub(crate) mod q8_0;
pub(crate) mod six_bit_scales;
mod two_bits;

use crate::float::f16_to_f32;

/// The f16 at byte `at` of a block, as f32.
#[inline(always)]
fn read_f16(block: &[u8], at: usize) -> f32 {
    f16_to_f32(u16::from_le_bytes([block[at], block[at + 1]]))
}
