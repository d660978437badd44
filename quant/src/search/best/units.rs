//! The units of a super-block and the multiples of them: proposals, the choice of multiples, and
//! fitting all of them to given levels.

use super::forms::{Line, Ray, Sums, Totals, offers, reciprocal};
use super::{KEEP, RAY_UNIT_STEP, UNIT_STEP, UNITS};
use crate::float::{f16_to_f32, f32_to_f16};
use crate::search::lanes::select;

/// What a super-block of Q4_K or Q5_K stores beside levels. All numbers are what the format has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Units {
    /// Unit of the scales.
    pub(crate) d: f32,
    /// Unit of the minimums.
    pub(crate) dmin: f32,
    /// The scales, in units.
    pub(crate) s: [f32; 8],
    /// The minimums, in units.
    pub(crate) m: [f32; 8],
}

/// What a super-block of Q6_K stores beside levels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct RayUnits {
    /// Unit of the scales.
    pub(crate) d: f32,
    /// The scales, in units.
    pub(crate) s: [f32; 16],
}

impl Units {
    /// Nothing but zeros.
    pub(crate) const ZERO: Self = Self {
        d: 0.0,
        dmin: 0.0,
        s: [0.0; 8],
        m: [0.0; 8],
    };

    /// For each sub-block the best of its forms, `s` and `m`, given the units.
    #[inline(always)]
    pub(crate) fn choose<const ROUNDS: bool>(
        d: f32,
        dmin: f32,
        lines: &[[Line; KEEP]; 8],
        totals: &[Totals; 8],
    ) -> Self {
        let per_dmin = reciprocal(dmin);
        let (mut s, mut m) = ([0.0; 8], [0.0; 8]);
        for j in 0..8 {
            let mut least = f32::INFINITY;
            for offer in offers::<ROUNDS>(d, &lines[j]) {
                let (min, error) = offer.fit::<ROUNDS>(totals[j].w, dmin, per_dmin);
                if error < least {
                    (least, s[j], m[j]) = (error, offer.s, min);
                }
            }
        }
        Self { d, dmin, s, m }
    }

    /// Fits units and multiples to the levels that they gave.
    #[inline(always)]
    pub(crate) fn refine<const ROUNDS: bool>(&mut self, sums: &[Sums; 8], totals: &[Totals; 8]) {
        let mut lines = [Line::NONE; 8];
        for j in 0..8 {
            lines[j] = Line::of(totals[j], sums[j]);
        }
        let (mut ss, mut sm, mut mm, mut xs, mut xm) = (0.0, 0.0, 0.0, 0.0, 0.0);
        for j in 0..8 {
            let (s, m) = (self.s[j], self.m[j]);
            ss += s * s * sums[j].l2;
            sm += s * m * sums[j].l;
            mm += m * m * totals[j].w;
            xs += s * sums[j].xl;
            xm += m * totals[j].wx;
        }
        let determinant = ss * mm - sm * sm;
        if determinant > 0.0 {
            let fitted = Self {
                d: nearest_unit((xs * mm - xm * sm) / determinant),
                dmin: nearest_unit((sm * xs - ss * xm) / determinant),
                ..*self
            };
            let usable = fitted.d > 0.0 && fitted.dmin >= 0.0;
            if usable && fitted.error(&lines, totals) < self.error(&lines, totals) {
                *self = fitted;
            }
        }

        let per_dmin = reciprocal(self.dmin);
        for j in 0..8 {
            let before = self.s[j];
            let mut least = f32::INFINITY;
            for s in [before, before - 1.0, before + 1.0] {
                if (0.0..=63.0).contains(&s) {
                    let offer = lines[j].at(self.d, s);
                    let (m, error) = offer.fit::<ROUNDS>(totals[j].w, self.dmin, per_dmin);
                    if error < least {
                        (least, self.s[j], self.m[j]) = (error, s, m);
                    }
                }
            }
        }
    }

    /// The error of the super-block by its forms.
    #[inline(always)]
    fn error(&self, lines: &[Line; 8], totals: &[Totals; 8]) -> f32 {
        let mut error = 0.0;
        for j in 0..8 {
            let line = lines[j];
            let beside = self.d * self.s[j] - line.scale;
            let off = self.dmin * self.m[j] - line.min - line.slope * beside;
            error += line.error + line.curvature * beside * beside + totals[j].w * off * off;
        }
        error
    }
}

impl RayUnits {
    /// Nothing but zeros.
    pub(crate) const ZERO: Self = Self {
        d: 0.0,
        s: [0.0; 16],
    };

    /// For each sub-block the best of its forms and multiples, given the unit.
    #[inline(always)]
    pub(crate) fn choose<const ROUNDS: bool>(d: f32, rays: &[[Ray; KEEP]; 16]) -> Self {
        let per_d = reciprocal(d);
        let mut chosen = [0.0; 16];
        for j in 0..16 {
            let mut least = f32::INFINITY;
            for ray in &rays[j] {
                let (s, error) = ray.fit::<ROUNDS>(d, per_d);
                if error < least {
                    (least, chosen[j]) = (error, s);
                }
            }
        }
        Self { d, s: chosen }
    }

    /// Fits unit and multiples to the levels that they gave.
    #[inline(always)]
    pub(crate) fn refine<const ROUNDS: bool>(&mut self, rays: &[Ray; 16]) {
        let (mut ss, mut xs) = (0.0, 0.0);
        for (ray, s) in rays.iter().zip(self.s) {
            ss += s * s * ray.l2;
            xs += s * ray.scale * ray.l2;
        }
        let error = |d: f32, s: &[f32; 16]| {
            let mut error = 0.0;
            for (ray, s) in rays.iter().zip(s) {
                let beside = d * s - ray.scale;
                error += ray.error + ray.l2 * beside * beside;
            }
            error
        };
        if ss > 0.0 {
            let fitted = nearest_unit(xs / ss);
            if fitted != 0.0 && error(fitted, &self.s) < error(self.d, &self.s) {
                self.d = fitted;
            }
        }
        let per_d = reciprocal(self.d);
        for (ray, s) in rays.iter().zip(&mut self.s) {
            *s = ray.fit::<ROUNDS>(self.d, per_d).0;
        }
    }
}

/// The proposals for the unit of scales or minimums, the largest of which is `largest`: it becomes 63
/// units and less.
#[inline(always)]
pub(crate) fn proposals(largest: f32) -> [f32; UNITS] {
    let mut units = [0.0; UNITS];
    for (i, unit) in units.iter_mut().enumerate() {
        let unrounded = largest / (63.0 - UNIT_STEP * i as f32);
        *unit = nearest_unit(select(largest > 0.0, unrounded, 0.0));
    }
    units
}

/// The proposals for the unit of Q6_K: the scale of the largest magnitude becomes -128 and less.
#[inline(always)]
pub(crate) fn ray_proposals(largest: f32) -> [f32; UNITS] {
    let mut units = [0.0; UNITS];
    for (i, unit) in units.iter_mut().enumerate() {
        *unit = nearest_unit(largest / (RAY_UNIT_STEP * i as f32 - 128.0));
    }
    units
}

/// A unit as it is stored: the nearest f16 that is finite.
#[inline(always)]
pub(crate) fn nearest_unit(unit: f32) -> f32 {
    f16_to_f32(f32_to_f16(unit.clamp(-65504.0, 65504.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proposals_are_finite_halves_that_the_largest_is_within() {
        for largest in [0.0, 1e-9, 1e-6, 0.003, 1.0, 4e6, 1e30] {
            for unit in proposals(largest) {
                assert_eq!(unit, nearest_unit(unit), "{largest}");
                assert!((0.0..=65504.0).contains(&unit), "{largest}");
            }
            for unit in ray_proposals(largest) {
                assert!((-65504.0..=0.0).contains(&unit), "{largest}");
            }
        }
        let multiples = proposals(1.0).map(|unit| 1.0 / unit);
        assert!((multiples[0] - 63.0).abs() < 0.05, "{multiples:?}");
        assert!((multiples[UNITS - 1] - 50.6).abs() < 0.05, "{multiples:?}");
    }

    #[test]
    fn fitting_units_to_levels_never_raises_the_error() {
        let line = |scale, min| Line {
            error: 0.1,
            scale,
            min,
            slope: 7.0,
            curvature: 600.0,
        };
        let mut totals = [Totals {
            w: 30.0,
            wx: 0.0,
            wxx: 0.0,
        }; 8];
        let mut sums = [Sums {
            l: 0.0,
            l2: 0.0,
            xl: 0.0,
        }; 8];
        let mut lines = [Line::NONE; 8];
        for j in 0..8 {
            // Sums whose line is this one.
            let wanted = line(0.1 + 0.01 * j as f32, 0.7 - 0.03 * j as f32);
            let (w, l) = (totals[j].w, wanted.slope * totals[j].w);
            let l2 = wanted.curvature + wanted.slope * l;
            totals[j].wx = wanted.scale * l - wanted.min * w;
            sums[j] = Sums {
                l,
                l2,
                xl: wanted.scale * l2 - wanted.min * l,
            };
            totals[j].wxx = 0.1 + wanted.scale * sums[j].xl - wanted.min * totals[j].wx;
            lines[j] = Line::of(totals[j], sums[j]);
            assert!(
                (lines[j].scale - wanted.scale).abs() < 1e-3,
                "{:?}",
                lines[j]
            );
        }
        let mut units = Units {
            d: nearest_unit(0.003),
            dmin: nearest_unit(0.012),
            s: [33.0, 37.0, 40.0, 43.0, 47.0, 50.0, 53.0, 57.0],
            m: [58.0, 56.0, 53.0, 51.0, 48.0, 46.0, 43.0, 41.0],
        };
        let mut before = units.error(&lines, &totals);
        for _ in 0..4 {
            units.refine::<false>(&sums, &totals);
            let after = units.error(&lines, &totals);
            assert!(after <= before, "{after} after {before}");
            before = after;
        }
    }
}
