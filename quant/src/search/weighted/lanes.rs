//! The weighted searches for `N` sub-blocks at once, one in each lane; see [`crate::search::lanes`].
//!
//! What the values of a proposal are is remembered as what makes levels of weights
//! ([`Fit`], [`ScaleFit`]), so that the levels need not be stored in the search.

#![allow(
    clippy::needless_range_loop,
    reason = "the loops over lanes are the algorithm"
)]

use super::{FIRST, STEP, STEPS, Steps, TENTHS, UNIT_ROUNDS, UNIT_TENTHS, scalar};
use crate::rounding::{nearest_between, nearest_int, nearest_up_to};
use crate::search::lanes::{Lanes, error, largest_of_lanes, select};
use crate::search::{ALL_ZERO, IQ4_PROPOSALS, Measure, grid};

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
pub(crate) fn levels_from<const LEN: usize>(
    x: &[f32; LEN],
    level_per_x: f32,
    from: f32,
    max_level: f32,
) -> [u8; LEN] {
    let mut levels = [0; LEN];
    for (level, x) in levels.iter_mut().zip(x) {
        *level = nearest_int(level_from(*x, level_per_x, from, max_level)) as u8;
    }
    levels
}

/// The level of one weight as a float. NaN is level 0, and an infinity the lowest or highest.
#[inline(always)]
fn level_from(x: f32, level_per_x: f32, from: f32, max_level: f32) -> f32 {
    nearest_between(level_per_x * (x - from), 0.0, max_level)
}

/// Scales and minimums of `N` sub-blocks: the same bits as [`scalar::scale_and_min`] finds for
/// each.
#[inline(always)]
pub(crate) fn scale_and_min<const N: usize, const LEN: usize>(
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
            levels.0[i][n] = level_from(x.0[i][n], first_per_x[n], min[n], max_level);
        }
    }
    let mut least_error = error(x, w, &levels, &scale, &min, Measure::Squares);

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
                let l = level_from(x, level_per_x[n], min[n], max_level);
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
        let error = error(x, w, &levels, &line_scale, &line_min, Measure::Squares);
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

/// What a search for a scale alone finds in each lane.
pub(crate) struct ScaleFit<const N: usize> {
    /// Distance between two levels; its sign may be either.
    pub(crate) scale: [f32; N],
    /// The levels that the scale was fitted to are those of [`levels_around_zero`] with this.
    pub(crate) level_per_x: [f32; N],
}

/// Levels `-half..half` of weights, made positive. Where `level_per_x` is NaN all are 0.
#[inline(always)]
pub(crate) fn levels_around_zero<const LEN: usize>(
    x: &[f32; LEN],
    level_per_x: f32,
    half: i8,
) -> [u8; LEN] {
    let half = f32::from(half);
    let mut levels = [0; LEN];
    for (level, x) in levels.iter_mut().zip(x) {
        let l = nearest_between(level_per_x * x, -half, half - 1.0);
        *level = nearest_int(l + half) as u8;
    }
    levels
}

/// Scales of `N` sub-blocks of finite weights: the same bits as [`scalar::scale`] finds for each.
#[inline(always)]
pub(crate) fn scale<const N: usize, const LEN: usize>(
    x: &Lanes<N, LEN>,
    w: &Lanes<N, LEN>,
    half: i8,
) -> ScaleFit<N> {
    let largest = largest_of_lanes(x);
    let mut wx = Lanes::<N, LEN>::ZERO;
    for i in 0..LEN {
        for n in 0..N {
            wx.0[i][n] = w.0[i][n] * x.0[i][n];
        }
    }

    let half = f32::from(half);
    let (mut scale, mut best, mut fit) = ([0.0; N], [0.0; N], [0.0; N]);
    for tenths in TENTHS {
        let proposal = -(half + 0.1 * f32::from(tenths));
        let mut level_per_x = [0.0; N];
        for n in 0..N {
            level_per_x[n] = proposal / largest[n];
        }
        let (mut sum_xl, mut sum_l2) = ([0.0; N], [0.0; N]);
        for i in 0..LEN {
            for n in 0..N {
                let value = level_per_x[n] * x.0[i][n];
                // Less than half a level beyond the lowest level rounds to that by itself.
                let l = if tenths < 5 {
                    nearest_up_to(value, half - 1.0)
                } else {
                    nearest_between(value, -half, half - 1.0)
                };
                sum_xl[n] += wx.0[i][n] * l;
                sum_l2[n] += w.0[i][n] * l * l;
            }
        }
        for n in 0..N {
            let fitted = sum_xl[n] / sum_l2[n];
            let (better, fitted) = if tenths == 0 {
                (true, select(sum_l2[n] != 0.0, fitted, 0.0))
            } else {
                let better = sum_xl[n] * sum_xl[n] > best[n] * sum_l2[n];
                ((sum_l2[n] > 0.0) & better, fitted)
            };
            scale[n] = select(better, fitted, scale[n]);
            best[n] = select(better, fitted * sum_xl[n], best[n]);
            fit[n] = select(better, proposal, fit[n]);
        }
    }

    for n in 0..N {
        let all_zero = largest[n].abs() < ALL_ZERO;
        scale[n] = select(all_zero, 0.0, scale[n]);
        fit[n] = select(all_zero, f32::NAN, fit[n] / largest[n]);
    }
    ScaleFit {
        scale,
        level_per_x: fit,
    }
}

/// Scales of `N` blocks of 32 weights on the uneven grid: the same bits as
/// [`scalar::grid_scale`] finds for each. As in [`crate::search::lanes::grid_scale`], a weight has
/// two levels at most.
#[inline(always)]
pub(crate) fn grid_scale<const N: usize>(x: &Lanes<N, 32>, w: &Lanes<N, 32>) -> [f32; N] {
    let largest = largest_of_lanes(x);
    let (mut first, mut last, mut opposite) = ([0.0; N], [0.0; N], [0.0; N]);
    for n in 0..N {
        first[n] = f32::from(IQ4_PROPOSALS.0) / largest[n];
        last[n] = f32::from(IQ4_PROPOSALS.1) / largest[n];
        opposite[n] = 1.0 / (largest[n] / 127.0);
    }

    let mut lower = Lanes::<N, 32>::ZERO;
    let mut upper = Lanes::<N, 32>::ZERO;
    let mut middle = Lanes::<N, 32>::ZERO;
    let (mut sum_xq, mut sum_q2) = ([0.0; N], [0.0; N]);
    for i in 0..32 {
        for n in 0..N {
            let (x, w) = (x.0[i][n], w.0[i][n]);
            let (a, b) = (grid::value(first[n] * x), grid::value(last[n] * x));
            lower.0[i][n] = select(a < b, a, b);
            upper.0[i][n] = select(a < b, b, a);
            middle.0[i][n] = (a + b) / 2.0;
            let q = grid::value(opposite[n] * x);
            sum_xq[n] += w * q * x;
            sum_q2[n] += w * q * q;
        }
    }
    let (mut scale, mut best) = ([0.0; N], [0.0; N]);
    for n in 0..N {
        scale[n] = select(sum_q2[n] > 0.0, sum_xq[n] / sum_q2[n], 0.0);
        best[n] = scale[n] * sum_xq[n];
    }

    for value in IQ4_PROPOSALS.0..=IQ4_PROPOSALS.1 {
        let mut per_x = [0.0; N];
        for n in 0..N {
            per_x[n] = f32::from(value) / largest[n];
        }
        let (mut sum_xq, mut sum_q2) = ([0.0; N], [0.0; N]);
        for i in 0..32 {
            for n in 0..N {
                let x = x.0[i][n];
                let is_lower = per_x[n] * x < middle.0[i][n];
                let q = select(is_lower, lower.0[i][n], upper.0[i][n]);
                let wq = w.0[i][n] * q;
                sum_xq[n] += wq * x;
                sum_q2[n] += wq * q;
            }
        }
        for n in 0..N {
            let better = (sum_q2[n] > 0.0) & (sum_xq[n] * sum_xq[n] > best[n] * sum_q2[n]);
            let fitted = sum_xq[n] / sum_q2[n];
            scale[n] = select(better, fitted, scale[n]);
            best[n] = select(better, fitted * sum_xq[n], best[n]);
        }
    }
    for n in 0..N {
        scale[n] = select(largest[n].abs() < ALL_ZERO, 0.0, scale[n]);
    }
    scale
}

/// Units of `N` super-blocks of `LEN` scales (or minimums): the same as [`scalar::unit`] finds for
/// each.
///
/// What is rounded here may be any number, so it is rounded as in the reference. A lane where
/// nothing moves any more stays as it is in further rounds.
#[inline(always)]
pub(crate) fn unit<const N: usize, const LEN: usize>(
    scales: &Lanes<N, LEN>,
    w: &Lanes<N, LEN>,
    max_step: u8,
) -> [Steps<LEN>; N] {
    let mut max = [0.0; N];
    for scales in &scales.0 {
        for n in 0..N {
            max[n] = select(max[n] > scales[n], max[n], scales[n]);
        }
    }

    let (highest, limit) = (f32::from(max_step), i32::from(max_step));
    let mut per_unit = [0.0; N];
    let mut least_error = [0.0; N];
    for n in 0..N {
        per_unit[n] = highest / max[n];
    }
    for i in 0..LEN {
        for n in 0..N {
            let (x, w) = (scales.0[i][n], w.0[i][n]);
            let step = (nearest_int(per_unit[n] * x) & 255) as f32;
            let difference = x - 1.0 / per_unit[n] * step;
            least_error[n] += w * difference * difference;
        }
    }
    for tenths in UNIT_TENTHS {
        let (mut proposal, mut unit, mut error) = ([0.0; N], [0.0; N], [0.0; N]);
        for n in 0..N {
            proposal[n] = (0.1 * f32::from(tenths) + highest) / max[n];
            unit[n] = 1.0 / proposal[n];
        }
        for i in 0..LEN {
            for n in 0..N {
                let (x, w) = (scales.0[i][n], w.0[i][n]);
                let step = nearest_int(proposal[n] * x).min(limit) as f32;
                let difference = x - unit[n] * step;
                error[n] += w * difference * difference;
            }
        }
        for n in 0..N {
            let better = error[n] < least_error[n];
            least_error[n] = select(better, error[n], least_error[n]);
            per_unit[n] = select(better, proposal[n], per_unit[n]);
        }
    }

    let mut steps = [[0; N]; LEN];
    let (mut sum_xl, mut sum_l2) = ([0.0; N], [0.0; N]);
    for i in 0..LEN {
        for n in 0..N {
            let (x, w) = (scales.0[i][n], w.0[i][n]);
            let step = nearest_int(per_unit[n] * x).min(limit);
            steps[i][n] = step & 255;
            let l = step as f32;
            sum_xl[n] += w * x * l;
            sum_l2[n] += w * l * l;
        }
    }
    for _ in 0..UNIT_ROUNDS {
        let mut moved = [0u32; N];
        for i in 0..LEN {
            for n in 0..N {
                let (x, w, step) = (scales.0[i][n], w.0[i][n], steps[i][n]);
                let l = step as f32;
                let others_xl = sum_xl[n] - w * x * l;
                let others_l2 = sum_l2[n] - w * l * l;
                let best = nearest_int(x * others_l2 / others_xl).min(limit);
                let l = best as f32;
                let with_xl = others_xl + w * x * l;
                let with_l2 = others_l2 + w * l * l;
                let better = (others_xl > 0.0)
                    & (others_l2 > 0.0)
                    & (best != step)
                    & (with_xl * with_xl * sum_l2[n] > sum_xl[n] * sum_xl[n] * with_l2);
                steps[i][n] = std::hint::select_unpredictable(better, best & 255, step);
                sum_xl[n] = select(better, with_xl, sum_xl[n]);
                sum_l2[n] = select(better, with_l2, sum_l2[n]);
                moved[n] |= u32::from(better);
            }
        }
        if moved == [0; N] {
            break;
        }
    }

    let mut found = [Steps {
        unit: 0.0,
        steps: [0; LEN],
    }; N];
    for n in 0..N {
        if max[n] < ALL_ZERO {
            continue;
        }
        found[n].unit = if sum_l2[n] > 0.0 {
            sum_xl[n] / sum_l2[n]
        } else {
            0.0
        };
        for i in 0..LEN {
            found[n].steps[i] = steps[i][n] as u8;
        }
    }
    found
}

/// Signed units of `N` super-blocks of 16 scales, and the steps `-32..32` that they become, made
/// positive: the same as [`scalar::scale`] finds for each.
///
/// Scales that are not finite are left to the reference, as [`scale`] is for finite ones.
#[inline(always)]
pub(crate) fn signed_unit<const N: usize>(
    scales: &Lanes<N, 16>,
    w: &Lanes<N, 16>,
) -> ([f32; N], [[u8; 16]; N]) {
    let mut found = scale(scales, w, 32);
    let mut steps = [[0; 16]; N];
    for n in 0..N {
        let of_lane = scales.0.map(|scales| scales[n]);
        if of_lane.iter().all(|scale| scale.is_finite()) {
            steps[n] = levels_around_zero(&of_lane, found.level_per_x[n], 32);
        } else {
            let by_reference = scalar::scale(&of_lane, &w.0.map(|w| w[n]), 32);
            (found.scale[n], steps[n]) = (by_reference.scale, by_reference.levels);
        }
    }
    (found.scale, steps)
}
