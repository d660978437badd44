//! What Q2_K and Q3_K share: two bits of each of 256 levels in 64 bytes.
//!
//! ```text
//! byte i of each half of 32 bytes holds those of the weights i, i+32, i+64 and i+96 of a half of
//! 128 weights, the lowest bits first
//! ```

/// Stores levels 0 to 3 of 256 weights.
#[inline(always)]
pub(super) fn store(levels: &[u8], bytes: &mut [u8]) {
    let halves = levels.as_chunks::<128>().0.iter();
    for (l, bytes) in halves.zip(bytes.as_chunks_mut::<32>().0) {
        for (i, byte) in bytes.iter_mut().enumerate() {
            *byte = l[i] | l[i + 32] << 2 | l[i + 64] << 4 | l[i + 96] << 6;
        }
    }
}

/// The two bits of weight `i`.
#[inline(always)]
pub(super) fn level(bytes: &[u8], i: usize) -> u8 {
    bytes[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3
}
