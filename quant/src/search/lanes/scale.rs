//! Scale alone: Q6_K.

use super::{Lanes, select};
use crate::rounding::{nearest, nearest_between, nearest_up_to};
use crate::search::{ALL_ZERO, Q6_K_LEVELS, Q6_K_PROPOSALS};

/// Scales of `N` sub-blocks of 16 weights: the same bits as [`crate::search::scalar::scale`] finds
/// for each.
#[inline(always)]
pub(crate) fn scale<const N: usize, const ROUNDS: bool>(x: &Lanes<N, 16>) -> [f32; N] {
    // Weights count with w = x², so w·x is the same for every proposal.
    let (mut w, mut wx) = (Lanes::<N, 16>::ZERO, Lanes::<N, 16>::ZERO);
    let (mut magnitude, mut largest) = ([0.0; N], [0.0; N]);
    for i in 0..16 {
        for n in 0..N {
            let x = x.0[i][n];
            w.0[i][n] = x * x;
            wx.0[i][n] = x * x * x;
            let larger = x.abs() > magnitude[n];
            magnitude[n] = select(larger, x.abs(), magnitude[n]);
            largest[n] = select(larger, x, largest[n]);
        }
    }

    let (mut scale, mut best) = ([0.0; N], [0.0; N]);
    for proposal in Q6_K_PROPOSALS {
        let levels = -(Q6_K_LEVELS + 0.1 * f32::from(proposal));
        let mut level_per_x = [0.0; N];
        for n in 0..N {
            level_per_x[n] = levels / largest[n];
        }
        // The largest weight is multiplied to `levels`, give or take a rounding, and no other to
        // more in magnitude. So limits that are more than half a level beyond are not needed.
        let (sum_xl, sum_l2) = match proposal {
            ..=-6 => sums::<N, ROUNDS, false, false>(x, &w, &wx, &level_per_x),
            -5..=4 => sums::<N, ROUNDS, false, true>(x, &w, &wx, &level_per_x),
            _ => sums::<N, ROUNDS, true, true>(x, &w, &wx, &level_per_x),
        };
        for n in 0..N {
            let fitted = sum_xl[n] / sum_l2[n];
            let better = if proposal == 0 {
                sum_l2[n] != 0.0
            } else {
                (sum_l2[n] > 0.0) & (sum_xl[n] * sum_xl[n] > best[n] * sum_l2[n])
            };
            scale[n] = select(better, fitted, scale[n]);
            best[n] = select(better, fitted * sum_xl[n], best[n]);
        }
    }
    for n in 0..N {
        scale[n] = if magnitude[n] < ALL_ZERO {
            0.0
        } else {
            scale[n]
        };
    }
    scale
}

/// For the levels of a proposal: the sums of `w·x·l` and of `w·l²`. Levels are kept to the lowest
/// and to the highest where that is asked for.
#[inline(always)]
fn sums<const N: usize, const ROUNDS: bool, const LOWEST: bool, const HIGHEST: bool>(
    x: &Lanes<N, 16>,
    w: &Lanes<N, 16>,
    wx: &Lanes<N, 16>,
    level_per_x: &[f32; N],
) -> ([f32; N], [f32; N]) {
    let (mut sum_xl, mut sum_l2) = ([0.0; N], [0.0; N]);
    for i in 0..16 {
        for n in 0..N {
            let value = level_per_x[n] * x.0[i][n];
            let l = if LOWEST {
                nearest_between::<ROUNDS>(value, -Q6_K_LEVELS, Q6_K_LEVELS - 1.0)
            } else if HIGHEST {
                nearest_up_to::<ROUNDS>(value, Q6_K_LEVELS - 1.0)
            } else {
                nearest::<ROUNDS>(value)
            };
            sum_xl[n] += wx.0[i][n] * l;
            sum_l2[n] += w.0[i][n] * l * l;
        }
    }
    (sum_xl, sum_l2)
}
