//! The importance of a row's columns, and what is done where it is 0.
//!
//! An importance matrix has zeros where nothing was measured: for an expert that no token has
//! reached, for a part of the activations that was never anything but 0. Where a search has nothing
//! but zeros every choice costs the same, and what comes of it in most types is a scale of 0: the
//! weights are gone. So those searches alone do not go by the importance, and only there are the bytes
//! not ggml's:
//!
//! - A block (a super-block of the K types and IQ4_XS) whose importances are all 0 is quantized as
//!   without an importance.
//! - In another super-block each sub-block is searched by itself, and one whose importances are all 0
//!   is taken to count as little as the least of the super-block's other columns: its weights alike,
//!   next to nothing in the search for the unit that all sub-blocks share.

use std::{borrow::Cow, ops::Range};

use crate::{GgmlType, Unsupported};

/// How much the columns of a row count.
pub(crate) struct Columns<'a> {
    /// The importance, without a sub-block of zeros in a block with others.
    importance: Cow<'a, [f32]>,
    /// The columns of whole blocks that have nothing but zeros.
    unknown: Vec<Range<usize>>,
}

impl<'a> Columns<'a> {
    /// Of a row of whole blocks of a type that has a search.
    pub(crate) fn new(ty: GgmlType, importance: &'a [f32]) -> Self {
        let mut columns = Self {
            importance: importance.into(),
            unknown: Vec::new(),
        };
        let len = searched_together(ty);
        if !importance.chunks_exact(len).any(is_unknown) {
            return columns;
        }
        for (i, block) in importance.chunks_exact(ty.block_len()).enumerate() {
            let start = i * ty.block_len();
            if is_unknown(block) {
                push(&mut columns.unknown, start..start + block.len());
                continue;
            }
            if !block.chunks_exact(len).any(is_unknown) {
                continue;
            }
            let least = block.iter().copied().filter(|&value| value > 0.0);
            let least = least.fold(f32::INFINITY, f32::min);
            let of_block = &mut columns.importance.to_mut()[start..start + block.len()];
            for search in of_block.chunks_exact_mut(len) {
                if is_unknown(search) && least.is_finite() {
                    search.fill(least);
                }
            }
        }
        columns
    }

    /// Has `quantize` make blocks of rows: with an importance, and then again without one what has
    /// none.
    pub(crate) fn quantize(
        &self,
        ty: GgmlType,
        src: &[f32],
        dst: &mut [u8],
        quantize: impl Fn(Option<&[f32]>, &[f32], &mut [u8]) -> Result<(), Unsupported>,
    ) -> Result<(), Unsupported> {
        let columns = self.importance.len();
        if self.unknown.iter().map(Range::len).sum::<usize>() == columns {
            return quantize(None, src, dst);
        }
        quantize(Some(&self.importance), src, dst)?;
        let bytes = |weights: usize| weights / ty.block_len() * ty.block_bytes();
        let rows = src.chunks_exact(columns);
        for (row, dst) in rows.zip(dst.chunks_exact_mut(bytes(columns))) {
            for run in &self.unknown {
                let dst = &mut dst[bytes(run.start)..bytes(run.end)];
                quantize(None, &row[run.clone()], dst)?;
            }
        }
        Ok(())
    }
}

/// The columns whose searches would have nothing but importances of 0, in the order of the row;
/// those of types without a search are never among them.
pub(crate) fn unknown(ty: GgmlType, importance: &[f32]) -> Vec<Range<usize>> {
    let mut unknown = Vec::new();
    if crate::weighted_rows::has_weighted_search(ty) {
        let len = searched_together(ty);
        for (i, search) in importance.chunks(len).enumerate() {
            if is_unknown(search) {
                push(&mut unknown, i * len..i * len + search.len());
            }
        }
    }
    unknown
}

fn is_unknown(importance: &[f32]) -> bool {
    importance.iter().all(|value| *value == 0.0)
}

/// Adds a run that may go on with the last.
fn push(runs: &mut Vec<Range<usize>>, run: Range<usize>) {
    match runs.last_mut() {
        Some(last) if last.end == run.start => last.end = run.end,
        _ => runs.push(run),
    }
}

/// Columns that one search for a scale looks at.
fn searched_together(ty: GgmlType) -> usize {
    match ty {
        GgmlType::Q2_K | GgmlType::Q3_K | GgmlType::Q6_K => 16,
        _ => 32,
    }
}
