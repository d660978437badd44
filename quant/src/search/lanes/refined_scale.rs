//! Scale alone, level by level: Q3_K.

use super::{Lanes, largest_of_lanes, select};
use crate::rounding::nearest_int;
use crate::search::{ALL_ZERO, Q3_K_LEVELS, Q3_K_ROUNDS};

/// Scales of `N` sub-blocks of 16 weights: the same bits as [`crate::search::scalar::refined_scale`]
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
