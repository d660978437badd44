//! The weighted searches for one sub-block: the reference.

use super::{FIRST, STEP, STEPS, Steps, TENTHS, UNIT_ROUNDS, UNIT_TENTHS};
use crate::rounding::nearest_int;
use crate::search::scalar::{ScaleAndMin, largest};
use crate::search::{ALL_ZERO, IQ4_PROPOSALS, grid};

/// Searches scale and minimum for `LEN` weights that count with `w`, and levels up to `max_level`.
pub(crate) fn scale_and_min<const LEN: usize>(
    x: &[f32; LEN],
    w: &[f32; LEN],
    max_level: f32,
) -> ScaleAndMin<LEN> {
    let (mut min, mut max) = (x[0], x[0]);
    let mut sum_w = w[0];
    let mut sum_x = w[0] * x[0];
    for (&x, w) in x.iter().zip(w).skip(1) {
        if x < min {
            min = x;
        }
        if x > max {
            max = x;
        }
        sum_w += w;
        sum_x += w * x;
    }
    if min > 0.0 {
        min = 0.0;
    }
    if max <= min {
        return ScaleAndMin {
            scale: 0.0,
            min: -min,
            levels: [0; LEN],
        };
    }

    let error_of = |levels: &[u8; LEN], scale: f32, min: f32| {
        let mut error = 0.0;
        for ((x, w), &level) in x.iter().zip(w).zip(levels) {
            let difference = scale * f32::from(level) + min - x;
            error += w * (difference * difference);
        }
        error
    };

    let level_per_x = max_level / (max - min);
    let mut levels =
        x.map(|x| nearest_int(level_per_x * (x - min)).clamp(0, max_level as i32) as u8);
    let mut scale = 1.0 / level_per_x;
    let mut least_error = error_of(&levels, scale, min);

    for i in 0..=STEPS {
        let level_per_x = (FIRST + STEP * f32::from(i) + max_level) / (max - min);
        let proposal = x.map(|x| {
            // The minimum may have moved up to the maximum and beyond: this may be infinite or NaN.
            let value = level_per_x * (x - min);
            if value > 0.0 {
                nearest_int(value.min(max_level)) as u8
            } else {
                0
            }
        });
        let (mut sum_l, mut sum_l2, mut sum_xl) = (0.0, 0.0, 0.0);
        for ((x, w), &level) in x.iter().zip(w).zip(&proposal) {
            let l = f32::from(level);
            sum_l += w * l;
            sum_l2 += w * l * l;
            sum_xl += w * l * x;
        }
        let determinant = sum_w * sum_l2 - sum_l * sum_l;
        if determinant > 0.0 {
            let mut line_scale = (sum_w * sum_xl - sum_x * sum_l) / determinant;
            let mut line_min = (sum_l2 * sum_x - sum_l * sum_xl) / determinant;
            if line_min > 0.0 {
                line_min = 0.0;
                line_scale = sum_xl / sum_l2;
            }
            let error = error_of(&proposal, line_scale, line_min);
            if error < least_error {
                (least_error, scale, min, levels) = (error, line_scale, line_min, proposal);
            }
        }
    }
    ScaleAndMin {
        scale,
        min: -min,
        levels,
    }
}

/// What a search for a scale alone finds.
pub(crate) struct Scale<const LEN: usize> {
    /// Distance between two levels; its sign may be either.
    pub(crate) scale: f32,
    /// The levels that this scale was fitted to, made positive; all 0 for a sub-block of zeros.
    pub(crate) levels: [u8; LEN],
}

/// Searches the scale for `LEN` weights that count with `w`, and levels `-half..half`.
pub(crate) fn scale<const LEN: usize>(x: &[f32; LEN], w: &[f32; LEN], half: i8) -> Scale<LEN> {
    let largest = largest(x);
    if largest.abs() < ALL_ZERO {
        return Scale {
            scale: 0.0,
            levels: [0; LEN],
        };
    }

    let (lowest, highest) = (-i32::from(half), i32::from(half) - 1);
    let levels_for =
        |level_per_x: f32| x.map(|x| nearest_int(level_per_x * x).clamp(lowest, highest) as i8);
    let sums_of = |levels: &[i8; LEN]| {
        let (mut sum_xl, mut sum_l2) = (0.0, 0.0);
        for ((x, w), &level) in x.iter().zip(w).zip(levels) {
            let l = f32::from(level);
            sum_xl += w * x * l;
            sum_l2 += w * l * l;
        }
        (sum_xl, sum_l2)
    };

    let mut levels = levels_for(-f32::from(half) / largest);
    let (sum_xl, sum_l2) = sums_of(&levels);
    let mut scale = if sum_l2 != 0.0 { sum_xl / sum_l2 } else { 0.0 };
    let mut best = scale * sum_xl;
    for &tenths in &TENTHS[1..] {
        let proposal = levels_for(-(f32::from(half) + 0.1 * f32::from(tenths)) / largest);
        let (sum_xl, sum_l2) = sums_of(&proposal);
        if sum_l2 > 0.0 && sum_xl * sum_xl > best * sum_l2 {
            scale = sum_xl / sum_l2;
            best = scale * sum_xl;
            levels = proposal;
        }
    }
    Scale {
        scale,
        levels: levels.map(|l| (l + half) as u8),
    }
}

/// Searches the scale for 32 weights, that count with `w`, on the uneven grid.
pub(crate) fn grid_scale(x: &[f32; 32], w: &[f32; 32]) -> f32 {
    let largest = largest(x);
    if largest.abs() < ALL_ZERO {
        return 0.0;
    }

    let sums_for = |per_x: f32| {
        let (mut sum_xq, mut sum_q2) = (0.0, 0.0);
        for (x, w) in x.iter().zip(w) {
            let q = f32::from(grid::VALUES[grid::nearest(per_x * x)]);
            sum_xq += w * q * x;
            sum_q2 += w * q * q;
        }
        (sum_xq, sum_q2)
    };

    // The largest weight to the far end of the other side first.
    let (sum_xq, sum_q2) = sums_for(1.0 / (largest / 127.0));
    let mut scale = if sum_q2 > 0.0 { sum_xq / sum_q2 } else { 0.0 };
    let mut best = scale * sum_xq;
    for value in IQ4_PROPOSALS.0..=IQ4_PROPOSALS.1 {
        let (sum_xq, sum_q2) = sums_for(f32::from(value) / largest);
        if sum_q2 > 0.0 && sum_xq * sum_xq > best * sum_q2 {
            scale = sum_xq / sum_q2;
            best = scale * sum_xq;
        }
    }
    scale
}

/// Searches the unit for the scales (or minimums) of a super-block, which count with `w`, and the
/// steps up to `max_step` that they become.
pub(crate) fn unit<const LEN: usize>(
    scales: &[f32; LEN],
    w: &[f32; LEN],
    max_step: u8,
) -> Steps<LEN> {
    let mut max = 0.0;
    for &scale in scales {
        // NaN is taken over, and the next one takes its place.
        max = if max > scale { max } else { scale };
    }
    if max < ALL_ZERO {
        return Steps {
            unit: 0.0,
            steps: [0; LEN],
        };
    }

    let highest = f32::from(max_step);
    let limited = |value: f32| nearest_int(value).min(i32::from(max_step));
    let error_of = |steps: [f32; LEN], unit: f32| {
        let mut error = 0.0;
        for ((scale, w), step) in scales.iter().zip(w).zip(steps) {
            let difference = scale - unit * step;
            error += w * difference * difference;
        }
        error
    };

    let mut per_unit = highest / max;
    // As bytes here, and not limited.
    let steps = scales.map(|scale| f32::from(nearest_int(per_unit * scale) as u8));
    let mut least_error = error_of(steps, 1.0 / per_unit);
    for tenths in UNIT_TENTHS {
        let proposal = (0.1 * f32::from(tenths) + highest) / max;
        let steps = scales.map(|scale| limited(proposal * scale) as f32);
        let error = error_of(steps, 1.0 / proposal);
        if error < least_error {
            (least_error, per_unit) = (error, proposal);
        }
    }

    let mut steps = [0; LEN];
    let (mut sum_xl, mut sum_l2) = (0.0, 0.0);
    for ((x, w), step) in scales.iter().zip(w).zip(&mut steps) {
        let limited = limited(per_unit * x);
        // A negative step is one in the sums, but 256 more from here on.
        *step = limited as u8;
        let l = limited as f32;
        sum_xl += w * x * l;
        sum_l2 += w * l * l;
    }
    for _ in 0..UNIT_ROUNDS {
        let mut moved = false;
        for ((x, w), step) in scales.iter().zip(w).zip(&mut steps) {
            let l = f32::from(*step);
            // The sums without this scale, whose best step they tell.
            let others_xl = sum_xl - w * x * l;
            let others_l2 = sum_l2 - w * l * l;
            if others_xl > 0.0 && others_l2 > 0.0 {
                let best = limited(x * others_l2 / others_xl);
                let l = best as f32;
                let with_xl = others_xl + w * x * l;
                let with_l2 = others_l2 + w * l * l;
                if best != i32::from(*step)
                    && with_xl * with_xl * sum_l2 > sum_xl * sum_xl * with_l2
                {
                    (*step, sum_xl, sum_l2) = (best as u8, with_xl, with_l2);
                    moved = true;
                }
            }
        }
        if !moved {
            break;
        }
    }
    Steps {
        unit: if sum_l2 > 0.0 { sum_xl / sum_l2 } else { 0.0 },
        steps,
    }
}
