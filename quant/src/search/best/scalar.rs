//! The search for better blocks, one sub-block and one proposal after the other: the reference.

use super::forms::{Line, Ray, Sums, Totals, offers, rank, reciprocal};
use super::units::{RayUnits, Units, proposals, ray_proposals};
use super::{KEEP, KEEP_UNITS, RAY_SHIFTS, SHIFTS, UNITS};
use crate::rounding::nearest_between;
use crate::search::scalar::largest;

/// The sums over a sub-block that do not depend on levels.
pub(crate) fn totals(x: &[f32; 32], w: &[f32; 32]) -> Totals {
    let mut totals = Totals {
        w: 0.0,
        wx: 0.0,
        wxx: 0.0,
    };
    for (x, w) in x.iter().zip(w) {
        totals.w += w;
        totals.wx += w * x;
        totals.wxx += w * x * x;
    }
    totals
}

/// The sums for the levels nearest to the weights, given scale and minimum.
pub(crate) fn sums(x: &[f32; 32], w: &[f32; 32], scale: f32, min: f32, max_level: f32) -> Sums {
    let per_scale = reciprocal(scale);
    let mut sums = Sums {
        l: 0.0,
        l2: 0.0,
        xl: 0.0,
    };
    for (x, w) in x.iter().zip(w) {
        let l = nearest_between::<false>((x + min) * per_scale, 0.0, max_level);
        let wl = w * l;
        sums.l += wl;
        sums.l2 += wl * l;
        sums.xl += wl * x;
    }
    sums
}

/// The best forms that are found for a sub-block.
pub(crate) fn lines(x: &[f32; 32], w: &[f32; 32], totals: Totals, max_level: f32) -> [Line; KEEP] {
    let (mut least, mut most) = (0.0f32, x[0]);
    for &x in x {
        (least, most) = (least.min(x), most.max(x));
    }
    let range = (most - least) / max_level;
    let line_at = |scale, min| Line::of(totals, sums(x, w, scale, min, max_level));

    let mut kept = [Line::NONE; KEEP];
    for low in SHIFTS {
        for high in SHIFTS {
            let scale = range * (1.0 + (low + high) / max_level);
            let min = low * range - least;
            insert(line_at(scale, min.max(0.0)), &mut kept, |line| line.error);
        }
    }
    for line in kept {
        let again = line_at(line.scale, line.min.max(0.0));
        insert(again, &mut kept, |line| line.error);
    }
    kept
}

/// Puts a form among those that are kept, if it belongs there.
fn insert<T: Copy>(form: T, kept: &mut [T; KEEP], error: impl Fn(&T) -> f32) {
    let errors = [error(&kept[0]), error(&kept[1]), error(&kept[2])];
    let rank = rank(error(&form), errors);
    if let Some(place) = errors.iter().position(|&kept| rank < kept) {
        kept[place..].rotate_right(1);
        kept[place] = form;
    }
}

/// The best units, and for each sub-block the best multiples of them.
pub(crate) fn units(lines: &[[Line; KEEP]; 8], totals: &[Totals; 8]) -> Units {
    let largest =
        |of: fn(&Line) -> f32| lines.iter().map(|lines| of(&lines[0])).fold(0.0, f32::max);
    let (largest_scale, largest_min) = (largest(|line| line.scale), largest(|line| line.min));

    let scale_units = proposals(largest_scale);
    let mut errors = [0.0; UNITS];
    for (error, &d) in errors.iter_mut().zip(&scale_units) {
        for lines in lines {
            let mut least = f32::INFINITY;
            for line in lines {
                let s = nearest_between::<false>(line.scale * reciprocal(d), 0.0, 63.0);
                let beside = d * s - line.scale;
                least = least.min(line.error + line.curvature * beside * beside);
            }
            *error += least;
        }
    }

    let min_units = proposals(largest_min);
    let mut best = (f32::INFINITY, 0.0, 0.0);
    for i in least_of(&errors) {
        let d = scale_units[i];
        for dmin in min_units {
            let mut error = 0.0;
            for (lines, totals) in lines.iter().zip(totals) {
                let mut least = f32::INFINITY;
                for offer in offers::<false>(d, lines) {
                    least = least.min(offer.fit::<false>(totals.w, dmin, reciprocal(dmin)).1);
                }
                error += least;
            }
            if error < best.0 {
                best = (error, d, dmin);
            }
        }
    }
    Units::choose::<false>(best.1, best.2, lines, totals)
}

/// Where the lowest errors are, the lowest first, the first of several.
pub(crate) fn least_of(errors: &[f32; UNITS]) -> [usize; KEEP_UNITS] {
    let mut order: Vec<usize> = (0..UNITS).collect();
    order.sort_by(|&a, &b| errors[a].total_cmp(&errors[b]));
    std::array::from_fn(|i| order[i])
}

/// The sums for the levels of Q6_K nearest to the weights: Σw·x·l and Σw·l².
pub(crate) fn ray_sums(x: &[f32; 16], w: &[f32; 16], per_scale: f32) -> (f32, f32) {
    let (mut xl, mut l2) = (0.0, 0.0);
    for (x, w) in x.iter().zip(w) {
        let l = nearest_between::<false>(x * per_scale, -32.0, 31.0);
        let wl = w * l;
        xl += wl * x;
        l2 += wl * l;
    }
    (xl, l2)
}

/// Σw·x² over a sub-block of Q6_K.
pub(crate) fn ray_total(x: &[f32; 16], w: &[f32; 16]) -> f32 {
    let mut wxx = 0.0;
    for (x, w) in x.iter().zip(w) {
        wxx += w * x * x;
    }
    wxx
}

/// The best forms that are found for a sub-block of Q6_K.
pub(crate) fn rays(x: &[f32; 16], w: &[f32; 16], wxx: f32) -> [Ray; KEEP] {
    let per_largest = reciprocal(largest(x));
    let ray_at = |per_scale| {
        let (xl, l2) = ray_sums(x, w, per_scale);
        Ray::of(wxx, xl, l2)
    };

    let mut kept = [Ray::NONE; KEEP];
    for shift in RAY_SHIFTS {
        for last in [-32.0, 31.0] {
            insert(ray_at((last + shift) * per_largest), &mut kept, |ray| {
                ray.error
            });
        }
    }
    for ray in kept {
        insert(ray_at(reciprocal(ray.scale)), &mut kept, |ray| ray.error);
    }
    kept
}

/// The best unit of Q6_K, and for each sub-block the best multiple of it.
pub(crate) fn ray_units(rays: &[[Ray; KEEP]; 16]) -> RayUnits {
    let scales: [f32; 16] = std::array::from_fn(|j| rays[j][0].scale);
    let mut best = (f32::INFINITY, 0.0);
    for d in ray_proposals(largest(&scales)) {
        let mut error = 0.0;
        for rays in rays {
            let mut least = f32::INFINITY;
            for ray in rays {
                least = least.min(ray.fit::<false>(d, reciprocal(d)).1);
            }
            error += least;
        }
        if error < best.0 {
            best = (error, d);
        }
    }
    RayUnits::choose::<false>(best.1, rays)
}
