//! The searches for `N` sub-blocks at once, one in each lane.
//!
//! `x[i][lane]` is weight `i` of sub-block `lane`. Every loop over lanes does the same operation
//! on each, so the compiler makes it one vector operation (or a few, where `N` is more than the
//! width); the loops over `i` keep the scalar order. Branches of the reference become selects.
//!
//! # Rounding
//! The reference rounds with `nearest_int`, whose results beyond 2²² are strange, and belong to
//! the format all the same. [`nearest_between`] is quicker, and equal within that range. The
//! values that a proposal rounds lie between those of the smallest and the largest weight, since
//! subtracting and multiplying by the same number keep the order also where results are rounded;
//! so these two tell of all. Where one is out of range, or no number because all weights are the
//! same, the lane is left to the reference.

#![allow(
    clippy::needless_range_loop,
    reason = "the loops over lanes are the algorithm"
)]

use super::{
    ALL_ZERO, IQ4_PROPOSALS, Measure, Q3_K_LEVELS, Q3_K_ROUNDS, Q6_K_LEVELS, Q6_K_PROPOSALS,
    ScaleAndMinSearch, grid, scalar,
};
use crate::rounding::{is_in_range, nearest_between, nearest_int};

/// One number for each weight of `N` sub-blocks of `LEN`: `rows[i][lane]`. Aligned to the widest
/// vector, as one that lies across two cache lines takes twice as long to load.
#[repr(align(64))]
pub(crate) struct Lanes<const N: usize, const LEN: usize>(pub(crate) [[f32; N]; LEN]);

impl<const N: usize, const LEN: usize> Lanes<N, LEN> {
    /// Zero for each weight.
    pub(crate) const ZERO: Self = Self([[0.0; N]; LEN]);
}

/// Scales and minimums of `N` sub-blocks of `LEN` weights: the same bits as
/// [`super::scalar::scale_and_min`] finds for each.
#[inline(always)]
pub(crate) fn scale_and_min<const N: usize, const LEN: usize>(
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
            levels.0[i][n] = nearest_between(value, 0.0, max_level);
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
        let (mut sum_l, mut sum_l2, mut sum_xl) = ([0.0; N], [0.0; N], [0.0; N]);
        for i in 0..LEN {
            for n in 0..N {
                let (x, w) = (x.0[i][n], weights.0[i][n]);
                let l = nearest_between(level_per_x[n] * (x - min[n]), 0.0, max_level);
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

/// Chooses without a branch, for which a vector has no use.
#[inline(always)]
pub(super) fn select(condition: bool, yes: f32, no: f32) -> f32 {
    std::hint::select_unpredictable(condition, yes, no)
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

/// Scales of `N` sub-blocks of 16 weights: the same bits as [`super::scalar::scale`] finds for
/// each.
#[inline(always)]
pub(crate) fn scale<const N: usize>(x: &Lanes<N, 16>) -> [f32; N] {
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
        let (mut sum_xl, mut sum_l2) = ([0.0; N], [0.0; N]);
        for i in 0..16 {
            for n in 0..N {
                let l = nearest_between(level_per_x[n] * x.0[i][n], -32.0, 31.0);
                sum_xl[n] += wx.0[i][n] * l;
                sum_l2[n] += w.0[i][n] * l * l;
            }
        }
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

/// The weight of the largest magnitude in each lane, the first of several.
#[inline(always)]
pub(super) fn largest_of_lanes<const N: usize, const LEN: usize>(x: &Lanes<N, LEN>) -> [f32; N] {
    let mut largest = [0.0f32; N];
    for x in &x.0 {
        for n in 0..N {
            largest[n] = select(x[n].abs() > largest[n].abs(), x[n], largest[n]);
        }
    }
    largest
}

/// Scales of `N` sub-blocks of 16 weights: the same bits as [`super::scalar::refined_scale`]
/// finds for each.
///
/// What is rounded here may be any number, so it is rounded as in the reference. A lane where
/// nothing moves any more stays as it is in further rounds.
#[inline(always)]
pub(crate) fn refined_scale<const N: usize>(x: &Lanes<N, 16>) -> [f32; N] {
    let largest = largest_of_lanes(x);
    let mut level_per_x = [0.0; N];
    for n in 0..N {
        level_per_x[n] = -Q3_K_LEVELS / largest[n];
    }
    let mut levels = Lanes::<N, 16>::ZERO;
    let (mut sum_xl, mut sum_l2) = ([0.0; N], [0.0; N]);
    for i in 0..16 {
        for n in 0..N {
            let x = x.0[i][n];
            let w = x * x;
            let l = nearest_int(level_per_x[n] * x).clamp(-4, 3) as f32;
            levels.0[i][n] = l;
            sum_xl[n] += w * x * l;
            sum_l2[n] += w * l * l;
        }
    }

    for _ in 0..Q3_K_ROUNDS {
        let mut moved = [0u32; N];
        for i in 0..16 {
            for n in 0..N {
                let x = x.0[i][n];
                let (w, l) = (x * x, levels.0[i][n]);
                let others_xl = sum_xl[n] - w * x * l;
                let others_l2 = sum_l2[n] - w * l * l;
                let best = nearest_int(x * others_l2 / others_xl).clamp(-4, 3) as f32;
                let with_xl = others_xl + w * x * best;
                let with_l2 = others_l2 + w * best * best;
                let better = (others_xl > 0.0)
                    & (best != l)
                    & (with_l2 > 0.0)
                    & (with_xl * with_xl * sum_l2[n] > sum_xl[n] * sum_xl[n] * with_l2);
                levels.0[i][n] = select(better, best, l);
                sum_xl[n] = select(better, with_xl, sum_xl[n]);
                sum_l2[n] = select(better, with_l2, sum_l2[n]);
                moved[n] |= u32::from(better);
            }
        }
        if moved == [0; N] {
            break;
        }
    }

    let mut scale = [0.0; N];
    for n in 0..N {
        let found = select(sum_l2[n] > 0.0, sum_xl[n] / sum_l2[n], 0.0);
        scale[n] = select(largest[n].abs() < ALL_ZERO, 0.0, found);
    }
    scale
}

/// Scales of `N` blocks of 32 weights on the uneven grid: the same bits as
/// [`super::scalar::grid_scale`] finds for each.
///
/// From the first proposal to the last a weight is stretched by so little that it has two levels
/// at most. So the grid is searched for these two once, and each proposal compares with the middle
/// between them.
#[inline(always)]
pub(crate) fn grid_scale<const N: usize>(x: &Lanes<N, 32>) -> [f32; N] {
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
            let x = x.0[i][n];
            let (a, b) = (grid::value(first[n] * x), grid::value(last[n] * x));
            lower.0[i][n] = select(a < b, a, b);
            upper.0[i][n] = select(a < b, b, a);
            middle.0[i][n] = (a + b) / 2.0;
            let w = x * x;
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
                let wq = x * x * q;
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

/// As [`super::scalar::magnitude`]: without the sign, floats are in the order of their bits, and
/// the maximum of integers may be taken in any order.
#[inline(always)]
pub(crate) fn magnitude(x: &[f32; 32]) -> f32 {
    let mut largest = 0;
    for x in x {
        largest = i32::max(largest, x.abs().to_bits() as i32);
    }
    f32::from_bits(largest as u32)
}

/// As [`super::scalar::largest`].
#[inline(always)]
pub(crate) fn largest(x: &[f32; 32]) -> f32 {
    let (min, max) = range(x);
    if -min > max {
        min
    } else if max > -min {
        max
    } else {
        // As far on one side as on the other, or all zero: the first one counts.
        scalar::largest(x)
    }
}

/// As [`super::scalar::range`].
#[inline(always)]
pub(crate) fn range(x: &[f32; 32]) -> (f32, f32) {
    // Negative floats are in the reverse order of their bits. Turned around they are in order as
    // integers, with -0 before +0.
    let turn = |bits: i32| bits ^ ((bits >> 31) & i32::MAX);
    let (mut min, mut max) = (i32::MAX, i32::MIN);
    for x in x {
        let ordered = turn(x.to_bits() as i32);
        min = min.min(ordered);
        max = max.max(ordered);
    }
    let (min, max) = (
        f32::from_bits(turn(min) as u32),
        f32::from_bits(turn(max) as u32),
    );
    // The two zeros are equal in the reference, and of equals the first counts.
    if min == 0.0 || max == 0.0 {
        scalar::range(x)
    } else {
        (min, max)
    }
}
