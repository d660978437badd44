//! The search for better blocks, one sub-block and one proposal after the other: the reference.

use super::{
    KEEP, KEEP_UNITS, Line, RAY_SHIFTS, Ray, RayUnits, SHIFTS, Sums, Totals, UNITS, Units, offers,
    proposals, rank, ray_proposals, reciprocal,
};
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
        let l = nearest_between((x + min) * per_scale, 0.0, max_level);
        let wl = w * l;
        sums.l += wl;
        sums.l2 += wl * l;
        sums.xl += wl * x;
    }
    sums
}

/// The best forms that are found for a sub-block.
pub(crate) fn lines(x: &[f32; 32], w: &[f32; 32], totals: Totals, max_level: f32) -> [Line; KEEP] {
    let (mut least, mut most) = (0.0, x[0]);
    for &x in x {
        least = if x < least { x } else { least };
        most = if x > most { x } else { most };
    }
    let range = (most - least) / max_level;
    let mut kept = [Line::NONE; KEEP];
    let mut keep = |scale: f32, min: f32| {
        let line = Line::of(totals, sums(x, w, scale, min, max_level));
        insert(line, &mut kept, |line| line.error);
        kept
    };

    let mut found = [Line::NONE; KEEP];
    for low in SHIFTS {
        for high in SHIFTS {
            let scale = range * (1.0 + (low + high) / max_level);
            let min = low * range - least;
            found = keep(scale, if min > 0.0 { min } else { 0.0 });
        }
    }
    for line in found {
        found = keep(line.scale, if line.min > 0.0 { line.min } else { 0.0 });
    }
    found
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
    let mut errors = [0.0; UNITS];
    for (error, &d) in errors.iter_mut().zip(&scale_units) {
        for lines in lines {
            let mut least = f32::INFINITY;
            for line in lines {
                let s = nearest_between(line.scale * reciprocal(d), 0.0, 63.0);
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
                for offer in offers(d, lines) {
                    least = least.min(offer.fit(totals.w, dmin, reciprocal(dmin)).1);
                }
                error += least;
            }
            if error < best.0 {
                best = (error, d, dmin);
            }
        }
    }
    Units::choose(best.1, best.2, lines, totals)
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
        let l = nearest_between(x * per_scale, -32.0, 31.0);
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
    let mut kept = [Ray::NONE; KEEP];
    let mut keep = |per_scale: f32| {
        let (xl, l2) = ray_sums(x, w, per_scale);
        let ray = Ray::of(wxx, xl, l2);
        insert(ray, &mut kept, |ray| ray.error);
        kept
    };

    let mut found = [Ray::NONE; KEEP];
    for shift in RAY_SHIFTS {
        for last in [-32.0, 31.0] {
            found = keep((last + shift) * per_largest);
        }
    }
    for ray in found {
        found = keep(reciprocal(ray.scale));
    }
    found
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
                least = least.min(ray.fit(d, reciprocal(d)).1);
            }
            error += least;
        }
        if error < best.0 {
            best = (error, d);
        }
    }
    RayUnits::choose(best.1, rays)
}
