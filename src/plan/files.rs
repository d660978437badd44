//! Where tensors lie, in one file or in several.
//!
//! A model is split as llama.cpp's `gguf-split` does it: tensors stay whole and in their order, and
//! a file ends where the next one would take its tensors, with the padding behind each, beyond
//! the limit. The first file has all the metadata. Each file says which one it is (`split.no`), how
//! many tensors (`split.tensors.count`) and how many files there are (`split.count`).

use std::{
    ops::Range,
    path::{Path, PathBuf},
};

use super::PlannedTensor;
use crate::gguf::{
    self, ALIGNMENT_KEY, DEFAULT_ALIGNMENT, KeyValues, LayoutError, TensorInfo, split,
};

/// One file of the output, to the byte.
#[derive(Debug)]
pub struct PlannedFile {
    /// Bytes from the beginning of the file to the first tensor.
    pub header: Vec<u8>,
    /// Its tensors, as a range of the plan's.
    pub tensors: Range<usize>,
    /// Bytes of the tensors with the padding behind each.
    pub data_bytes: u64,
}

impl PlannedFile {
    /// Bytes of the file.
    pub fn bytes(&self) -> u64 {
        self.header.len() as u64 + self.data_bytes
    }
}

/// Gives every tensor its file and its offset there, and makes the headers.
///
/// # Errors
/// Where the tensors of a file do not fit in 63 bits.
pub(super) fn lay_out(
    tensors: &mut [PlannedTensor],
    key_values: &KeyValues,
    max_bytes: Option<u64>,
) -> Result<Vec<PlannedFile>, LayoutError> {
    let alignment = alignment(key_values);
    let ranges = split_points(tensors, alignment, max_bytes.unwrap_or(u64::MAX));
    let (n_files, n_tensors) = (ranges.len(), tensors.len());
    let mut files = Vec::with_capacity(n_files);
    for (no, range) in ranges.into_iter().enumerate() {
        let mut infos: Vec<TensorInfo> = tensors[range.clone()]
            .iter()
            .map(|t| t.info.clone())
            .collect();
        let data_bytes = gguf::lay_out(&mut infos, alignment)?;
        let mut own = match no {
            0 => key_values.clone(),
            _ => KeyValues::new(),
        };
        if n_files > 1 {
            own.extend(split::key_values(no, n_files, n_tensors));
        }
        let header = gguf::encode_header(&own, &infos, alignment);
        for (tensor, info) in tensors[range.clone()].iter_mut().zip(infos) {
            (tensor.info, tensor.file) = (info, no);
        }
        files.push(PlannedFile {
            header,
            tensors: range,
            data_bytes,
        });
    }
    Ok(files)
}

/// The alignment that the metadata asks for; whoever has read it has seen that it is a power of two.
fn alignment(key_values: &KeyValues) -> u64 {
    let found = key_values.iter().find(|(key, _)| key == ALIGNMENT_KEY);
    found
        .and_then(|(_, value)| value.as_u64())
        .unwrap_or(DEFAULT_ALIGNMENT)
}

/// The tensors of each file: as many as fit, and at least one.
pub(super) fn split_points(
    tensors: &[PlannedTensor],
    alignment: u64,
    max_bytes: u64,
) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let (mut start, mut bytes) = (0, 0u64);
    for (i, tensor) in tensors.iter().enumerate() {
        let padded = tensor.info.size().next_multiple_of(alignment);
        bytes = bytes.saturating_add(padded);
        if bytes > max_bytes && i > start {
            ranges.push(start..i);
            (start, bytes) = (i, padded);
        }
    }
    ranges.push(start..tensors.len());
    ranges
}

/// Where the files go: `path` itself where there is one, else `path` without its ending and with
/// the number of each.
pub(super) fn paths(path: &Path, n_files: usize) -> Vec<PathBuf> {
    match n_files {
        0 | 1 => vec![path.to_owned()],
        n => (0..n).map(|no| split::path(path, no, n)).collect(),
    }
}
