//! Rows of numbers as they lie in a file (little-endian, at any alignment) to `f32`, and the
//! check that a row holds numbers at all.

use crate::{dispatch, float};

/// bf16 to f32, exactly. `src` is little-endian, two bytes for each of `dst`.
///
/// # Panics
/// Where `src` is not twice as long as `dst`.
pub fn bf16_to_f32(src: &[u8], dst: &mut [f32]) {
    assert_eq!(src.len(), 2 * dst.len(), "bytes of bf16 numbers");
    dispatch::bf16_to_f32(src, dst);
}

/// f16 to f32, exactly; a NaN becomes quiet. `src` is little-endian, two bytes for each of `dst`.
///
/// # Panics
/// Where `src` is not twice as long as `dst`.
pub fn f16_to_f32(src: &[u8], dst: &mut [f32]) {
    assert_eq!(src.len(), 2 * dst.len(), "bytes of f16 numbers");
    dispatch::f16_to_f32(src, dst);
}

/// f32 bytes to f32. `src` is little-endian, four bytes for each of `dst`.
///
/// # Panics
/// Where `src` is not four times as long as `dst`.
pub fn f32_to_f32(src: &[u8], dst: &mut [f32]) {
    assert_eq!(src.len(), 4 * dst.len(), "bytes of f32 numbers");
    for (y, bytes) in dst.iter_mut().zip(src.as_chunks().0) {
        *y = f32::from_le_bytes(*bytes);
    }
}

/// The largest magnitude, 0 of nothing. A NaN is larger than an infinity, and that larger than all
/// numbers: so the result tells whether all are finite.
pub fn largest_magnitude(values: &[f32]) -> f32 {
    dispatch::largest_magnitude(values)
}

/// Index of the first NaN or infinity.
pub fn first_non_finite(values: &[f32]) -> Option<usize> {
    if largest_magnitude(values).is_finite() {
        return None;
    }
    values.iter().position(|value| !value.is_finite())
}

/// The loop of [`bf16_to_f32`].
#[inline(always)]
pub(crate) fn bf16_rows(src: &[u8], dst: &mut [f32]) {
    for (y, bytes) in dst.iter_mut().zip(src.as_chunks().0) {
        *y = float::bf16_to_f32(u16::from_le_bytes(*bytes));
    }
}

/// The loop of [`f16_to_f32`].
#[inline(always)]
pub(crate) fn f16_rows(src: &[u8], dst: &mut [f32]) {
    for (y, bytes) in dst.iter_mut().zip(src.as_chunks().0) {
        *y = float::f16_to_f32(u16::from_le_bytes(*bytes));
    }
}

/// The loop of [`largest_magnitude`]: without their signs, floats are in the order of their bits, and
/// the maximum of integers is what vectors are good at.
#[inline(always)]
pub(crate) fn largest_of(values: &[f32]) -> f32 {
    let mut largest = 0;
    for value in values {
        largest = i32::max(largest, value.abs().to_bits() as i32);
    }
    f32::from_bits(largest as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_at_odd_addresses() {
        let bytes = [0xff, 0x80, 0x3f, 0x00, 0xc0];
        let mut values = [f32::NAN; 2];
        bf16_to_f32(&bytes[1..], &mut values);
        assert_eq!(values, [1.0, -2.0]);

        let bytes = [0xff, 0x00, 0x3c, 0x01, 0x80];
        f16_to_f32(&bytes[1..], &mut values);
        assert_eq!(values, [1.0, -(-24f32).exp2()]);

        let bytes = [0xff, 0, 0, 0x80, 0x3f, 1, 0, 0, 0x80];
        f32_to_f32(&bytes[1..], &mut values);
        assert_eq!(values.map(f32::to_bits), [1.0f32.to_bits(), 0x8000_0001]);
    }

    #[test]
    fn the_largest_magnitude_tells_of_what_is_not_finite() {
        assert_eq!(largest_magnitude(&[]), 0.0);
        assert_eq!(largest_magnitude(&[-0.0, 1e-45]), 1e-45);
        assert_eq!(largest_magnitude(&[3.0, -f32::MAX, 7.0]), f32::MAX);
        let mut values = vec![1.0; 100];
        values[77] = f32::NEG_INFINITY;
        assert_eq!(largest_magnitude(&values), f32::INFINITY);
        values[3] = -f32::NAN;
        assert!(largest_magnitude(&values).is_nan());
    }

    #[test]
    fn the_first_non_finite_is_found_wherever_it_is() {
        for len in [0, 1, 1023, 1024, 1025, 3000] {
            let mut values = vec![f32::MAX; len];
            assert_eq!(first_non_finite(&values), None);
            for at in [0, 1, len / 2, len.saturating_sub(1)]
                .into_iter()
                .filter(|&at| at < len)
            {
                for bad in [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                    let value = std::mem::replace(&mut values[at], bad);
                    assert_eq!(first_non_finite(&values), Some(at));
                    values[len - 1] = f32::NAN;
                    assert_eq!(first_non_finite(&values), Some(at));
                    values[len - 1] = f32::MAX;
                    values[at] = value;
                }
            }
        }
    }
}
