//! Rows of weights to rows of blocks where each column has an importance: as [`crate::rows`], with
//! the searches of [`crate::search::weighted`].
//!
//! Rows follow each other and are all as long as the importance. What a weight counts depends on
//! its column, and on the squares of the weights around it, whose sum is over a block, a
//! super-block or the whole row.

pub(crate) mod lanes;
pub(crate) mod scalar;

use crate::GgmlType;

/// Whether the importance of columns makes any difference to a type: it does where a scale is
/// searched for.
pub(crate) fn has_weighted_search(ty: GgmlType) -> bool {
    use GgmlType::*;
    matches!(
        ty,
        Q2_K | Q3_K | Q4_K | Q5_K | Q6_K | Q4_0 | Q4_1 | Q5_0 | Q5_1 | IQ4_NL | IQ4_XS
    )
}
