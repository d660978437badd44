//! Scale alone, level by level: Q3_K.
//!
//! Each weight waits here for the sums that the one before it left, so a round is slow, and in four
//! sub-blocks of five nothing moves in it. So the question whether anything will is asked first,
//! for all weights at once, in a way that may say yes where the answer is no but not the reverse.
//! The sub-blocks with a yes, wherever they lie, fill the lanes of a round; the same question
//! leaves few of them for the other rounds.
//!
//! # When nothing moves
//! Let `A = sum_xl` and `B = sum_l2` be the sums before a round, `l` the level of a weight and
//! `w = x²`. The others' sums are `A - wxl` and `B - wl²`, and the level that they ask for is
//! `q = x·(B - wl²) / (A - wxl)`, rounded, and brought between the limits. Multiplied out,
//!
//! ```text
//! q - l = (x·B - l·A) / (A - wxl) = e / (1 - s)     with e = x·B/A - l  and  s = wxl/A
//! ```
//!
//! so `q` rounds to `l` where `|e| + s/2 < 1/2`. Where `x·B/A` is beyond a limit, `q` is too,
//! and `e` is what is left when `x·B/A` is brought to the limit. If this holds for all weights,
//! none moves, the sums stay as they are, and the search ends with them.
//!
//! That is so without rounding. With it, each of the others' sums is wrong by up to 2⁻²² of `A` or
//! `B`: three roundings in a product that is at most the sum, one in the difference. Where
//! `|x·B/A|` is below 8 and `|q|` below 5 this makes `q` wrong by less than
//! `13·2⁻²² / (1 - s) = 0.0000031 / (1 - s)`. [`SURE`] is 0.0001 below a half, which leaves
//! 30 times as much. It also leaves `1 - s` above 0.0002, so that `q` stays far below the numbers
//! that the reference rounds strangely. Sums of a size that this reckoning does not hold for
//! (overflow, denormals) are a yes.
//!
//! Nor does anything move where `A` is not above 0, which is every sub-block whose largest weight is
//! positive: as that has level -4, no weight has the sign of its level, no term of `A` is above
//! 0, and so no sum of the others is, which a move asks for. If a term is NaN, all these sums are.

use super::{Lanes, largest_of_lanes, select};
use crate::rounding::{is_in_range, nearest_between};
use crate::search::{ALL_ZERO, Q3_K_LEVELS, Q3_K_ROUNDS, scalar};

/// `|e| + s/2` below which a weight does not move.
const SURE: f32 = 0.4999;

/// The sums `A` that this holds for: from 2⁻¹⁰⁰ to 2¹²⁰.
const SIZES: std::ops::Range<f32> = 7.888_609e-31..1.329_228e36;

/// Scales of at most `MOST` sub-blocks of 16 weights: the same bits as
/// [`scalar::refined_scale`] finds for each. `N` lanes at once, where `MOST` is a multiple of `N`.
#[inline(always)]
pub(crate) fn refined_scales<const N: usize, const MOST: usize, const ROUNDS: bool>(
    x: &[[f32; 16]],
) -> [f32; MOST] {
    let mut scales = [0.0; MOST];
    // Where the sub-blocks lie that may move.
    let mut places = [0; MOST];
    let mut count = 0;
    let mut lanes = Lanes::<N, 16>::ZERO;
    for (i, (x, scales)) in x.chunks(N).zip(scales.as_chunks_mut().0).enumerate() {
        lanes.fill(x);
        let first = first_levels::<N, ROUNDS>(&lanes);
        *scales = fitted(&first);
        let moves = may_move(&lanes, &first);
        for n in 0..x.len() {
            places[count] = N * i + n;
            count += usize::from(moves[n]);
        }
    }

    // After one round few are left, which all the others are for. They begin anew, as a second
    // time costs less than to keep the levels of them all.
    for rounds in [1, Q3_K_ROUNDS] {
        let mut left = 0;
        for start in (0..count).step_by(N) {
            let len = N.min(count - start);
            let (mut group, mut sub_blocks) = ([0; N], [[0.0; 16]; N]);
            for n in 0..len {
                group[n] = places[start + n];
                sub_blocks[n] = x[group[n]];
            }
            lanes.fill(&sub_blocks[..len]);
            let (found, moves) = refine::<N, ROUNDS>(&lanes, rounds);
            for n in 0..len {
                scales[group[n]] = found[n];
                places[left] = group[n];
                left += usize::from(moves[n]);
            }
        }
        count = left;
    }
    scales
}

/// The levels of `N` sub-blocks, and what is needed to change one of them.
struct Levels<const N: usize> {
    /// The weight of the largest magnitude, which was first put on level -4.
    largest: [f32; N],
    /// Level of each weight.
    levels: Lanes<N, 16>,
    /// Sum of `w·x·l`, where the weight of a weight is `w = x²`.
    sum_xl: [f32; N],
    /// Sum of `w·l²`.
    sum_l2: [f32; N],
}

/// The levels that the search begins with.
#[inline(always)]
fn first_levels<const N: usize, const ROUNDS: bool>(x: &Lanes<N, 16>) -> Levels<N> {
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
            // Of about 4 in magnitude at most. Or NaN, where all are zero: their scale is 0
            // whatever the levels.
            let l = nearest_between::<ROUNDS>(level_per_x[n] * x, -4.0, 3.0);
            levels.0[i][n] = l;
            sum_xl[n] += w * x * l;
            sum_l2[n] += w * l * l;
        }
    }
    Levels {
        largest,
        levels,
        sum_xl,
        sum_l2,
    }
}

/// The scales that least squares gives for the levels.
#[inline(always)]
fn fitted<const N: usize>(levels: &Levels<N>) -> [f32; N] {
    let mut scale = [0.0; N];
    for n in 0..N {
        let fitted = levels.sum_xl[n] / levels.sum_l2[n];
        let fitted = select(levels.sum_l2[n] > 0.0, fitted, 0.0);
        scale[n] = select(levels.largest[n].abs() < ALL_ZERO, 0.0, fitted);
    }
    scale
}

/// Whether a weight might move in the next round; see the top of this file.
#[inline(always)]
fn may_move<const N: usize>(x: &Lanes<N, 16>, levels: &Levels<N>) -> [bool; N] {
    let (mut level_per_x, mut half_share) = ([0.0; N], [0.0; N]);
    for n in 0..N {
        level_per_x[n] = levels.sum_l2[n] / levels.sum_xl[n];
        half_share[n] = 0.5 / levels.sum_xl[n];
    }
    let mut most = [0.0; N];
    for i in 0..16 {
        for n in 0..N {
            let (x, l) = (x.0[i][n], levels.levels.0[i][n]);
            let value = x * level_per_x[n];
            let value = select(value > -4.0, value, -4.0);
            let value = select(value < 3.0, value, 3.0);
            let sum = (value - l).abs() + x * x * x * l * half_share[n];
            most[n] = select(sum > most[n], sum, most[n]);
        }
    }
    let mut moves = [false; N];
    for n in 0..N {
        let sum_xl = levels.sum_xl[n];
        let is_sure = (most[n] < SURE)
            & (sum_xl > SIZES.start)
            & (sum_xl < SIZES.end)
            & ((levels.largest[n] * level_per_x[n]).abs() < 8.0);
        moves[n] = (sum_xl > 0.0) & !is_sure;
    }
    moves
}

/// The first `rounds` rounds of the search: the scales after them, and whether a weight might move in
/// another. A lane where nothing moves any more stays as it is in further rounds.
#[inline(always)]
fn refine<const N: usize, const ROUNDS: bool>(
    x: &Lanes<N, 16>,
    rounds: usize,
) -> ([f32; N], [bool; N]) {
    let Levels {
        largest,
        mut levels,
        mut sum_xl,
        mut sum_l2,
    } = first_levels::<N, ROUNDS>(x);
    // What is rounded here may be any number. Where one is out of `nearest_between`'s range, the
    // lane is left to the reference, but for the zeros of a lane without a sub-block.
    let mut in_range = [1u32; N];
    for _ in 0..rounds {
        let mut moved = [0u32; N];
        for i in 0..16 {
            // New arrays, as the compiler would make masked stores to the old ones, which are slow.
            let (mut new_level, mut new_xl, mut new_l2) = ([0.0; N], [0.0; N], [0.0; N]);
            for n in 0..N {
                let (x, l) = (x.0[i][n], levels.0[i][n]);
                let (xl, l2) = (sum_xl[n], sum_l2[n]);
                let w = x * x;
                let others_xl = xl - w * x * l;
                let others_l2 = l2 - w * l * l;
                let value = x * others_l2 / others_xl;
                in_range[n] &= u32::from(is_in_range(value));
                let best = nearest_between::<ROUNDS>(value, -4.0, 3.0);
                let with_xl = others_xl + w * x * best;
                let with_l2 = others_l2 + w * best * best;
                let better = (others_xl > 0.0)
                    & (best != l)
                    & (with_l2 > 0.0)
                    & (with_xl * with_xl * l2 > xl * xl * with_l2);
                new_level[n] = select(better, best, l);
                new_xl[n] = select(better, with_xl, xl);
                new_l2[n] = select(better, with_l2, l2);
                moved[n] |= u32::from(better);
            }
            (levels.0[i], sum_xl, sum_l2) = (new_level, new_xl, new_l2);
        }
        if moved == [0; N] {
            break;
        }
    }

    let state = Levels {
        largest,
        levels,
        sum_xl,
        sum_l2,
    };
    let (mut scale, mut moves) = (fitted(&state), may_move(x, &state));
    for n in 0..N {
        if in_range[n] == 0 && state.largest[n] != 0.0 {
            scale[n] = scalar::refined_scale(&x.0.map(|x| x[n])).scale;
            moves[n] = false;
        }
    }
    (scale, moves)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 16 weights from a generator of random numbers, of a size and with as many bits as given.
    fn weights(state: &mut u64, size: f32, mask: u32) -> [f32; 16] {
        std::array::from_fn(|_| {
            let mut sum = -2.0;
            for _ in 0..4 {
                *state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                sum += (*state >> 40) as f32 / (1u64 << 24) as f32;
            }
            f32::from_bits((size * sum).to_bits() & mask)
        })
    }

    #[test]
    fn what_may_not_move_does_not() {
        let mut state = 1;
        let (mut kept, mut moved) = (0, 0);
        for size in [1e-12, 1e-9, 0.02, 1.0, 1e5, 1e11, 1e13] {
            for mask in [0xffff_ffff, 0xffff_0000, 0xfff0_0000, 0xffc0_0000] {
                for _ in 0..2000 {
                    let x = weights(&mut state, size, mask);
                    let mut lanes = Lanes::<1, 16>::ZERO;
                    lanes.fill(&[x]);
                    let first = first_levels::<1, true>(&lanes);
                    let found = scalar::refined_scale(&x);
                    let stayed = fitted(&first)[0].to_bits() == found.scale.to_bits();
                    if may_move(&lanes, &first)[0] {
                        moved += usize::from(!stayed);
                    } else {
                        kept += 1;
                        assert!(stayed, "{x:?}");
                        let levels = first.levels.0.map(|[l]| (l + Q3_K_LEVELS) as u8);
                        assert!(first.largest[0] == 0.0 || levels == found.levels, "{x:?}");
                    }
                }
            }
        }
        assert!(kept > 30_000 && moved > 3_000, "{kept} {moved}");
    }
}
