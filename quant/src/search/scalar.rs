//! The searches for one sub-block: the reference.

use super::{
    ALL_ZERO, IQ4_PROPOSALS, Measure, Q3_K_LEVELS, Q3_K_ROUNDS, Q6_K_LEVELS, ScaleAndMinSearch,
    grid,
};
use crate::rounding::nearest_int;

/// What a search for scale and minimum finds.
pub(crate) struct ScaleAndMin<const LEN: usize> {
    /// Distance between two levels.
    pub(crate) scale: f32,
    /// What is subtracted after scaling: the negated minimum, so not negative.
    pub(crate) min: f32,
    /// The levels that this scale was fitted to.
    pub(crate) levels: [u8; LEN],
}

/// Searches scale and minimum for a sub-block of `LEN` weights.
pub(crate) fn scale_and_min<const LEN: usize>(
    x: &[f32; LEN],
    search: ScaleAndMinSearch,
) -> ScaleAndMin<LEN> {
    let ScaleAndMinSearch {
        max_level,
        first,
        step,
        steps,
        measure,
    } = search;

    let weights = match measure {
        Measure::Squares => {
            let mut sum_x2 = 0.0;
            for x in x {
                sum_x2 += x * x;
            }
            let root_mean_square = (sum_x2 / LEN as f32).sqrt();
            x.map(|x| root_mean_square + x.abs())
        }
        Measure::Magnitudes => x.map(f32::abs),
    };

    let (mut min, mut max) = (x[0], x[0]);
    let mut sum_w = weights[0];
    let mut sum_x = weights[0] * x[0];
    for (&x, w) in x.iter().zip(weights).skip(1) {
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
    if max == min {
        return ScaleAndMin {
            scale: 0.0,
            min: -min,
            levels: [0; LEN],
        };
    }

    let levels_for = |level_per_x: f32, min: f32| {
        x.map(|x| nearest_int(level_per_x * (x - min)).clamp(0, max_level as i32) as u8)
    };
    let error_of = |levels: &[u8; LEN], scale: f32, min: f32| {
        let mut error = 0.0;
        for ((x, w), &level) in x.iter().zip(weights).zip(levels) {
            let difference = scale * f32::from(level) + min - x;
            error += w * match measure {
                Measure::Squares => difference * difference,
                Measure::Magnitudes => difference.abs(),
            };
        }
        error
    };

    let level_per_x = max_level / (max - min);
    let mut scale = 1.0 / level_per_x;
    let mut levels = levels_for(level_per_x, min);
    let mut least_error = error_of(&levels, scale, min);

    for i in 0..=steps {
        let proposal = levels_for((first + step * f32::from(i) + max_level) / (max - min), min);
        let (mut sum_l, mut sum_l2, mut sum_xl) = (0.0, 0.0, 0.0);
        for ((x, w), &level) in x.iter().zip(weights).zip(&proposal) {
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
pub(crate) struct Scale {
    /// Distance between two levels; its sign may be either.
    pub(crate) scale: f32,
    /// The levels that this scale was fitted to, made positive (plus 32 in Q6_K, plus 4 in Q3_K);
    /// all 0 for a sub-block of zeros.
    pub(crate) levels: [u8; 16],
}

/// Searches the scale for a sub-block of 16 weights.
pub(crate) fn scale(x: &[f32; 16]) -> Scale {
    let largest = largest(x);
    if largest.abs() < ALL_ZERO {
        return Scale {
            scale: 0.0,
            levels: [0; 16],
        };
    }

    let levels_for =
        |level_per_x: f32| x.map(|x| nearest_int(level_per_x * x).clamp(-32, 31) as i8);
    let sums_of = |levels: &[i8; 16]| {
        let (mut sum_xl, mut sum_l2) = (0.0, 0.0);
        for (x, &level) in x.iter().zip(levels) {
            let w = x * x;
            let l = f32::from(level);
            sum_xl += w * x * l;
            sum_l2 += w * l * l;
        }
        (sum_xl, sum_l2)
    };

    let mut levels = levels_for(-Q6_K_LEVELS / largest);
    let (sum_xl, sum_l2) = sums_of(&levels);
    let mut scale = if sum_l2 != 0.0 { sum_xl / sum_l2 } else { 0.0 };
    let mut best = scale * sum_xl;

    for i in (-9i8..=9).filter(|&i| i != 0) {
        let proposal = levels_for(-(Q6_K_LEVELS + 0.1 * f32::from(i)) / largest);
        let (sum_xl, sum_l2) = sums_of(&proposal);
        if sum_l2 > 0.0 && sum_xl * sum_xl > best * sum_l2 {
            scale = sum_xl / sum_l2;
            best = scale * sum_xl;
            levels = proposal;
        }
    }
    Scale {
        scale,
        levels: levels.map(|l| (l + 32) as u8),
    }
}

/// Searches the scale for a sub-block of 16 weights, moving the level of one weight at a time.
pub(crate) fn refined_scale(x: &[f32; 16]) -> Scale {
    let largest = largest(x);
    if largest.abs() < ALL_ZERO {
        return Scale {
            scale: 0.0,
            levels: [0; 16],
        };
    }

    let level_per_x = -Q3_K_LEVELS / largest;
    let mut levels = x.map(|x| nearest_int(level_per_x * x).clamp(-4, 3) as f32);
    let (mut sum_xl, mut sum_l2) = (0.0, 0.0);
    for (x, l) in x.iter().zip(levels) {
        let w = x * x;
        sum_xl += w * x * l;
        sum_l2 += w * l * l;
    }

    for _ in 0..Q3_K_ROUNDS {
        let mut moved = false;
        for (x, level) in x.iter().zip(&mut levels) {
            let (w, l) = (x * x, *level);
            // The sums without this weight, whose best level they tell.
            let others_xl = sum_xl - w * x * l;
            let others_l2 = sum_l2 - w * l * l;
            if others_xl > 0.0 {
                let l = nearest_int(x * others_l2 / others_xl).clamp(-4, 3) as f32;
                let with_xl = others_xl + w * x * l;
                let with_l2 = others_l2 + w * l * l;
                if l != *level
                    && with_l2 > 0.0
                    && with_xl * with_xl * sum_l2 > sum_xl * sum_xl * with_l2
                {
                    (*level, sum_xl, sum_l2) = (l, with_xl, with_l2);
                    moved = true;
                }
            }
        }
        if !moved {
            break;
        }
    }
    Scale {
        scale: if sum_l2 > 0.0 { sum_xl / sum_l2 } else { 0.0 },
        levels: levels.map(|l| (l + Q3_K_LEVELS) as u8),
    }
}

/// Searches the scale for 32 weights on the uneven grid.
pub(crate) fn grid_scale(x: &[f32; 32]) -> f32 {
    let largest = largest(x);
    if largest.abs() < ALL_ZERO {
        return 0.0;
    }

    let sums_for = |per_x: f32| {
        let (mut sum_xq, mut sum_q2) = (0.0, 0.0);
        for x in x {
            let w = x * x;
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

/// The largest magnitude in a block (Q8_0).
pub(crate) fn magnitude(x: &[f32; 32]) -> f32 {
    largest(x).abs()
}

/// The weight of the largest magnitude, the first of several; 0 where all are zero.
pub(crate) fn largest(x: &[f32]) -> f32 {
    let mut largest = 0.0f32;
    for &x in x {
        if x.abs() > largest.abs() {
            largest = x;
        }
    }
    largest
}

/// The smallest and the largest weight (Q4_1, Q5_1), the first of several: it may be either zero.
pub(crate) fn range(x: &[f32; 32]) -> (f32, f32) {
    let (mut min, mut max) = (f32::MAX, f32::MIN);
    for &x in x {
        if x < min {
            min = x;
        }
        if x > max {
            max = x;
        }
    }
    (min, max)
}
