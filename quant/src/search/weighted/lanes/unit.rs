//! Units of the scales and minimums of super-blocks: Q2_K, Q4_K, Q5_K.

use crate::rounding::nearest_int;
use crate::search::ALL_ZERO;
use crate::search::lanes::{Lanes, select};
use crate::search::weighted::{Steps, UNIT_ROUNDS, UNIT_TENTHS};

/// Units of `N` super-blocks of `LEN` scales (or minimums): the same as [`crate::search::weighted::scalar::unit`] finds for
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
