//! Scale and minimum: Q2_K, Q4_K, Q5_K, Q4_1, Q5_1.

use crate::rounding::{nearest_between, nearest_int};
use crate::search::lanes::{Lanes, select};
use crate::search::weighted::{FIRST, STEP, STEPS};

/// What a search for scale and minimum finds in each lane.
pub(crate) struct Fit<const N: usize> {
    /// Distance between two levels.
    pub(crate) scale: [f32; N],
    /// What is subtracted after scaling: the negated minimum, so not negative.
    pub(crate) min: [f32; N],
    /// The levels that the scale was fitted to are those of [`levels_from`] with this…
    pub(crate) level_per_x: [f32; N],
    /// …and this.
    pub(crate) from: [f32; N],
}

/// Levels `0..=max_level` of weights, `from` being level 0.
#[inline(always)]
pub(crate) fn levels_from<const LEN: usize, const ROUNDS: bool>(
    x: &[f32; LEN],
    level_per_x: f32,
    from: f32,
    max_level: f32,
) -> [u8; LEN] {
    let mut levels = [0; LEN];
    for (level, x) in levels.iter_mut().zip(x) {
        *level = nearest_int(level_from::<ROUNDS>(*x, level_per_x, from, max_level)) as u8;
    }
    levels
}

/// The level of one weight as a float. NaN is level 0, and an infinity the lowest or highest.
#[inline(always)]
fn level_from<const ROUNDS: bool>(x: f32, level_per_x: f32, from: f32, max_level: f32) -> f32 {
    nearest_between::<ROUNDS>(level_per_x * (x - from), 0.0, max_level)
}

/// Scales and minimums of `N` sub-blocks: the same bits as [`crate::search::weighted::scalar::scale_and_min`] finds for
/// each.
#[inline(always)]
pub(crate) fn scale_and_min<const N: usize, const LEN: usize, const ROUNDS: bool>(
    x: &Lanes<N, LEN>,
    w: &Lanes<N, LEN>,
    max_level: f32,
) -> Fit<N> {
    let (mut min, mut max) = (x.0[0], x.0[0]);
    // Adding to -0 is the same as beginning with the first.
    let (mut sum_w, mut sum_x) = ([-0.0; N], [-0.0; N]);
    for i in 0..LEN {
        for n in 0..N {
            let (x, w) = (x.0[i][n], w.0[i][n]);
            min[n] = if x < min[n] { x } else { min[n] };
            max[n] = if x > max[n] { x } else { max[n] };
            sum_w[n] += w;
            sum_x[n] += w * x;
        }
    }
    let (mut scale, mut first_per_x) = ([0.0; N], [0.0; N]);
    for n in 0..N {
        min[n] = select(min[n] > 0.0, 0.0, min[n]);
        let per_x = max_level / (max[n] - min[n]);
        scale[n] = 1.0 / per_x;
        // Infinite where there is no range or next to none. If none, scale 0 and this minimum are
        // what the reference returns, and no proposal can change them. If next to none, the
        // reference rounds infinities, which become level 0.
        first_per_x[n] = select(per_x == f32::INFINITY, 0.0, per_x);
    }
    // NaN stands for the first proposal.
    let (mut fit_range, mut fit_from) = ([f32::NAN; N], min);

    let mut levels = Lanes::<N, LEN>::ZERO;
    for i in 0..LEN {
        for n in 0..N {
            levels.0[i][n] = level_from::<ROUNDS>(x.0[i][n], first_per_x[n], min[n], max_level);
        }
    }
    let mut least_error = error(x, w, &levels, &scale, &min);

    for step in 0..=STEPS {
        let stretched = FIRST + STEP * f32::from(step) + max_level;
        let mut level_per_x = [0.0; N];
        for n in 0..N {
            level_per_x[n] = stretched / (max[n] - min[n]);
        }
        let (mut sum_l, mut sum_l2, mut sum_xl) = ([0.0; N], [0.0; N], [0.0; N]);
        for i in 0..LEN {
            for n in 0..N {
                let (x, w) = (x.0[i][n], w.0[i][n]);
                let l = level_from::<ROUNDS>(x, level_per_x[n], min[n], max_level);
                levels.0[i][n] = l;
                sum_l[n] += w * l;
                sum_l2[n] += w * l * l;
                sum_xl[n] += w * l * x;
            }
        }
        let (mut line_scale, mut line_min, mut determinant) = ([0.0; N], [0.0; N], [0.0; N]);
        for n in 0..N {
            determinant[n] = sum_w[n] * sum_l2[n] - sum_l[n] * sum_l[n];
            line_scale[n] = (sum_w[n] * sum_xl[n] - sum_x[n] * sum_l[n]) / determinant[n];
            line_min[n] = (sum_l2[n] * sum_x[n] - sum_l[n] * sum_xl[n]) / determinant[n];
            let through_origin = sum_xl[n] / sum_l2[n];
            line_scale[n] = select(line_min[n] > 0.0, through_origin, line_scale[n]);
            line_min[n] = select(line_min[n] > 0.0, 0.0, line_min[n]);
        }
        let error = error(x, w, &levels, &line_scale, &line_min);
        for n in 0..N {
            let better = (determinant[n] > 0.0) & (error[n] < least_error[n]);
            fit_range[n] = select(better, stretched, fit_range[n]);
            fit_from[n] = select(better, min[n], fit_from[n]);
            least_error[n] = select(better, error[n], least_error[n]);
            scale[n] = select(better, line_scale[n], scale[n]);
            min[n] = select(better, line_min[n], min[n]);
        }
    }

    let mut level_per_x = [0.0; N];
    for n in 0..N {
        min[n] = -min[n];
        let per_x = fit_range[n] / (max[n] - fit_from[n]);
        level_per_x[n] = select(fit_range[n].is_nan(), first_per_x[n], per_x);
    }
    Fit {
        scale,
        min,
        level_per_x,
        from: fit_from,
    }
}

/// The weighted error of each lane.
#[inline(always)]
fn error<const N: usize, const LEN: usize>(
    x: &Lanes<N, LEN>,
    w: &Lanes<N, LEN>,
    levels: &Lanes<N, LEN>,
    scale: &[f32; N],
    min: &[f32; N],
) -> [f32; N] {
    let mut error = [0.0; N];
    for i in 0..LEN {
        for n in 0..N {
            let difference = scale[n] * levels.0[i][n] + min[n] - x.0[i][n];
            error[n] += w.0[i][n] * (difference * difference);
        }
    }
    error
}
