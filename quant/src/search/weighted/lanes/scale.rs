//! Scale alone: Q3_K, Q6_K, Q4_0, Q5_0.

use crate::rounding::{nearest, nearest_between, nearest_int, nearest_up_to};
use crate::search::ALL_ZERO;
use crate::search::lanes::{Lanes, select};
use crate::search::weighted::{TENTHS, scalar};

/// What a search for a scale alone finds in each lane.
pub(crate) struct ScaleFit<const N: usize> {
    /// Distance between two levels; its sign may be either.
    pub(crate) scale: [f32; N],
    /// The levels that the scale was fitted to are those of [`levels_around_zero`] with this.
    pub(crate) level_per_x: [f32; N],
}

/// Levels `-half..half` of weights, made positive. Where `level_per_x` is NaN all are 0.
#[inline(always)]
pub(crate) fn levels_around_zero<const LEN: usize, const ROUNDS: bool>(
    x: &[f32; LEN],
    level_per_x: f32,
    half: i8,
) -> [u8; LEN] {
    let half = f32::from(half);
    let mut levels = [0; LEN];
    for (level, x) in levels.iter_mut().zip(x) {
        let l = nearest_between::<ROUNDS>(level_per_x * x, -half, half - 1.0);
        *level = nearest_int(l + half) as u8;
    }
    levels
}

/// Scales of `N` sub-blocks of finite weights: the same bits as [`crate::search::weighted::scalar::scale`] finds for each.
#[inline(always)]
pub(crate) fn scale<const N: usize, const LEN: usize, const ROUNDS: bool>(
    x: &Lanes<N, LEN>,
    w: &Lanes<N, LEN>,
    half: i8,
) -> ScaleFit<N> {
    // Both in one loop: of the products alone the compiler makes gathers, as in `Lanes::fill`.
    let mut wx = Lanes::<N, LEN>::ZERO;
    let mut largest = [0.0f32; N];
    for i in 0..LEN {
        for n in 0..N {
            let x = x.0[i][n];
            wx.0[i][n] = w.0[i][n] * x;
            largest[n] = select(x.abs() > largest[n].abs(), x, largest[n]);
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
        // The largest weight is multiplied to `proposal`, give or take a rounding, and no other to
        // more in magnitude. So limits that are more than half a level beyond are not needed.
        let (sum_xl, sum_l2) = match tenths {
            ..=-6 => sums::<N, LEN, ROUNDS, false, false>(x, w, &wx, &level_per_x, half),
            -5..=4 => sums::<N, LEN, ROUNDS, false, true>(x, w, &wx, &level_per_x, half),
            _ => sums::<N, LEN, ROUNDS, true, true>(x, w, &wx, &level_per_x, half),
        };
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

/// For the levels of a proposal: the sums of `w·x·l` and of `w·l²`. Levels are kept above the lowest
/// and below the highest where that is asked for.
#[inline(always)]
fn sums<
    const N: usize,
    const LEN: usize,
    const ROUNDS: bool,
    const LOWEST: bool,
    const HIGHEST: bool,
>(
    x: &Lanes<N, LEN>,
    w: &Lanes<N, LEN>,
    wx: &Lanes<N, LEN>,
    level_per_x: &[f32; N],
    half: f32,
) -> ([f32; N], [f32; N]) {
    let (mut sum_xl, mut sum_l2) = ([0.0; N], [0.0; N]);
    for i in 0..LEN {
        for n in 0..N {
            let value = level_per_x[n] * x.0[i][n];
            let l = if LOWEST {
                nearest_between::<ROUNDS>(value, -half, half - 1.0)
            } else if HIGHEST {
                nearest_up_to::<ROUNDS>(value, half - 1.0)
            } else {
                nearest::<ROUNDS>(value)
            };
            sum_xl[n] += wx.0[i][n] * l;
            sum_l2[n] += w.0[i][n] * l * l;
        }
    }
    (sum_xl, sum_l2)
}

/// Signed units of `N` super-blocks of 16 scales, and the steps `-32..32` that they become, made
/// positive: the same as [`crate::search::weighted::scalar::scale`] finds for each.
///
/// Scales that are not finite are left to the reference, as [`scale`] is for finite ones.
#[inline(always)]
pub(crate) fn signed_unit<const N: usize, const ROUNDS: bool>(
    scales: &Lanes<N, 16>,
    w: &Lanes<N, 16>,
) -> ([f32; N], [[u8; 16]; N]) {
    let mut found = scale::<N, 16, ROUNDS>(scales, w, 32);
    let mut steps = [[0; 16]; N];
    for n in 0..N {
        let of_lane = scales.0.map(|scales| scales[n]);
        if of_lane.iter().all(|scale| scale.is_finite()) {
            steps[n] = levels_around_zero::<16, ROUNDS>(&of_lane, found.level_per_x[n], 32);
        } else {
            let by_reference = scalar::scale(&of_lane, &w.0.map(|w| w[n]), 32);
            (found.scale[n], steps[n]) = (by_reference.scale, by_reference.levels);
        }
    }
    (found.scale, steps)
}
