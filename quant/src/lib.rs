//! The ggml block formats: a scalar reference that is plainly right, and lane-parallel kernels
//! that write the same bytes several times as fast.
//!
//! No I/O and no llama.cpp here: weights go in as `f32`, blocks come out as bytes. In the order
//! that data takes:
//!
//! - `convert`: rows of bf16, f16 or f32 bytes to `f32`, and the check that all are finite
//! - `search`: the best scale (and minimum) for a block; the algorithms are told there, the
//!   reference is `search/scalar.rs`, the fast one `search/lanes`
//! - `formats`: how levels and scales lie in a block's bytes, one file per layout
//! - `rows`: searches and formats put together, for [`Isa::Scalar`] and for lanes; `weighted_rows`
//!   is the same where an importance matrix says which columns count more
//! - `importance`: what is done where that says nothing
//! - `dispatch`: the same code compiled for each instruction set
//!
//! The bytes are those of ggml's reference quantizers, without an importance matrix ([`quantize`])
//! and with one ([`quantize_with_importance`], but for columns of which it knows nothing), on every
//! instruction set and processor: nothing is contracted to a fused multiply-add, and sums run in
//! ggml's order. For weights that are not
//! finite the bytes are unspecified; see [`first_non_finite`].

mod convert;
mod dispatch;
mod float;
mod formats;
mod importance;
mod isa;
mod rounding;
mod rows;
mod search;
mod types;
mod weighted_rows;

use std::ops::Range;

pub use convert::{bf16_to_f32, f16_to_f32, f32_to_f32, first_non_finite, largest_magnitude};
pub use isa::Isa;
pub use types::GgmlType;

use formats::{five_bit, four_bit, iq4_nl, iq4_xs, q2_k, q3_k, q4_k, q5_k, q6_k, q8_0};

/// A type that this crate cannot quantize to, or cannot dequantize.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot {what} {ty}")]
pub struct Unsupported {
    /// The type asked for.
    pub ty: GgmlType,
    what: &'static str,
}

impl Unsupported {
    fn quantize(ty: GgmlType) -> Self {
        Self {
            ty,
            what: "quantize to",
        }
    }
}

/// Whether [`quantize`] writes this type.
pub fn can_quantize(ty: GgmlType) -> bool {
    use GgmlType::*;
    matches!(
        ty,
        F32 | F16
            | BF16
            | Q2_K
            | Q3_K
            | Q4_K
            | Q5_K
            | Q6_K
            | Q8_0
            | Q4_0
            | Q4_1
            | Q5_0
            | Q5_1
            | IQ4_NL
            | IQ4_XS
    )
}

/// Quantizes `src`, any number of whole blocks, with the kernels of `isa`.
///
/// # Errors
/// [`Unsupported`] for a type that [`can_quantize`] does not have.
///
/// # Panics
/// Where `src` is not a whole number of blocks, where `dst` is not `ty.row_bytes(src.len())`
/// long, and where this processor cannot run `isa`.
pub fn quantize(ty: GgmlType, isa: Isa, src: &[f32], dst: &mut [u8]) -> Result<(), Unsupported> {
    check_lengths(ty, dst.len(), src.len());
    dispatch::quantize(ty, isa, src, dst)
}

/// Whether [`dequantize`] reads this type.
pub fn can_dequantize(ty: GgmlType) -> bool {
    dequantize(ty, &[], &mut []).is_ok()
}

/// Quantizes `src`, any number of whole rows, where an error in a weight counts as much as
/// `importance` has it for the weight's column. A row is as long as `importance`.
///
/// `importance` is what an importance matrix has for the tensor: of each column the mean square
/// of the activations that it is multiplied with, so finite and not negative. To types whose scales
/// are not searched for (Q8_0, F16, BF16, F32) it makes no difference.
///
/// Where all columns of a search have importance 0 the bytes are not ggml's, which would be weights
/// of 0: a block of such columns is quantized as by [`quantize`], and in a super-block with others the
/// columns of a sub-block count as the least of these. [`columns_without_importance`] tells which they are.
///
/// # Errors
/// [`Unsupported`] for a type that [`can_quantize`] does not have.
///
/// # Panics
/// Where a row is not a whole number of blocks, where `src` is not a whole number of rows, where
/// `dst` is not `ty.row_bytes(src.len())` long, and where this processor cannot run `isa`.
pub fn quantize_with_importance(
    ty: GgmlType,
    isa: Isa,
    importance: &[f32],
    src: &[f32],
    dst: &mut [u8],
) -> Result<(), Unsupported> {
    check_lengths(ty, dst.len(), src.len());
    by_columns(ty, importance, src, dst, |importance, src, dst| {
        reference(ty, isa, importance, src, dst)
    })
}

/// The columns of a row whose searches would have nothing but importances of 0, so that
/// [`quantize_with_importance`] goes another way there; one run after the other.
pub fn columns_without_importance(ty: GgmlType, importance: &[f32]) -> Vec<Range<usize>> {
    importance::unknown(ty, importance)
}

/// Hands rows on with their importance, and those parts without one that have none.
fn by_columns(
    ty: GgmlType,
    importance: &[f32],
    src: &[f32],
    dst: &mut [u8],
    quantize: impl Fn(Option<&[f32]>, &[f32], &mut [u8]) -> Result<(), Unsupported>,
) -> Result<(), Unsupported> {
    let columns = importance.len();
    assert!(
        columns.is_multiple_of(ty.block_len()) && src.len().is_multiple_of(columns),
        "{} weights as {ty} in rows of {columns}",
        src.len()
    );
    if weighted_rows::has_weighted_search(ty) && !src.is_empty() {
        importance::Columns::new(ty, importance).quantize(ty, src, dst, quantize)
    } else {
        quantize(None, src, dst)
    }
}

/// ggml's search.
fn reference(
    ty: GgmlType,
    isa: Isa,
    importance: Option<&[f32]>,
    src: &[f32],
    dst: &mut [u8],
) -> Result<(), Unsupported> {
    match importance {
        Some(importance) => dispatch::quantize_with_importance(ty, isa, importance, src, dst),
        None => dispatch::quantize(ty, isa, src, dst),
    }
}

/// Whether [`quantize_best`] looks for better blocks of this type than [`quantize`] writes.
pub fn can_search_best(ty: GgmlType) -> bool {
    matches!(ty, GgmlType::Q4_K | GgmlType::Q5_K | GgmlType::Q6_K)
}

/// Quantizes `src`, whole rows, to a lower weighted squared error than [`quantize`] comes to, in the
/// same format: no super-block has a higher one. Types that [`can_search_best`] does not have are
/// quantized as ever.
///
/// The error is weighted as ggml weights it in its search: with the weights' own magnitudes, or with
/// `importance`, not negative and finite, one value for each column of a row; where that is 0 as in
/// [`quantize_with_importance`]. The bytes are the same on every instruction set and processor.
///
/// # Errors
/// [`Unsupported`] for a type that [`can_quantize`] does not have.
///
/// # Panics
/// As [`quantize`]; and where `src` is not a whole number of rows as long as `importance`, or this is
/// not a whole number of blocks.
pub fn quantize_best(
    ty: GgmlType,
    isa: Isa,
    importance: Option<&[f32]>,
    src: &[f32],
    dst: &mut [u8],
) -> Result<(), Unsupported> {
    check_lengths(ty, dst.len(), src.len());
    let best = |importance: Option<&[f32]>, src: &[f32], dst: &mut [u8]| {
        reference(ty, isa, importance, src, dst)?;
        if can_search_best(ty) {
            dispatch::improve(ty, isa, importance, src, dst);
        }
        Ok(())
    };
    match importance {
        Some(importance) => by_columns(ty, importance, src, dst, best),
        None => best(None, src, dst),
    }
}

/// Dequantizes `src`, any number of whole blocks, as a reader of the file computes the weights.
///
/// # Errors
/// [`Unsupported`] for a type other than F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K to
/// Q6_K, IQ4_NL and IQ4_XS.
///
/// # Panics
/// Where `dst` is not a whole number of blocks, or `src` is not `ty.row_bytes(dst.len())` long.
pub fn dequantize(ty: GgmlType, src: &[u8], dst: &mut [f32]) -> Result<(), Unsupported> {
    check_lengths(ty, src.len(), dst.len());
    match ty {
        GgmlType::F32 => f32_to_f32(src, dst),
        GgmlType::F16 => f16_to_f32(src, dst),
        GgmlType::BF16 => bf16_to_f32(src, dst),
        GgmlType::Q4_0 => decode(src, dst, four_bit::decode_q4_0),
        GgmlType::Q4_1 => decode(src, dst, four_bit::decode_q4_1),
        GgmlType::Q5_0 => decode(src, dst, five_bit::decode_q5_0),
        GgmlType::Q5_1 => decode(src, dst, five_bit::decode_q5_1),
        GgmlType::Q8_0 => decode(src, dst, q8_0::decode),
        GgmlType::IQ4_NL => decode(src, dst, iq4_nl::decode),
        GgmlType::IQ4_XS => decode(src, dst, iq4_xs::decode),
        GgmlType::Q2_K => decode(src, dst, q2_k::decode),
        GgmlType::Q3_K => decode(src, dst, q3_k::decode),
        GgmlType::Q4_K => decode(src, dst, q4_k::decode),
        GgmlType::Q5_K => decode(src, dst, q5_k::decode),
        GgmlType::Q6_K => decode(src, dst, q6_k::decode),
        _ => {
            return Err(Unsupported {
                ty,
                what: "dequantize",
            });
        }
    }
    Ok(())
}

fn decode<const LEN: usize, const BYTES: usize>(
    src: &[u8],
    dst: &mut [f32],
    decode: impl Fn(&[u8; BYTES], &mut [f32; LEN]),
) {
    for (block, y) in src.as_chunks().0.iter().zip(dst.as_chunks_mut().0) {
        decode(block, y);
    }
}

fn check_lengths(ty: GgmlType, bytes: usize, weights: usize) {
    assert_eq!(
        ty.row_bytes(weights),
        Some(bytes),
        "bytes of {weights} weights as {ty}"
    );
}
