//! Scale and minimum: Q2_K, Q4_K and Q5_K.
//!
//! # Rounding
//! The reference rounds with `nearest_int`, whose results beyond 2²² are strange, and belong to
//! the format all the same. [`nearest_between`] is quicker, and equal within that range. The
//! values that a proposal rounds lie between those of the smallest and the largest weight, since
//! subtracting and multiplying by the same number keep the order also where results are rounded;
//! so these two tell of all. Where one is out of range, or no number because all weights are the
//! same, the lane is left to the reference.

use super::{Lanes, select};
use crate::rounding::{is_in_range, nearest_between, nearest_from};
use crate::search::{Measure, ScaleAndMinSearch, scalar};

/// Scales and minimums of `N` sub-blocks of `LEN` weights: the same bits as
/// [`crate::search::scalar::scale_and_min`] finds for each.
#[inline(always)]
pub(crate) fn scale_and_min<const N: usize, const LEN: usize, const ROUNDS: bool>(
    x: &Lanes<N, LEN>,
    search: ScaleAndMinSearch,
) -> ([f32; N], [f32; N]) {
    let ScaleAndMinSearch {
        max_level,
        first,
        step,
        steps,
        measure,
    } = search;

    // What is added to the magnitudes; adding nothing is the same as adding zero.
    let mut base_weight = [0.0; N];
    if measure == Measure::Squares {
        for x in &x.0 {
            for n in 0..N {
                base_weight[n] += x[n] * x[n];
            }
        }
        for n in 0..N {
            base_weight[n] = (base_weight[n] / LEN as f32).sqrt();
        }
    }

    let mut weights = Lanes::<N, LEN>::ZERO;
    let (mut min, mut max) = (x.0[0], x.0[0]);
    let (mut sum_w, mut sum_x) = ([-0.0; N], [-0.0; N]);
    for i in 0..LEN {
        for n in 0..N {
            let x = x.0[i][n];
            let w = base_weight[n] + x.abs();
            weights.0[i][n] = w;
            min[n] = if x < min[n] { x } else { min[n] };
            max[n] = if x > max[n] { x } else { max[n] };
            sum_w[n] += w;
            sum_x[n] += w * x;
        }
    }
    let least = min;
    for n in 0..N {
        min[n] = select(min[n] > 0.0, 0.0, min[n]);
    }

    let mut levels = Lanes::<N, LEN>::ZERO;
    let mut level_per_x = [0.0; N];
    let mut scale = [0.0; N];
    let mut in_range = [true; N];
    for n in 0..N {
        level_per_x[n] = max_level / (max[n] - min[n]);
        in_range[n] = is_in_range(level_per_x[n] * (least[n] - min[n]))
            & is_in_range(level_per_x[n] * (max[n] - min[n]));
        scale[n] = 1.0 / level_per_x[n];
    }
    for i in 0..LEN {
        for n in 0..N {
            let value = level_per_x[n] * (x.0[i][n] - min[n]);
            levels.0[i][n] = nearest_between::<ROUNDS>(value, 0.0, max_level);
        }
    }
    let mut least_error = error(x, &weights, &levels, &scale, &min, measure);

    for step_index in 0..=steps {
        let stretched = first + step * f32::from(step_index) + max_level;
        for n in 0..N {
            level_per_x[n] = stretched / (max[n] - min[n]);
            in_range[n] &= is_in_range(level_per_x[n] * (least[n] - min[n]))
                & is_in_range(level_per_x[n] * (max[n] - min[n]));
        }
        // The largest weight is multiplied to `stretched`, give or take a rounding, and no other to
        // more. Where that rounds to `max_level`, the limit is not needed.
        let [sum_l, sum_l2, sum_xl] = if stretched < max_level + 0.499 {
            propose::<N, LEN, ROUNDS>(x, &weights, &level_per_x, &min, None, &mut levels)
        } else {
            propose::<N, LEN, ROUNDS>(
                x,
                &weights,
                &level_per_x,
                &min,
                Some(max_level),
                &mut levels,
            )
        };
        let (mut line_scale, mut line_min, mut determinant) = ([0.0; N], [0.0; N], [0.0; N]);
        for n in 0..N {
            determinant[n] = sum_w[n] * sum_l2[n] - sum_l[n] * sum_l[n];
            line_scale[n] = (sum_w[n] * sum_xl[n] - sum_x[n] * sum_l[n]) / determinant[n];
            line_min[n] = (sum_l2[n] * sum_x[n] - sum_l[n] * sum_xl[n]) / determinant[n];
            let through_origin = sum_xl[n] / sum_l2[n];
            line_scale[n] = select(line_min[n] > 0.0, through_origin, line_scale[n]);
            line_min[n] = select(line_min[n] > 0.0, 0.0, line_min[n]);
        }
        let error = error(x, &weights, &levels, &line_scale, &line_min, measure);
        for n in 0..N {
            let better = (determinant[n] > 0.0) & (error[n] < least_error[n]);
            least_error[n] = select(better, error[n], least_error[n]);
            scale[n] = select(better, line_scale[n], scale[n]);
            min[n] = select(better, line_min[n], min[n]);
        }
    }

    for n in 0..N {
        min[n] = -min[n];
        if !in_range[n] {
            let found = scalar::scale_and_min(&x.0.map(|x| x[n]), search);
            (scale[n], min[n]) = (found.scale, found.min);
        }
    }
    (scale, min)
}

/// The weighted error of each lane.
#[inline(always)]
fn error<const N: usize, const LEN: usize>(
    x: &Lanes<N, LEN>,
    weights: &Lanes<N, LEN>,
    levels: &Lanes<N, LEN>,
    scale: &[f32; N],
    min: &[f32; N],
    measure: Measure,
) -> [f32; N] {
    let mut error = [0.0; N];
    for i in 0..LEN {
        for n in 0..N {
            let difference = scale[n] * levels.0[i][n] + min[n] - x.0[i][n];
            error[n] += weights.0[i][n]
                * match measure {
                    Measure::Squares => difference * difference,
                    Measure::Magnitudes => difference.abs(),
                };
        }
    }
    error
}

/// The levels of a proposal, with the limit above where it is needed, and their sums: of `w·l`, of
/// `w·l²` and of `w·x·l`.
#[inline(always)]
fn propose<const N: usize, const LEN: usize, const ROUNDS: bool>(
    x: &Lanes<N, LEN>,
    weights: &Lanes<N, LEN>,
    level_per_x: &[f32; N],
    min: &[f32; N],
    highest: Option<f32>,
    levels: &mut Lanes<N, LEN>,
) -> [[f32; N]; 3] {
    let (mut sum_l, mut sum_l2, mut sum_xl) = ([0.0; N], [0.0; N], [0.0; N]);
    for i in 0..LEN {
        for n in 0..N {
            let (x, w) = (x.0[i][n], weights.0[i][n]);
            let value = level_per_x[n] * (x - min[n]);
            let l = match highest {
                Some(highest) => nearest_between::<ROUNDS>(value, 0.0, highest),
                None => nearest_from::<ROUNDS>(value, 0.0),
            };
            levels.0[i][n] = l;
            sum_l[n] += w * l;
            sum_l2[n] += w * l * l;
            sum_xl[n] += w * l * x;
        }
    }
    [sum_l, sum_l2, sum_xl]
}
