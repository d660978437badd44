//! The search for better blocks with `N` sub-blocks, or all proposals for a unit, at once: the same
//! bits as in [`super::scalar`].

#![allow(
    clippy::needless_range_loop,
    reason = "the loops over lanes are the algorithm"
)]

use super::forms::{Line, Sums, Totals, offers, rank, reciprocal};
use super::units::{Units, proposals};
use super::{KEEP, KEEP_UNITS, SHIFTS, UNITS};
use crate::rounding::nearest_between;
use crate::search::lanes::{Lanes, select};

/// The sums of each lane that do not depend on levels: Σw, Σw·x, Σw·x².
#[inline(always)]
pub(crate) fn totals<const N: usize>(x: &Lanes<N, 32>, w: &Lanes<N, 32>) -> [Totals; N] {
    let (mut sum_w, mut sum_wx, mut sum_wxx) = ([0.0; N], [0.0; N], [0.0; N]);
    for i in 0..32 {
        for n in 0..N {
            let (x, w) = (x.0[i][n], w.0[i][n]);
            sum_w[n] += w;
            sum_wx[n] += w * x;
            sum_wxx[n] += w * x * x;
        }
    }
    let mut totals = [Totals {
        w: 0.0,
        wx: 0.0,
        wxx: 0.0,
    }; N];
    for n in 0..N {
        totals[n] = Totals {
            w: sum_w[n],
            wx: sum_wx[n],
            wxx: sum_wxx[n],
        };
    }
    totals
}

/// The sums of each lane for the levels nearest to the weights, given scale and minimum: Σw·l,
/// Σw·l², Σw·x·l.
#[inline(always)]
fn level_sums<const N: usize, const ROUNDS: bool>(
    x: &Lanes<N, 32>,
    w: &Lanes<N, 32>,
    scale: &[f32; N],
    min: &[f32; N],
    max_level: f32,
) -> ([f32; N], [f32; N], [f32; N]) {
    let mut per_scale = [0.0; N];
    for n in 0..N {
        per_scale[n] = reciprocal(scale[n]);
    }
    let (mut sum_l, mut sum_l2, mut sum_xl) = ([0.0; N], [0.0; N], [0.0; N]);
    for i in 0..32 {
        for n in 0..N {
            let x = x.0[i][n];
            let l = nearest_between::<ROUNDS>((x + min[n]) * per_scale[n], 0.0, max_level);
            let wl = w.0[i][n] * l;
            sum_l[n] += wl;
            sum_l2[n] += wl * l;
            sum_xl[n] += wl * x;
        }
    }
    (sum_l, sum_l2, sum_xl)
}

/// As [`level_sums`], a lane's sums together.
#[inline(always)]
pub(crate) fn sums<const N: usize, const ROUNDS: bool>(
    x: &Lanes<N, 32>,
    w: &Lanes<N, 32>,
    scale: &[f32; N],
    min: &[f32; N],
    max_level: f32,
) -> [Sums; N] {
    let (l, l2, xl) = level_sums::<N, ROUNDS>(x, w, scale, min, max_level);
    let mut sums = [Sums {
        l: 0.0,
        l2: 0.0,
        xl: 0.0,
    }; N];
    for n in 0..N {
        sums[n] = Sums {
            l: l[n],
            l2: l2[n],
            xl: xl[n],
        };
    }
    sums
}

/// The kept forms of all lanes.
struct KeptLines<const N: usize> {
    error: [[f32; N]; KEEP],
    scale: [[f32; N]; KEEP],
    min: [[f32; N]; KEEP],
    slope: [[f32; N]; KEEP],
    curvature: [[f32; N]; KEEP],
}

/// Puts a number of a new form where it belongs in a lane, given the new form's rank and the errors
/// of those that are kept.
#[inline(always)]
pub(crate) fn insert<const N: usize>(
    kept: &mut [[f32; N]; KEEP],
    n: usize,
    new: f32,
    rank: f32,
    errors: [f32; KEEP],
) {
    let [first, second, third] = [kept[0][n], kept[1][n], kept[2][n]];
    kept[0][n] = select(rank < errors[0], new, first);
    let moved = select(rank < errors[0], first, new);
    kept[1][n] = select(rank < errors[1], moved, second);
    let moved = select(rank < errors[1], second, new);
    kept[2][n] = select(rank < errors[2], moved, third);
}

/// The best forms that are found for the sub-block of each lane.
#[inline(always)]
pub(crate) fn lines<const N: usize, const ROUNDS: bool>(
    x: &Lanes<N, 32>,
    w: &Lanes<N, 32>,
    totals: &[Totals; N],
    max_level: f32,
) -> [[Line; KEEP]; N] {
    let (mut least, mut most) = ([0.0; N], x.0[0]);
    for x in &x.0 {
        for n in 0..N {
            least[n] = select(x[n] < least[n], x[n], least[n]);
            most[n] = select(x[n] > most[n], x[n], most[n]);
        }
    }
    let mut range = [0.0; N];
    for n in 0..N {
        range[n] = (most[n] - least[n]) / max_level;
    }

    let mut kept = KeptLines {
        error: [[f32::INFINITY; N]; KEEP],
        scale: [[0.0; N]; KEEP],
        min: [[0.0; N]; KEEP],
        slope: [[0.0; N]; KEEP],
        curvature: [[0.0; N]; KEEP],
    };
    for low in SHIFTS {
        for high in SHIFTS {
            let (mut scale, mut min) = ([0.0; N], [0.0; N]);
            for n in 0..N {
                scale[n] = range[n] * (1.0 + (low + high) / max_level);
                min[n] = low * range[n] - least[n];
            }
            keep::<N, ROUNDS>(x, w, totals, &scale, &min, max_level, &mut kept);
        }
    }
    let (scales, mins) = (kept.scale, kept.min);
    for k in 0..KEEP {
        keep::<N, ROUNDS>(x, w, totals, &scales[k], &mins[k], max_level, &mut kept);
    }

    let mut lines = [[Line::NONE; KEEP]; N];
    for n in 0..N {
        for k in 0..KEEP {
            lines[n][k] = Line {
                error: kept.error[k][n],
                scale: kept.scale[k][n],
                min: kept.min[k][n],
                slope: kept.slope[k][n],
                curvature: kept.curvature[k][n],
            };
        }
    }
    lines
}

/// Rounds for a scale and a minimum in each lane, and keeps the form where it is good enough.
#[inline(always)]
fn keep<const N: usize, const ROUNDS: bool>(
    x: &Lanes<N, 32>,
    w: &Lanes<N, 32>,
    totals: &[Totals; N],
    scale: &[f32; N],
    min: &[f32; N],
    max_level: f32,
    kept: &mut KeptLines<N>,
) {
    let mut at_least_zero = [0.0; N];
    for n in 0..N {
        at_least_zero[n] = select(min[n] > 0.0, min[n], 0.0);
    }
    let (l, l2, xl) = level_sums::<N, ROUNDS>(x, w, scale, &at_least_zero, max_level);
    for n in 0..N {
        let line = Line::of(
            totals[n],
            Sums {
                l: l[n],
                l2: l2[n],
                xl: xl[n],
            },
        );
        let errors = [kept.error[0][n], kept.error[1][n], kept.error[2][n]];
        let rank = rank(line.error, errors);
        insert(&mut kept.error, n, line.error, rank, errors);
        insert(&mut kept.scale, n, line.scale, rank, errors);
        insert(&mut kept.min, n, line.min, rank, errors);
        insert(&mut kept.slope, n, line.slope, rank, errors);
        insert(&mut kept.curvature, n, line.curvature, rank, errors);
    }
}

/// The best units, and for each sub-block the best multiples of them.
#[inline(always)]
pub(crate) fn units<const ROUNDS: bool>(lines: &[[Line; KEEP]; 8], totals: &[Totals; 8]) -> Units {
    let (mut largest_scale, mut largest_min) = (0.0, 0.0);
    for [best, ..] in lines {
        largest_scale = if best.scale > largest_scale {
            best.scale
        } else {
            largest_scale
        };
        largest_min = if best.min > largest_min {
            best.min
        } else {
            largest_min
        };
    }

    let scale_units = proposals(largest_scale);
    let per_scale_unit = reciprocals(&scale_units);
    let mut errors = [0.0; UNITS];
    for j in 0..8 {
        let mut least = [f32::INFINITY; UNITS];
        for line in &lines[j] {
            for c in 0..UNITS {
                let s = nearest_between::<ROUNDS>(line.scale * per_scale_unit[c], 0.0, 63.0);
                let beside = scale_units[c] * s - line.scale;
                let error = line.error + line.curvature * beside * beside;
                least[c] = select(error < least[c], error, least[c]);
            }
        }
        for c in 0..UNITS {
            errors[c] += least[c];
        }
    }

    let min_units = proposals(largest_min);
    let per_min_unit = reciprocals(&min_units);
    let mut best = (f32::INFINITY, 0.0, 0.0);
    for i in least_of(&errors) {
        let d = scale_units[i];
        let mut errors = [0.0; UNITS];
        for j in 0..8 {
            let mut least = [f32::INFINITY; UNITS];
            for offer in offers::<ROUNDS>(d, &lines[j]) {
                for c in 0..UNITS {
                    let (_, error) =
                        offer.fit::<ROUNDS>(totals[j].w, min_units[c], per_min_unit[c]);
                    least[c] = select(error < least[c], error, least[c]);
                }
            }
            for c in 0..UNITS {
                errors[c] += least[c];
            }
        }
        for c in 0..UNITS {
            if errors[c] < best.0 {
                best = (errors[c], d, min_units[c]);
            }
        }
    }
    Units::choose::<ROUNDS>(best.1, best.2, lines, totals)
}

#[inline(always)]
pub(crate) fn reciprocals(units: &[f32; UNITS]) -> [f32; UNITS] {
    let mut reciprocals = [0.0; UNITS];
    for c in 0..UNITS {
        reciprocals[c] = reciprocal(units[c]);
    }
    reciprocals
}

/// Where the lowest errors are, the lowest first, the first of several.
#[inline(always)]
fn least_of(errors: &[f32; UNITS]) -> [usize; KEEP_UNITS] {
    let mut least = [f32::INFINITY; KEEP_UNITS];
    let mut places = [0; KEEP_UNITS];
    for (c, &error) in errors.iter().enumerate() {
        if error < least[KEEP_UNITS - 1] {
            let mut k = KEEP_UNITS - 1;
            while k > 0 && error < least[k - 1] {
                (least[k], places[k]) = (least[k - 1], places[k - 1]);
                k -= 1;
            }
            (least[k], places[k]) = (error, c);
        }
    }
    places
}
