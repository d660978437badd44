//! Float to integer, the three ways ggml goes there.
//!
//! Each of them is written without a branch and without a conversion that saturates, so that it
//! is the same code for one value and for a vector of them.

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

/// [`nearest_int`] as a float, for values below 2²² - 1 in magnitude. NaN stays.
///
/// `ROUNDS` tells that the instruction set it is compiled for rounds with one instruction, as all
/// but SSE2 do. The compiler cannot be asked: without that instruction it would call a function.
#[inline(always)]
pub(crate) fn nearest<const ROUNDS: bool>(value: f32) -> f32 {
    if ROUNDS {
        value.round_ties_even()
    } else {
        (value + TO_MANTISSA) - TO_MANTISSA
    }
}

/// As [`nearest`], but `highest` at most. NaN gives the highest.
#[inline(always)]
pub(crate) fn nearest_up_to<const ROUNDS: bool>(value: f32, highest: f32) -> f32 {
    let nearest = nearest::<ROUNDS>(value);
    if nearest < highest { nearest } else { highest }
}

/// As [`nearest`], but `lowest` at least. NaN gives the lowest.
#[inline(always)]
pub(crate) fn nearest_from<const ROUNDS: bool>(value: f32, lowest: f32) -> f32 {
    let nearest = nearest::<ROUNDS>(value);
    if nearest > lowest { nearest } else { lowest }
}

/// `nearest_int(value).clamp(lowest, highest)` as a float, for values below 2²² - 1 in magnitude.
/// NaN gives the lowest.
#[inline(always)]
pub(crate) fn nearest_between<const ROUNDS: bool>(value: f32, lowest: f32, highest: f32) -> f32 {
    let nearest = nearest::<ROUNDS>(value);
    let nearest = if nearest > lowest { nearest } else { lowest };
    if nearest < highest { nearest } else { highest }
}

/// Whether [`nearest_between`] is right for a value, and for all between it and another such.
#[inline(always)]
pub(crate) fn is_in_range(value: f32) -> bool {
    value.abs() < 4_194_303.0
}

/// Nearest integer, halves away from zero, for values below 2²² in magnitude. NaN and the
/// infinities give a number whose low byte is 0, as ggml's conversion on x86 does. For `ROUNDS` see
/// [`nearest`].
#[inline(always)]
pub(crate) fn round_half_away<const ROUNDS: bool>(value: f32) -> i32 {
    if ROUNDS {
        return nearest_int(value.round());
    }
    let magnitude = value.abs();
    let even = (magnitude + TO_MANTISSA) - TO_MANTISSA;
    // All of these are exact: only a half that went down to the even number is left 0.5 short.
    let away = if magnitude - even == 0.5 {
        even + 1.0
    } else {
        even
    };
    nearest_int(away.copysign(value))
}

/// The integer part of a value from 0 to 2²², as a float. NaN stays. For `ROUNDS` see [`nearest`].
#[inline(always)]
pub(crate) fn integer_part<const ROUNDS: bool>(value: f32) -> f32 {
    if ROUNDS {
        return value.trunc();
    }
    let nearest = (value + TO_MANTISSA) - TO_MANTISSA;
    if nearest > value {
        nearest - 1.0
    } else {
        nearest
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
    fn nearest_between_is_nearest_int_with_limits() {
        for quarter in -200..200 {
            let quarter = quarter as f32 / 4.0;
            for value in [quarter.next_down(), quarter, quarter.next_up()] {
                for (lowest, highest) in [(0, 15), (0, 31), (-32, 31)] {
                    let expected = nearest_int(value).clamp(lowest, highest) as f32;
                    let (lowest, highest) = (lowest as f32, highest as f32);
                    for found in [
                        nearest_between::<false>(value, lowest, highest),
                        nearest_between::<true>(value, lowest, highest),
                        nearest_up_to::<false>(value, highest).max(lowest),
                        nearest_up_to::<true>(value, highest).max(lowest),
                        nearest_from::<false>(value, lowest).min(highest),
                        nearest_from::<true>(value, lowest).min(highest),
                        nearest::<false>(value).clamp(lowest, highest),
                        nearest::<true>(value).clamp(lowest, highest),
                    ] {
                        assert_eq!(found, expected, "{value}");
                    }
                }
            }
        }
        let most = 4_194_303f32.next_down();
        for (value, expected) in [(most, 15.0), (-most, 0.0), (f32::NAN, 0.0)] {
            let by_hand = nearest_between::<false>(value, 0.0, 15.0);
            assert_eq!(by_hand, expected, "{value}");
            let by_instruction = nearest_between::<true>(value, 0.0, 15.0);
            assert_eq!(by_instruction, expected, "{value}");
            assert_eq!(nearest_int(value).clamp(0, 15) as f32, expected, "{value}");
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
                let expected = near.round() as i32;
                assert_eq!(round_half_away::<false>(near), expected, "{near}");
                assert_eq!(round_half_away::<true>(near), expected, "{near}");
            }
        }
    }

    #[test]
    fn integer_part_is_trunc() {
        for quarter in 0..400 {
            let value = quarter as f32 / 4.0;
            for near in [value.next_down().max(0.0), value, value.next_up()] {
                let expected = (near as i32) as f32;
                assert_eq!(integer_part::<false>(near), expected, "{near}");
                assert_eq!(integer_part::<true>(near), expected, "{near}");
            }
        }
    }

    #[test]
    fn what_is_not_finite_has_a_low_byte_of_zero() {
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert_eq!(round_half_away::<false>(value) as u8, 0, "{value}");
            assert_eq!(round_half_away::<true>(value) as u8, 0, "{value}");
        }
    }
}
