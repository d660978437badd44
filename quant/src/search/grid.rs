//! The levels of IQ4_NL and IQ4_XS: sixteen numbers that lie closer together around zero.

/// What each level stands for.
pub(crate) const VALUES: [i8; 16] = [
    -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113,
];

/// The middle between each level and the next. A number that is just there goes to the upper one.
const MIDDLES: [f32; 15] = {
    let mut middles = [0.0; 15];
    let mut i = 0;
    while i < 15 {
        middles[i] = (VALUES[i] as f32 + VALUES[i + 1] as f32) / 2.0;
        i += 1;
    }
    middles
};

/// The level nearest to a number, found as ggml finds it: the reference.
///
/// NaN is level 15, as every comparison with it is false.
pub(crate) fn nearest(x: f32) -> usize {
    let value = |level: usize| f32::from(VALUES[level]);
    if x <= value(0) {
        return 0;
    }
    if x >= value(15) {
        return 15;
    }
    let (mut below, mut above) = (0, 15);
    while above - below > 1 {
        let middle = (below + above) / 2;
        if x < value(middle) {
            above = middle;
        } else {
            below = middle;
        }
    }
    if x - value(below) < value(above) - x {
        below
    } else {
        above
    }
}

/// As [`nearest`]: counts the middles that a number is not below.
#[inline(always)]
pub(crate) fn level(x: f32) -> u8 {
    let mut level = 0u32;
    for middle in MIDDLES {
        level += u32::from(is_not_below(x, middle));
    }
    level as u8
}

/// The value of the level nearest to a number.
#[inline(always)]
pub(crate) fn value(x: f32) -> f32 {
    let mut value = f32::from(VALUES[0]);
    for (i, middle) in MIDDLES.into_iter().enumerate() {
        let above = f32::from(VALUES[i + 1]);
        value = std::hint::select_unpredictable(is_not_below(x, middle), above, value);
    }
    value
}

/// Unlike `x >= middle` this is true of NaN.
#[inline(always)]
#[allow(
    clippy::nonminimal_bool,
    clippy::neg_cmp_op_on_partial_ord,
    reason = "NaN counts"
)]
fn is_not_below(x: f32, middle: f32) -> bool {
    !(x < middle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn middles_are_where_the_nearest_level_changes() {
        let mut numbers = vec![0.0, -0.0, 1e-45, f32::NAN, -f32::NAN];
        numbers.extend([f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN]);
        for quarter in -520..=520 {
            let quarter = quarter as f32 / 4.0;
            let (mut below, mut above) = (quarter, quarter);
            for _ in 0..20 {
                numbers.extend([below, above]);
                (below, above) = (below.next_down(), above.next_up());
            }
        }
        for x in numbers {
            let expected = nearest(x);
            assert_eq!(usize::from(level(x)), expected, "{x:e}");
            assert_eq!(value(x), f32::from(VALUES[expected]), "{x:e}");
        }
    }

    #[test]
    fn a_weight_has_at_most_two_levels_in_all_proposals() {
        // What a proposal multiplies the largest weight to lies between these two. Between two
        // middles on the same side of zero must lie more than that.
        let (least, most) = super::super::IQ4_PROPOSALS;
        let stretch = f32::from(least) / f32::from(most);
        for pair in MIDDLES.windows(2).filter(|pair| pair[0] * pair[1] > 0.0) {
            let (a, b) = (
                pair[0].abs().min(pair[1].abs()),
                pair[0].abs().max(pair[1].abs()),
            );
            assert!(b / a > 1.01 * stretch, "{pair:?}");
        }
    }
}
