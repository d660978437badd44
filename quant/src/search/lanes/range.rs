//! What the types without a search ask of a block.
//!
//! A block here is 32 weights in a row, not a lane: its maximum may be taken in any order.

use super::select;
use crate::search::scalar;

/// As [`crate::search::scalar::magnitude`]: without the sign, floats are in the order of their bits, and
/// the maximum of integers may be taken in any order.
#[inline(always)]
pub(crate) fn magnitude(x: &[f32; 32]) -> f32 {
    let mut largest = 0;
    for x in x {
        largest = i32::max(largest, x.abs().to_bits() as i32);
    }
    f32::from_bits(largest as u32)
}

/// As [`crate::search::scalar::largest`].
#[inline(always)]
pub(crate) fn largest<const LEN: usize>(x: &[f32; LEN]) -> f32 {
    let (min, max) = ordered_range(x);
    if -min > max || max > -min {
        // Not a branch, because which side it is on is anybody's guess.
        select(-min > max, min, max)
    } else {
        // As far on one side as on the other, or all zero: the first one counts. Or one is NaN.
        scalar::largest(x)
    }
}

/// As [`crate::search::scalar::range`].
#[inline(always)]
pub(crate) fn range(x: &[f32; 32]) -> (f32, f32) {
    let (min, max) = ordered_range(x);
    // The two zeros are equal in the reference, and of equals the first counts.
    if min == 0.0 || max == 0.0 {
        scalar::range(x)
    } else {
        (min, max)
    }
}

/// The ends of the range where -0 is below +0, and NaN beyond the infinities.
#[inline(always)]
fn ordered_range<const LEN: usize>(x: &[f32; LEN]) -> (f32, f32) {
    // Negative floats are in the reverse order of their bits. Turned around they are in order as
    // integers.
    let turn = |bits: i32| bits ^ ((bits >> 31) & i32::MAX);
    let (mut min, mut max) = (i32::MAX, i32::MIN);
    for x in x {
        let ordered = turn(x.to_bits() as i32);
        min = min.min(ordered);
        max = max.max(ordered);
    }
    let float = |ordered: i32| f32::from_bits(turn(ordered) as u32);
    (float(min), float(max))
}
