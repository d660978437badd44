//! One number: f16, bf16 and f32, bit for bit as ggml converts them.
//!
//! Without branches or tables, so that a loop over a row becomes vector code.

/// f32 to f16: to nearest, halves to even; too large becomes infinity, NaN becomes the quiet NaN
/// `0x7e00` with its sign.
#[inline(always)]
pub(crate) fn f32_to_f16(value: f32) -> u16 {
    const INFINITY: u32 = 255 << 23;
    /// Everything from here on rounds to infinity.
    const TOO_LARGE: u32 = (127 + 16) << 23;
    /// The smallest normal f16, 2⁻¹⁴.
    const NORMAL: u32 = (127 - 14) << 23;
    /// An f32 whose last mantissa bit is worth 2⁻²⁴, as that of a subnormal f16 is.
    const HALF: f32 = 0.5;

    let sign = (value.to_bits() >> 16) & 0x8000;
    let magnitude = value.to_bits() & 0x7fff_ffff;
    // Subnormal: the addition does the shift and the rounding.
    let subnormal = (f32::from_bits(magnitude) + HALF)
        .to_bits()
        .wrapping_sub(HALF.to_bits());
    // Normal: move the exponent, add just under half of the last place (exactly half where the
    // last place is odd), cut. A carry into the exponent is what rounding up to it means.
    let odd = (magnitude >> 13) & 1;
    let normal = magnitude
        .wrapping_sub((127 - 15) << 23)
        .wrapping_add(0x0fff + odd)
        >> 13;
    let finite = if magnitude < NORMAL {
        subnormal
    } else {
        normal
    };
    let special = if magnitude > INFINITY { 0x7e00 } else { 0x7c00 };
    (sign
        | if magnitude < TOO_LARGE {
            finite
        } else {
            special
        }) as u16
}

/// f16 to f32, exactly; a NaN becomes quiet.
#[inline(always)]
pub(crate) fn f16_to_f32(half: u16) -> f32 {
    let sign = (u32::from(half) & 0x8000) << 16;
    let magnitude = (u32::from(half) & 0x7fff) << 13;
    let normal = magnitude + ((127 - 15) << 23);
    let special = magnitude | (255 << 23) | if magnitude > (31 << 23) { 1 << 22 } else { 0 };
    // Subnormal: with the exponent of 2⁻¹⁴ put in front of the mantissa, the value is too large
    // by just 2⁻¹⁴.
    const NORMAL: u32 = (127 - 14) << 23;
    let subnormal = (f32::from_bits(magnitude | NORMAL) - f32::from_bits(NORMAL)).to_bits();
    let value = if magnitude < (1 << 23) {
        subnormal
    } else if magnitude < (31 << 23) {
        normal
    } else {
        special
    };
    f32::from_bits(sign | value)
}

/// f32 to bf16: to nearest, halves to even; a NaN becomes quiet and keeps its upper bits.
#[inline(always)]
pub(crate) fn f32_to_bf16(value: f32) -> u16 {
    let bits = value.to_bits();
    let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16;
    let quiet = (bits >> 16) | 0x40;
    (if bits & 0x7fff_ffff > 0x7f80_0000 {
        quiet
    } else {
        rounded
    }) as u16
}

/// bf16 to f32: the upper half of its bits.
#[inline(always)]
pub(crate) fn bf16_to_f32(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_f16_goes_to_f32_and_back() {
        for bits in 0..=u16::MAX {
            let value = f16_to_f32(bits);
            let expected = half::f16::from_bits(bits);
            if expected.is_nan() {
                assert_eq!(
                    value.to_bits(),
                    (u32::from(bits & 0x8000) << 16)
                        | 0x7fc0_0000
                        | (u32::from(bits & 0x3ff) << 13)
                );
                assert_eq!(f32_to_f16(value), bits & 0x8000 | 0x7e00);
            } else {
                assert_eq!(value.to_bits(), expected.to_f32().to_bits(), "{bits:#06x}");
                assert_eq!(f32_to_f16(value), bits, "{bits:#06x}");
            }
        }
    }

    #[test]
    fn f32_to_f16_rounds_as_the_half_crate_does() {
        // Around every f16 and every midpoint between two of them.
        for bits in 0..0x7c00u32 {
            let (low, high) = (
                f16_to_f32(bits as u16),
                if bits == 0x7bff {
                    65536.0
                } else {
                    f16_to_f32(bits as u16 + 1)
                },
            );
            let middle = low + (high - low) / 2.0;
            for value in [
                low,
                low.next_up(),
                middle.next_down(),
                middle,
                middle.next_up(),
                high.next_down(),
            ] {
                for value in [value, -value] {
                    assert_eq!(
                        f32_to_f16(value),
                        half::f16::from_f32(value).to_bits(),
                        "{value:e}"
                    );
                }
            }
        }
        for value in [
            65520.0,
            1e5,
            f32::MAX,
            f32::INFINITY,
            f32::MIN_POSITIVE,
            1e-45,
            0.0,
        ] {
            assert_eq!(
                f32_to_f16(value),
                half::f16::from_f32(value).to_bits(),
                "{value:e}"
            );
            assert_eq!(
                f32_to_f16(-value),
                half::f16::from_f32(-value).to_bits(),
                "-{value:e}"
            );
        }
    }

    #[test]
    fn f32_to_bf16_rounds_as_the_half_crate_does() {
        for upper in 0..=u16::MAX {
            for lower in [0, 1, 0x7fff, 0x8000, 0x8001, 0xffff] {
                let value = f32::from_bits(u32::from(upper) << 16 | lower);
                assert_eq!(
                    f32_to_bf16(value),
                    half::bf16::from_f32(value).to_bits(),
                    "{:#010x}",
                    value.to_bits()
                );
            }
            assert_eq!(bf16_to_f32(upper).to_bits(), u32::from(upper) << 16);
        }
    }
}
