//! Scale alone, uneven levels: IQ4_NL and IQ4_XS.

use super::{Lanes, largest_of_lanes, select};
use crate::search::{ALL_ZERO, IQ4_PROPOSALS, grid};

/// Scales of `N` blocks of 32 weights on the uneven grid: the same bits as
/// [`crate::search::scalar::grid_scale`] finds for each.
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
