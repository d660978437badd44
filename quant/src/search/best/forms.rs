//! Errors as forms: what a sub-block's error is for every scale (and minimum), once its levels are
//! given.

use super::KEEP;
use crate::rounding::nearest_between;
use crate::search::lanes::select;

/// Sums over a sub-block that do not depend on levels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Totals {
    /// Σw
    pub(crate) w: f32,
    /// Σw·x
    pub(crate) wx: f32,
    /// Σw·x²
    pub(crate) wxx: f32,
}

/// Sums over a sub-block for given levels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sums {
    /// Σw·l
    pub(crate) l: f32,
    /// Σw·l²
    pub(crate) l2: f32,
    /// Σw·x·l
    pub(crate) xl: f32,
}

/// The error of a sub-block for given levels, as a form in scale and minimum. See the module.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line {
    /// What is left at the best scale and minimum.
    pub(crate) error: f32,
    /// The best scale.
    pub(crate) scale: f32,
    /// The best minimum, negated as in the format; it may be below 0, which the format has not.
    pub(crate) min: f32,
    /// How the best minimum moves with the scale.
    pub(crate) slope: f32,
    /// What a scale beside the best one costs, with the best minimum for it.
    pub(crate) curvature: f32,
}

impl Line {
    /// The form that none is worse than.
    pub(crate) const NONE: Self = Self {
        error: f32::INFINITY,
        scale: 0.0,
        min: 0.0,
        slope: 0.0,
        curvature: 0.0,
    };

    /// The form for the levels of these sums. Where all levels are the same many lines are best, and
    /// it is one of them.
    #[inline(always)]
    pub(crate) fn of(totals: Totals, sums: Sums) -> Self {
        let Totals { w, wx, wxx } = totals;
        let Sums { l, l2, xl } = sums;
        let per_w = reciprocal(w);
        let determinant = w * l2 - l * l;
        let slanted = determinant > 0.0;
        let through_origin = l2 > 0.0;
        let flat_scale = select(through_origin, xl / l2, 0.0);
        let flat_min = select(through_origin, 0.0, -wx * per_w);
        let line_scale = (w * xl - wx * l) / determinant;
        let line_min = (l * xl - l2 * wx) / determinant;
        let scale = select(slanted, line_scale, flat_scale);
        let min = select(slanted, line_min, flat_min);
        let slope = l * per_w;
        let curvature = l2 - l * slope;
        Self {
            error: wxx - scale * xl + min * wx,
            scale,
            min,
            slope,
            curvature: select(curvature > 0.0, curvature, 0.0),
        }
    }

    /// What it comes to with a multiple `s` of `d` for the scale.
    #[inline(always)]
    pub(crate) fn at(&self, d: f32, s: f32) -> Offer {
        let beside = d * s - self.scale;
        Offer {
            s,
            error: self.error + self.curvature * beside * beside,
            min: self.min + self.slope * beside,
        }
    }
}

/// A form with the scale settled.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Offer {
    /// The scale, in units.
    pub(crate) s: f32,
    /// The error with the best minimum.
    pub(crate) error: f32,
    /// The best minimum.
    min: f32,
}

impl Offer {
    /// The best multiple of `dmin` for the minimum, and the error with it. `per_dmin` is the
    /// reciprocal of `dmin`, `w` the sum of weights.
    #[inline(always)]
    pub(crate) fn fit<const ROUNDS: bool>(&self, w: f32, dmin: f32, per_dmin: f32) -> (f32, f32) {
        let m = nearest_between::<ROUNDS>(self.min * per_dmin, 0.0, 63.0);
        let off = dmin * m - self.min;
        (m, self.error + w * off * off)
    }
}

/// For each form the multiples of `d` on either side of its best scale.
#[inline(always)]
pub(crate) fn offers<const ROUNDS: bool>(d: f32, lines: &[Line; KEEP]) -> [Offer; 2 * KEEP] {
    let per_d = reciprocal(d);
    let mut offers = [Line::NONE.at(0.0, 0.0); 2 * KEEP];
    for (k, line) in lines.iter().enumerate() {
        let below = nearest_between::<ROUNDS>(line.scale * per_d - 0.5, 0.0, 63.0);
        offers[2 * k] = line.at(d, below);
        offers[2 * k + 1] = line.at(d, select(below < 63.0, below + 1.0, 63.0));
    }
    offers
}

/// The error of a sub-block of Q6_K for given levels, as a form in the scale:
/// `error + l2·(a - scale)²`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ray {
    /// What is left at the best scale.
    pub(crate) error: f32,
    /// The best scale.
    pub(crate) scale: f32,
    /// Σw·l²: what a scale beside the best one costs.
    pub(crate) l2: f32,
}

impl Ray {
    /// The form that none is worse than.
    pub(crate) const NONE: Self = Self {
        error: f32::INFINITY,
        scale: 0.0,
        l2: 0.0,
    };

    /// The form for levels with these sums; `wxx` is Σw·x².
    #[inline(always)]
    pub(crate) fn of(wxx: f32, xl: f32, l2: f32) -> Self {
        let scale = select(l2 > 0.0, xl / l2, 0.0);
        Self {
            error: wxx - scale * xl,
            scale,
            l2,
        }
    }

    /// The best multiple of `d`, and the error with it. `per_d` is the reciprocal, or 0.
    #[inline(always)]
    pub(crate) fn fit<const ROUNDS: bool>(&self, d: f32, per_d: f32) -> (f32, f32) {
        let s = nearest_between::<ROUNDS>(self.scale * per_d, -128.0, 127.0);
        let beside = d * s - self.scale;
        (s, self.error + self.l2 * beside * beside)
    }
}

/// The error of a new form, for finding its place among the kept ones. A form with just the error of
/// a kept one is taken for the same, and comes after all.
#[inline(always)]
pub(crate) fn rank(error: f32, kept: [f32; KEEP]) -> f32 {
    let same = (error == kept[0]) | (error == kept[1]) | (error == kept[2]);
    select(same, f32::INFINITY, error)
}

/// The reciprocal of a scale or unit; 0 for 0.
#[inline(always)]
pub(crate) fn reciprocal(value: f32) -> f32 {
    select(value != 0.0, 1.0 / value, 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::best::scalar;

    const X: [f32; 32] = [
        0.31, -0.44, 0.05, 1.02, -0.73, 0.18, -0.09, 0.66, -1.21, 0.27, 0.83, -0.35, 0.49, -0.58,
        0.12, -0.02, 0.94, -0.87, 0.21, 0.38, -0.16, -0.64, 0.71, 0.07, -1.05, 0.55, -0.29, 0.43,
        -0.51, 1.33, -0.11, 0.24,
    ];

    fn weights() -> [f32; 32] {
        X.map(|x| 0.6 + x.abs())
    }

    /// The weighted squared error, from the weights and their levels.
    fn error<const N: usize>(x: &[f32; N], w: &[f32; N], levels: &[f32; N], a: f32, b: f32) -> f32 {
        let weights = x.iter().zip(w).zip(levels);
        weights.map(|((x, w), l)| w * (a * l - b - x).powi(2)).sum()
    }

    #[test]
    fn a_line_tells_the_error_for_every_scale_and_minimum() {
        let w = weights();
        let totals = scalar::totals(&X, &w);
        for (scale, min) in [(0.17, 1.2), (0.1, 0.4), (0.4, 2.0), (5.0, 0.0), (0.17, 0.0)] {
            let levels =
                X.map(|x| nearest_between::<false>((x + min) * reciprocal(scale), 0.0, 15.0));
            let line = Line::of(totals, scalar::sums(&X, &w, scale, min, 15.0));
            for d in [0.0, 0.02, 0.09, 0.17, 0.3] {
                for dmin in [0.0, 0.11, 0.4, 1.3] {
                    let offer = line.at(d, 1.0);
                    let (m, told) = offer.fit::<false>(totals.w, dmin, reciprocal(dmin));
                    let expected = error(&X, &w, &levels, d, dmin * m);
                    let off = (told - expected).abs();
                    assert!(off <= 2e-4 * expected, "{told} for {expected}: {line:?}");
                    // No other multiple of the minimum is better.
                    for other in [m - 1.0, m + 1.0] {
                        let worse = error(&X, &w, &levels, d, dmin * other.max(0.0));
                        assert!(worse >= expected * (1.0 - 1e-4), "{m}: {line:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_ray_tells_the_error_for_every_scale() {
        let x: &[f32; 16] = X.first_chunk().unwrap();
        let w = x.map(|x| x * x);
        let wxx = scalar::ray_total(x, &w);
        for scale in [0.04, -0.04, 0.1, -0.02] {
            let levels = x.map(|x| nearest_between::<false>(x * reciprocal(scale), -32.0, 31.0));
            let (xl, l2) = scalar::ray_sums(x, &w, reciprocal(scale));
            let ray = Ray::of(wxx, xl, l2);
            for d in [0.001, -0.001, 0.0004] {
                let (s, told) = ray.fit::<false>(d, reciprocal(d));
                let expected = error(x, &w, &levels, d * s, 0.0);
                let off = (told - expected).abs();
                assert!(off <= 1e-5 * wxx, "{told} for {expected}: {ray:?}");
            }
        }
    }

    #[test]
    fn where_nothing_varies_the_line_is_exact() {
        for (value, scale, min) in [(-0.5, 0.0, 0.5), (0.5, 0.1, 0.0), (0.0, 0.0, 0.0)] {
            let (x, w) = ([value; 32], [1.0; 32]);
            let totals = scalar::totals(&x, &w);
            let line = Line::of(totals, scalar::sums(&x, &w, scale, min, 15.0));
            assert!(line.error.abs() < 1e-6, "{value}: {line:?}");
            let read = |level: f32| line.scale * level - line.min;
            let level = nearest_between::<false>((value + min) * reciprocal(scale), 0.0, 15.0);
            assert!((read(level) - value).abs() < 1e-6, "{value}: {line:?}");
        }
    }

    #[test]
    fn a_form_with_the_error_of_a_kept_one_comes_after_all() {
        let kept = [1.0, 2.0, f32::INFINITY];
        assert_eq!(rank(1.5, kept), 1.5);
        assert_eq!(rank(2.0, kept), f32::INFINITY);
        assert!(rank(f32::NAN, kept).is_nan());
    }
}
