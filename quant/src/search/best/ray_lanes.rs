//! The search for better blocks of Q6_K with `N` sub-blocks, or all proposals for a unit, at once: the
//! same bits as in [`super::scalar`].

#![allow(
    clippy::needless_range_loop,
    reason = "the loops over lanes are the algorithm"
)]

use super::forms::{Ray, rank, reciprocal};
use super::lanes::{insert, reciprocals};
use super::units::{RayUnits, ray_proposals};
use super::{KEEP, RAY_SHIFTS, UNITS};
use crate::rounding::nearest_between;
use crate::search::lanes::{Lanes, largest_of_lanes, select};

/// The sums of each lane for the levels of Q6_K nearest to the weights: Σw·x·l and Σw·l².
#[inline(always)]
pub(crate) fn ray_sums<const N: usize, const ROUNDS: bool>(
    x: &Lanes<N, 16>,
    w: &Lanes<N, 16>,
    per_scale: &[f32; N],
) -> ([f32; N], [f32; N]) {
    let (mut xl, mut l2) = ([0.0; N], [0.0; N]);
    for i in 0..16 {
        for n in 0..N {
            let x = x.0[i][n];
            let l = nearest_between::<ROUNDS>(x * per_scale[n], -32.0, 31.0);
            let wl = w.0[i][n] * l;
            xl[n] += wl * x;
            l2[n] += wl * l;
        }
    }
    (xl, l2)
}

/// Σw·x² of each lane.
#[inline(always)]
pub(crate) fn ray_totals<const N: usize>(x: &Lanes<N, 16>, w: &Lanes<N, 16>) -> [f32; N] {
    let mut wxx = [0.0; N];
    for i in 0..16 {
        for n in 0..N {
            wxx[n] += w.0[i][n] * x.0[i][n] * x.0[i][n];
        }
    }
    wxx
}

/// The kept forms of all lanes.
struct KeptRays<const N: usize> {
    error: [[f32; N]; KEEP],
    scale: [[f32; N]; KEEP],
    l2: [[f32; N]; KEEP],
}

/// The best forms that are found for the sub-block of each lane.
#[inline(always)]
pub(crate) fn rays<const N: usize, const ROUNDS: bool>(
    x: &Lanes<N, 16>,
    w: &Lanes<N, 16>,
    wxx: &[f32; N],
) -> [[Ray; KEEP]; N] {
    let largest = largest_of_lanes(x);
    let mut per_largest = [0.0; N];
    for n in 0..N {
        per_largest[n] = reciprocal(largest[n]);
    }

    let mut kept = KeptRays {
        error: [[f32::INFINITY; N]; KEEP],
        scale: [[0.0; N]; KEEP],
        l2: [[0.0; N]; KEEP],
    };
    for shift in RAY_SHIFTS {
        for last in [-32.0, 31.0] {
            let mut per_scale = [0.0; N];
            for n in 0..N {
                per_scale[n] = (last + shift) * per_largest[n];
            }
            keep_ray::<N, ROUNDS>(x, w, wxx, &per_scale, &mut kept);
        }
    }
    let scales = kept.scale;
    for scale in scales {
        let mut per_scale = [0.0; N];
        for n in 0..N {
            per_scale[n] = reciprocal(scale[n]);
        }
        keep_ray::<N, ROUNDS>(x, w, wxx, &per_scale, &mut kept);
    }

    let mut rays = [[Ray::NONE; KEEP]; N];
    for n in 0..N {
        for k in 0..KEEP {
            rays[n][k] = Ray {
                error: kept.error[k][n],
                scale: kept.scale[k][n],
                l2: kept.l2[k][n],
            };
        }
    }
    rays
}

#[inline(always)]
fn keep_ray<const N: usize, const ROUNDS: bool>(
    x: &Lanes<N, 16>,
    w: &Lanes<N, 16>,
    wxx: &[f32; N],
    per_scale: &[f32; N],
    kept: &mut KeptRays<N>,
) {
    let (xl, l2) = ray_sums::<N, ROUNDS>(x, w, per_scale);
    for n in 0..N {
        let ray = Ray::of(wxx[n], xl[n], l2[n]);
        let errors = [kept.error[0][n], kept.error[1][n], kept.error[2][n]];
        let rank = rank(ray.error, errors);
        insert(&mut kept.error, n, ray.error, rank, errors);
        insert(&mut kept.scale, n, ray.scale, rank, errors);
        insert(&mut kept.l2, n, ray.l2, rank, errors);
    }
}

/// The best unit of Q6_K, and for each sub-block the best multiple of it.
#[inline(always)]
pub(crate) fn ray_units<const ROUNDS: bool>(rays: &[[Ray; KEEP]; 16]) -> RayUnits {
    let mut largest = 0.0f32;
    for [best, ..] in rays {
        largest = if best.scale.abs() > largest.abs() {
            best.scale
        } else {
            largest
        };
    }
    let units = ray_proposals(largest);
    let per_unit = reciprocals(&units);
    let mut errors = [0.0; UNITS];
    for j in 0..16 {
        let mut least = [f32::INFINITY; UNITS];
        for ray in &rays[j] {
            for c in 0..UNITS {
                let (_, error) = ray.fit::<ROUNDS>(units[c], per_unit[c]);
                least[c] = select(error < least[c], error, least[c]);
            }
        }
        for c in 0..UNITS {
            errors[c] += least[c];
        }
    }
    let mut best = (f32::INFINITY, 0.0);
    for c in 0..UNITS {
        if errors[c] < best.0 {
            best = (errors[c], units[c]);
        }
    }
    RayUnits::choose::<ROUNDS>(best.1, rays)
}
