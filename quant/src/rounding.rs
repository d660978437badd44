//! Float to integer, the three ways ggml goes there.
//!
//! Each of them is written without a branch, so that it is the same code for one value and for a
//! vector of them, and each has ggml's answer also for values that fit no integer.

/// 1.5 · 2²³. Adding it to a number below 2²² in magnitude leaves that number, rounded to the
/// nearest integer and halves to even, in the low bits of the mantissa.
const TO_MANTISSA: f32 = 12_582_912.0;

/// Nearest integer, halves to even, for values below 2²² in magnitude.
///
/// Beyond that the low mantissa bits are something else, and that something goes into files that
/// llama.cpp writes. NaN gives 0, an infinity gives -2²².
#[inline(always)]
pub(crate) fn nearest_int(value: f32) -> i32 {
    ((value + TO_MANTISSA).to_bits() & 0x007f_ffff) as i32 - 0x0040_0000
}

/// Nearest integer, halves away from zero, for values below 2²² in magnitude.
///
/// The largest float below a half is added before the fraction is cut off: a half itself would
/// carry 0.49999997 up to 1.
#[inline(always)]
pub(crate) fn round_half_away(value: f32) -> i32 {
    truncate(value + 0.499_999_97_f32.copysign(value))
}

/// The integer part. What does not fit (NaN too) gives `i32::MIN`, as x86's conversion does,
/// so that its low byte is 0.
#[inline(always)]
pub(crate) fn truncate(value: f32) -> i32 {
    if value.abs() < 2_147_483_648.0 {
        value as i32
    } else {
        i32::MIN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_int_rounds_halves_to_even() {
        for (value, expected) in [
            (0.5, 0),
            (1.5, 2),
            (2.5, 2),
            (-0.5, 0),
            (-1.5, -2),
            (0.49999997, 0),
            (4194303.0, 4194303),
        ] {
            assert_eq!(nearest_int(value), expected, "{value}");
        }
        let mut value = -3000.0f32;
        while value < 3000.0 {
            assert_eq!(
                nearest_int(value),
                value.round_ties_even() as i32,
                "{value}"
            );
            value += 0.03125;
        }
    }

    #[test]
    fn nearest_int_beyond_its_range_is_ggmls() {
        // 2^22 + 1.5·2^23 is 2^24, whose mantissa bits are zero; 3·2^22 lands on half a mantissa.
        for (value, expected) in [
            (4_194_304.0, -4_194_304),
            (12_582_912.0, 0),
            (f32::INFINITY, -4_194_304),
            (f32::NEG_INFINITY, -4_194_304),
            (f32::NAN, 0),
        ] {
            assert_eq!(nearest_int(value), expected, "{value}");
        }
    }

    #[test]
    fn round_half_away_is_round() {
        for half in -300..=300 {
            let value = half as f32 / 2.0;
            for near in [value.next_down(), value, value.next_up()] {
                assert_eq!(round_half_away(near), near.round() as i32, "{near}");
            }
        }
    }

    #[test]
    fn truncate_of_what_does_not_fit() {
        for value in [
            f32::NAN,
            f32::INFINITY,
            f32::NEG_INFINITY,
            2_147_483_648.0,
            -1e20,
        ] {
            assert_eq!(truncate(value), i32::MIN, "{value}");
        }
        assert_eq!(
            (truncate(-0.9), truncate(31.99), truncate(2_147_483_520.0)),
            (0, 31, 2_147_483_520)
        );
    }
}
