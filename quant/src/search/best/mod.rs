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
//! sums over the weights tell it for *every* scale and minimum ([`forms::Line`]):
//!
//! ```text
//! error(a, b) = error + curvature·(a - scale)² + Σw·(b - min - slope·(a - scale))²
//! ```
//!
//! So weights are looked at only to find levels worth having, and all else is arithmetic on a few
//! numbers for each sub-block:
//!
//! 1. **Levels.** For each sub-block the range that the levels cover is moved at both ends, outward
//!    and inward ([`SHIFTS`]); each time the weights are rounded to levels, and the [`KEEP`] forms with
//!    the lowest error are kept. Each of these is rounded once more, at its own scale and minimum.
//!    Moved outward by about a level at an end, the range leaves that level unused, and the others
//!    have what is then the best distance.
//! 2. **Units.** [`UNITS`] proposals for `d` put the largest scale on 63 and less. With `b` left free,
//!    the best `s` for each form is the nearest one. For the [`KEEP_UNITS`] best `d`, as many
//!    proposals for `dmin` are tried: with `s` on either side of the best scale, the best `m` is the
//!    one nearest to the minimum that the form has for this scale. The pair with the lowest sum wins,
//!    each sub-block with the form, `s` and `m` that are best for it.
//! 3. **Rounds.** The levels are rounded for the scales and minimums as they will be read. For these
//!    levels least squares gives `d` and `dmin`, and each sub-block the best `s`, no more than one
//!    away, with its `m`. That happens [`FITTINGS`] times; more of them gain 0.01 % at most.
//! 4. **Proof.** The block is written and read back, and stays only where its error, summed in f64,
//!    is below that of ggml's own block. So no super-block is worse, whatever was rounded on the way.
//!
//! # Q6_K
//! A weight is read as `a·l`, with `a = d·s` and `s` in `-128..128`. The form has one variable
//! ([`forms::Ray`]). The proposals put the weight of the largest magnitude on level -32, or on 31, and up to
//! three levels to either side; the scale of the largest magnitude goes to -128 and less; the rest is
//! the same. Weights count with their square here, so scales that suit the few largest weights and no
//! other look good: with proposals further away the weighted error falls on, and the plain one rises.
//!
//! # Weights
//! The error is weighted as ggml weights it: see [`super_block`].

mod forms;
mod lanes;
mod ray_lanes;
pub(crate) mod rows;
mod scalar;
mod super_block;
mod units;

/// Forms kept for each sub-block.
const KEEP: usize = 3;

/// How far an end of the range is moved outward, in levels; both ends take each of these.
const SHIFTS: [f32; 5] = [0.0, -0.35, 0.35, 0.7, 1.05];

/// How far the largest weight is moved from the last level of Q6_K.
const RAY_SHIFTS: [f32; 9] = [0.0, -3.2, -2.4, -1.6, -0.8, 0.8, 1.6, 2.4, 3.2];

/// Proposals for a unit.
const UNITS: usize = 32;

/// Units of the scales that units of the minimums are proposed for.
const KEEP_UNITS: usize = 2;

/// How often levels and scales are fitted to each other in the end.
const FITTINGS: usize = 2;

/// What a proposal for a unit of Q4_K and Q5_K lowers the largest multiple by: to 50.6 in the end.
const UNIT_STEP: f32 = 0.4;

/// What a proposal for a unit of Q6_K lowers the largest multiple by: to 109.4 in the end.
const RAY_UNIT_STEP: f32 = 0.6;
