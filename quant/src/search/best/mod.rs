//! The search for better blocks: a lower weighted squared error than ggml's, in the same format.
//!
//! ggml searches scale and minimum of each sub-block as real numbers, rounds them to six bits (Q6_K:
//! eight), and keeps what comes of it. Two things are left lying there. Its proposals stretch the
//! range of the weights from one end only, so better levels are missed. And rounding the scales costs
//! as much again, though the rounding could be chosen: the units that scales and minimums are
//! multiples of are free, and so is which multiple to take.
//!
//! # Q4_K and Q5_K
//! A weight `x` with level `l` is read as `a·l - b`, where the sub-block's scale is `a = d·s`, its
//! minimum `b = dmin·m`, with `s` and `m` in `0..64`, and `d` and `dmin` belong to the super-block.
//! Once the levels of a sub-block are given, its error is a quadratic form in `a` and `b`, and a few
//! sums over the weights tell it for *every* scale and minimum ([`Line`]):
//!
//! ```text
//! error(a, b) = error + curvature·(a - scale)² + Σw·(b - min - slope·(a - scale))²
//! ```
//!
//! So weights are looked at only to find levels worth having, and all else is arithmetic on a few
//! numbers for each sub-block:
//!
//! 1. **Levels.** For each sub-block the range that the levels cover is moved at both ends, in steps
//!    of half a level ([`SHIFTS`]), the weights are rounded to levels, and the [`KEEP`] forms with
//!    the lowest minimum are kept. Each of these is rounded once more, at its own minimum.
//! 2. **Units.** [`UNITS`] proposals for `d` put the largest scale on 63 and less. With `b` left free,
//!    the best `s` for each form is the nearest one. For the [`KEEP_UNITS`] best `d`, as many
//!    proposals for `dmin` are tried: with `s` on either side of the best scale, the best `m` is the
//!    one nearest to the minimum of the line for this scale. The pair with the lowest sum wins, each
//!    sub-block with the form, `s` and `m` that are best for it.
//! 3. **Rounds.** The levels are rounded for the scales and minimums as they will be read. For these
//!    levels least squares gives `d` and `dmin`, and each sub-block the best `s`, no more than one
//!    away, with its `m`. That happens [`ROUNDS`] times; more of them gain nothing that counts.
//! 4. **Proof.** The block is written and read back, and stays only where its error, summed in f64,
//!    is below that of ggml's own block. So no super-block is worse, whatever was rounded on the way.
//!
//! # Q6_K
//! A weight is read as `a·l`, with `a = d·s` and `s` in `-128..128`. The form has one variable
//! ([`Ray`]). The proposals put the weight of the largest magnitude on level -32, or on 31, and up to
//! four levels to either side; the scale of the largest magnitude goes to -128 and less; the rest is
//! the same.
//!
//! # Weights
//! The error is weighted as ggml weights it: see [`super_block`].

pub(crate) mod lanes;
pub(crate) mod rows;
pub(crate) mod scalar;
mod super_block;

use super::lanes::select;
use crate::float::{f16_to_f32, f32_to_f16};
use crate::rounding::nearest_between;

/// Forms kept for each sub-block.
pub(crate) const KEEP: usize = 3;

/// How far an end of the range is moved, in levels; both ends take each of these.
pub(crate) const SHIFTS: [f32; 5] = [0.0, -0.35, 0.35, 0.7, 1.05];

/// How far the largest weight is moved from the last level of Q6_K.
pub(crate) const RAY_SHIFTS: [f32; 9] = [0.0, -3.2, -2.4, -1.6, -0.8, 0.8, 1.6, 2.4, 3.2];

/// Proposals for a unit.
pub(crate) const UNITS: usize = 32;

/// Units of the scales that units of the minimums are proposed for.
pub(crate) const KEEP_UNITS: usize = 2;

/// How often levels and scales are fitted to each other in the end.
pub(crate) const ROUNDS: usize = 2;

/// What a proposal for a unit of Q4_K and Q5_K lowers the largest multiple by: to 50.4 in the end.
pub(crate) const UNIT_STEP: f32 = 0.4;

/// What a proposal for a unit of Q6_K lowers the largest multiple by: to 102.8 in the end.
pub(crate) const RAY_UNIT_STEP: f32 = 0.6;

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
    s: f32,
    /// The error with the best minimum.
    pub(crate) error: f32,
    /// The best minimum.
    min: f32,
}

impl Offer {
    /// The best multiple of `dmin` for the minimum, and the error with it. `per_dmin` is the
    /// reciprocal of `dmin`, `w` the sum of weights.
    #[inline(always)]
    pub(crate) fn fit(&self, w: f32, dmin: f32, per_dmin: f32) -> (f32, f32) {
        let m = nearest_between(self.min * per_dmin, 0.0, 63.0);
        let off = dmin * m - self.min;
        (m, self.error + w * off * off)
    }
}

/// For each form the multiples of `d` on either side of its best scale.
#[inline(always)]
pub(crate) fn offers(d: f32, lines: &[Line; KEEP]) -> [Offer; 2 * KEEP] {
    let per_d = reciprocal(d);
    let mut offers = [Line::NONE.at(0.0, 0.0); 2 * KEEP];
    for (k, line) in lines.iter().enumerate() {
        let below = nearest_between(line.scale * per_d - 0.5, 0.0, 63.0);
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
    pub(crate) fn fit(&self, d: f32, per_d: f32) -> (f32, f32) {
        let s = nearest_between(self.scale * per_d, -128.0, 127.0);
        let beside = d * s - self.scale;
        (s, self.error + self.l2 * beside * beside)
    }
}

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
    pub(crate) fn choose(
        d: f32,
        dmin: f32,
        lines: &[[Line; KEEP]; 8],
        totals: &[Totals; 8],
    ) -> Self {
        let per_dmin = reciprocal(dmin);
        let (mut s, mut m) = ([0.0; 8], [0.0; 8]);
        for j in 0..8 {
            let mut least = f32::INFINITY;
            for offer in offers(d, &lines[j]) {
                let (min, error) = offer.fit(totals[j].w, dmin, per_dmin);
                if error < least {
                    (least, s[j], m[j]) = (error, offer.s, min);
                }
            }
        }
        Self { d, dmin, s, m }
    }

    /// Fits units and multiples to the levels that they gave.
    #[inline(always)]
    pub(crate) fn refine(&mut self, sums: &[Sums; 8], totals: &[Totals; 8]) {
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
                    let (m, error) = offer.fit(totals[j].w, self.dmin, per_dmin);
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
    pub(crate) fn choose(d: f32, rays: &[[Ray; KEEP]; 16]) -> Self {
        let per_d = reciprocal(d);
        let mut chosen = [0.0; 16];
        for j in 0..16 {
            let mut least = f32::INFINITY;
            for ray in &rays[j] {
                let (s, error) = ray.fit(d, per_d);
                if error < least {
                    (least, chosen[j]) = (error, s);
                }
            }
        }
        Self { d, s: chosen }
    }

    /// Fits unit and multiples to the levels that they gave.
    #[inline(always)]
    pub(crate) fn refine(&mut self, rays: &[Ray; 16]) {
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
            *s = ray.fit(self.d, per_d).0;
        }
    }
}

/// A unit as it is stored: the nearest f16 that is finite.
#[inline(always)]
pub(crate) fn nearest_unit(unit: f32) -> f32 {
    f16_to_f32(f32_to_f16(unit.clamp(-65504.0, 65504.0)))
}

/// The reciprocal of a scale or unit; 0 for 0.
#[inline(always)]
pub(crate) fn reciprocal(value: f32) -> f32 {
    select(value != 0.0, 1.0 / value, 0.0)
}

/// The error of a new form, for finding its place among the kept ones. A form with just the error of
/// a kept one is taken for the same, and comes after all.
#[inline(always)]
pub(crate) fn rank(error: f32, kept: [f32; KEEP]) -> f32 {
    let same = (error == kept[0]) | (error == kept[1]) | (error == kept[2]);
    select(same, f32::INFINITY, error)
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
