//! How a block's scale (and minimum) is found.
//!
//! A block format fixes how levels and scales are stored; which scale is best for given weights
//! is a search. [`scalar`] is that search for one sub-block, written to be plainly right.
//! [`lanes`] is the same search for many sub-blocks at once.
//!
//! # Scale and minimum (Q2_K, Q4_K, Q5_K)
//! A weight `x` of a sub-block becomes a level `l` in `0..=max_level`, and is read back as
//! `scale·l + min` with `min ≤ 0`. In sub-blocks of 32 (Q4_K, Q5_K) the search minimizes the
//! squared error, each weight counting with its own magnitude plus the root mean square of the
//! sub-block; in those of 16 (Q2_K) the absolute error, each weight counting with its magnitude:
//!
//! 1. The first proposal spans exactly the range of the weights.
//! 2. Each step stretches that range a little differently, rounds every weight to a level, and
//!    takes for these levels the scale and minimum of the weighted least squares line. Where
//!    that minimum would be positive it is 0, and the line goes through the origin.
//! 3. A step that lowers the error is taken. **Its minimum is where the next step's range
//!    begins**, so the steps cannot be tried in another order or all at once.
//!
//! # Scale alone (Q6_K)
//! A weight of a sub-block of 16 becomes a level in `-32..32`, read back as `scale·l`; weights
//! count with their square. The proposals put the weight of the largest magnitude on levels from
//! -31.1 to -32.9, and least squares gives the scale for the levels that result.
//!
//! # Scale alone, level by level (Q3_K)
//! A weight of a sub-block of 16 becomes a level in `-4..4`; weights count with their square. The
//! largest weight is put on level -4 and the others follow. Then, for one weight after the other:
//! the scale that all others have by least squares says which level is best for this one, and it
//! moves there where that lowers the error. This ends when none moves, or after five rounds.
//!
//! # Scale alone, uneven levels (IQ4_NL, IQ4_XS)
//! A weight of 32 becomes one of sixteen uneven levels, read back as `scale·q`; weights count with
//! their square. The proposals put the weight of the largest magnitude on the positive side, at
//! 127, and then on the negative one, from -134 to -120, and least squares gives the scale.
//!
//! # Why the order of every operation matters
//! The bytes must be those of ggml, whose sums run in element order, in f32, with multiplication
//! and addition each rounded. A sum over 32 elements therefore cannot be cut into partial sums.
//! But sub-blocks know nothing of each other until their scales are stored, so one vector lane
//! can hold one sub-block: every lane then does exactly the scalar operations in exactly the
//! scalar order, and a vector of them is as fast as it is wide.

pub(crate) mod best;
pub(crate) mod grid;
pub(crate) mod lanes;
pub(crate) mod scalar;
pub(crate) mod weighted;

/// A search for scale and minimum: the levels and the range of proposals.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ScaleAndMinSearch {
    /// The highest level; the lowest is 0.
    pub(crate) max_level: f32,
    /// The first proposal maps the range of weights to `max_level + first` levels…
    pub(crate) first: f32,
    /// …each next to so much more…
    pub(crate) step: f32,
    /// …and the last is this many steps on.
    pub(crate) steps: u8,
    /// What makes one proposal better than another.
    pub(crate) measure: Measure,
}

/// The error that a search for scale and minimum minimizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Measure {
    /// Squares of differences, weighted with magnitudes plus their root mean square.
    Squares,
    /// Magnitudes of differences, weighted with magnitudes. The line is that of least squares
    /// all the same.
    Magnitudes,
}

/// The search for 2-bit levels.
pub(crate) const Q2_K: ScaleAndMinSearch = ScaleAndMinSearch {
    max_level: 3.0,
    first: -0.5,
    step: 0.1,
    steps: 15,
    measure: Measure::Magnitudes,
};

/// The search for 4-bit levels.
pub(crate) const Q4_K: ScaleAndMinSearch = ScaleAndMinSearch {
    max_level: 15.0,
    first: -1.0,
    step: 0.1,
    steps: 20,
    measure: Measure::Squares,
};

/// The search for 5-bit levels.
pub(crate) const Q5_K: ScaleAndMinSearch = ScaleAndMinSearch {
    max_level: 31.0,
    first: -0.5,
    step: 0.1,
    steps: 15,
    measure: Measure::Squares,
};

/// Levels of Q3_K are `-Q3_K_LEVELS..Q3_K_LEVELS`.
pub(crate) const Q3_K_LEVELS: f32 = 4.0;

/// How often each weight's level is looked at in Q3_K.
pub(crate) const Q3_K_ROUNDS: usize = 5;

/// Levels of Q6_K are `-Q6_K_LEVELS..Q6_K_LEVELS`.
pub(crate) const Q6_K_LEVELS: f32 = 32.0;

/// The proposals of Q6_K: tenths of a level that the largest weight lies beyond level 32.
pub(crate) const Q6_K_PROPOSALS: [i8; 19] = [
    0, -9, -8, -7, -6, -5, -4, -3, -2, -1, 1, 2, 3, 4, 5, 6, 7, 8, 9,
];

/// What the proposals of IQ4_NL and IQ4_XS multiply the largest weight to: from the first to the
/// second, one by one.
pub(crate) const IQ4_PROPOSALS: (i16, i16) = (-134, -120);

/// A sub-block whose largest magnitude is below this counts as all zero where there
/// is a scale alone.
pub(crate) const ALL_ZERO: f32 = 1e-15;
