//! How a block's scale (and minimum) is found where the columns of a tensor differ in importance.
//!
//! An importance matrix has one number for each column: how large the activations were that the
//! column was multiplied with, as a mean of their squares. An error in a weight of an important
//! column costs more, so the searches of this module count each weight `x` with
//!
//! ```text
//! w = importance · sqrt(σ² + x²)
//! ```
//!
//! where `σ²` is the mean square of the weights around it (see [`Spread`]); in Q6_K with the
//! importance alone. [`scalar`] is the reference for one sub-block and [`lanes`] the same for
//! many, as their namesakes one level up.
//!
//! # Scale and minimum (Q2_K, Q4_K, Q5_K, Q4_1, Q5_1)
//! As without importance, but always for the squared error, with more and finer proposals
//! ([`FIRST`], [`STEP`], [`STEPS`]), and with values limited to the levels before they are rounded
//! in all proposals but the first. Only that one, whose values lie in between unless the range is
//! next to nothing, can show what [`nearest_int`](crate::rounding::nearest_int) does out of its
//! range.
//!
//! # Units of scales and minimums (Q2_K, Q4_K, Q5_K)
//! The scales of a super-block are stored in steps of a unit, and so are its minimums. Both are
//! searched, each scale counting with the sum of its sub-block's weights:
//!
//! 1. Of nine units around the one that makes the largest scale the highest step, the one with the
//!    least squared error is taken.
//! 2. Step by step as in Q3_K without importance: the unit that all other scales have by least
//!    squares says which step is best for this one, and it moves there where that lowers the
//!    error. This ends when none moves, or after five rounds.
//! 3. The unit is that of least squares for these steps.
//!
//! A scale can be negative, and steps are bytes. So a negative step is kept as that plus 256 and
//! taken for just that in the second part, while the sums it begins with have it negative: ggml's
//! bytes depend on it.
//!
//! # Scale alone (Q3_K, Q6_K, Q4_0, Q5_0)
//! As in Q6_K without importance: the weight of the largest magnitude goes a little more or less
//! beyond the lowest level, and least squares gives the scale. In Q3_K the unit of the scales is
//! found in the same way.
//!
//! # Scale alone, uneven levels (IQ4_NL, IQ4_XS)
//! As without importance.
//!
//! # What becomes of extremes
//! - Where all that counts in a sub-block has importance 0, no proposal fits better than the first.
//!   A scale alone is then 0; with a minimum, scale and minimum are the first proposal's, though
//!   they too count nothing in the search for units. Levels are the first proposal's. It is not left
//!   at that: see [`crate::importance`].
//! - Where a stored scale is 0, the levels of the search stay. They are always those of this
//!   sub-block: no result depends on memory that a search did not write. (ggml leaves the levels of
//!   a sub-block of zeros unset in IQ4_XS, but sets them all again before it stores them.)
//! - Weights from about 1e19 on have infinite squares, and count infinitely or, with importance 0,
//!   as NaN. Sums are then infinite or NaN; comparisons with NaN are false, and the proposal that
//!   was best before stays. A scale may come out as NaN, and is stored so,
//!   with the sign that the processor gives a NaN (on x86-64, where ggml's bytes come from, minus).

pub(crate) mod lanes;
pub(crate) mod scalar;

/// The first proposal of a search for scale and minimum maps the range of weights to the highest
/// level plus this…
const FIRST: f32 = -0.9;

/// …each next to so much more…
const STEP: f32 = 0.05;

/// …and the last is this many steps on.
const STEPS: u8 = 36;

/// The proposals for a scale alone: tenths of a level that the largest value lies beyond the lowest
/// level.
const TENTHS: [i8; 19] = [
    0, -9, -8, -7, -6, -5, -4, -3, -2, -1, 1, 2, 3, 4, 5, 6, 7, 8, 9,
];

/// The proposals for a unit after the first: tenths of a step that the largest scale lies beyond the
/// highest step.
const UNIT_TENTHS: [i8; 8] = [-4, -3, -2, -1, 1, 2, 3, 4];

/// How often each scale's step is looked at in a search for a unit.
const UNIT_ROUNDS: usize = 5;

/// The `σ²` of a sum of squares: how much weights count that are themselves small.
///
/// The sum runs over a super-block of the K types and IQ4_XS, over a block of IQ4_NL, and over a
/// whole row for Q4_0, Q4_1, Q5_0 and Q5_1.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Spread {
    /// The mean square (Q2_K and the types whose sum runs over a row).
    Mean,
    /// Twice the mean square, doubled before it is divided (Q3_K, Q4_K, Q5_K): a sum that is over
    /// half of what f32 can hold becomes infinite.
    Twice,
    /// Twice the mean square, multiplied with `2 / n` (IQ4_NL, IQ4_XS).
    TwiceTheMean,
}

impl Spread {
    /// `σ²` of the sum of the squares of `n` weights.
    #[inline(always)]
    pub(crate) fn of(self, sum: f32, n: usize) -> f32 {
        let n = n as f32;
        match self {
            Spread::Mean => sum / n,
            Spread::Twice => 2.0 * sum / n,
            Spread::TwiceTheMean => sum * (2.0 / n),
        }
    }
}

/// What a weight counts.
#[inline(always)]
pub(crate) fn weight(importance: f32, sigma2: f32, x: f32) -> f32 {
    importance * (sigma2 + x * x).sqrt()
}

/// Scales (or minimums) of a super-block in steps of a unit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Steps<const LEN: usize> {
    /// What one step is.
    pub(crate) unit: f32,
    /// Each scale in steps; a negative one plus 256.
    pub(crate) steps: [u8; LEN],
}
