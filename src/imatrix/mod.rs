//! Importance matrices: how much each column of a tensor matters, as llama-imatrix measures it.
//!
//! llama-imatrix runs a text through a model. For each matrix it adds up the squares of what comes
//! in at each column, and counts the rows of input that it has added. The quantizer weighs the
//! error of a weight by the mean of its column: **importance = sum / count**. A stack of experts
//! has sums and a count for each of them, because each sees other tokens.
//!
//! Where an expert saw none (its count is 0), llama.cpp takes an importance of 1 for all of its
//! columns. Nothing else has a mean of exactly 1 everywhere, so in both formats that is how such
//! an expert is known. A mean of 0 (other programs, and older ones of llama.cpp, leave such experts
//! so) has another way: what has no importance but 0 is quantized as without a matrix, see
//! [`swallow_quant::quantize_with_importance`].
//!
//! # The format of today
//! A GGUF (see [`crate::gguf`]) whose tensors are all F32, with the sums of one tensor of the model
//! in `NAME.in_sum2` and its counts in `NAME.counts`. Other endings are for statistics.
//!
//! ```text
//! general.type           string     "imatrix"
//! imatrix.datasets       strings    the texts, by the names of their files
//! imatrix.chunk_count    u32        pieces of text that were run
//! imatrix.chunk_size     u32        tokens in each
//!
//! NAME.in_sum2           [columns, experts]   sums of squares
//! NAME.counts            [1, experts]         rows of input, whole numbers
//! ```
//!
//! # The older format
//! Usually called `.dat`; it has no magic. Everything is little-endian; the numbers are i32 and f32.
//!
//! ```text
//! number of entries
//! each entry      length of the name, the name
//!                 calls               what the values are multiplied by; 0: by nothing
//!                 number of values    columns × experts
//!                 values              importance × calls
//! chunks          how many pieces of text were run     } may be missing,
//! dataset         length of the name, the name         } in files before 2024
//! ```
//!
//! Source: `common/imatrix-loader.cpp`, `tools/imatrix` and `tools/quantize` of llama.cpp. Both
//! formats are read as these do, to the bit, but what they let pass is refused here: sums that do
//! not divide by the counts, values that are negative or no numbers, names that are there twice,
//! bytes behind the end.

mod error;
mod fit;
mod legacy;
mod sums;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use bstr::{BString, ByteSlice};

pub use error::{Broken, ImatrixError};
pub use fit::Fit;

use crate::gguf::{Foreign, FormatError, Gguf, KeyValues, ReadError, Value};

/// Bytes of a string that llama.cpp passes on from its command line, at most.
const MAX_LLAMA_STRING: usize = 127;

/// An importance matrix, read and checked: every value is finite and not negative.
#[derive(Clone, Debug)]
pub struct Imatrix {
    /// The file, as it was given; it is named in what is quantized with it.
    pub file: PathBuf,
    /// The texts it was made from, by the names of their files.
    pub datasets: Vec<BString>,
    /// Pieces of text that were run, 0 where the file does not say.
    pub chunk_count: u32,
    /// The importance of each column of each expert, expert after expert, by the tensor's name.
    entries: BTreeMap<String, Vec<f32>>,
}

impl Imatrix {
    /// Reads the importance matrix at `path`, in either format.
    ///
    /// # Errors
    /// Where the file cannot be read, is something else (and then what), or is broken.
    pub fn open(path: &Path) -> Result<Self, ImatrixError> {
        let no_matrix = |found| ImatrixError::NoMatrix {
            path: path.to_owned(),
            found,
        };
        match Gguf::open(path) {
            Ok(gguf) => sums::read(path, &gguf),
            Err(ReadError::Format {
                source: FormatError::Foreign(foreign),
                ..
            }) => match foreign {
                // The older format has no magic. Its first bytes are a number.
                Foreign::Unknown(_) => legacy::read(path),
                foreign => Err(ImatrixError::Foreign {
                    path: path.to_owned(),
                    foreign,
                }),
            },
            Err(ReadError::Folder { .. }) => Err(no_matrix("a folder")),
            Err(ReadError::NotAFile { .. }) => Err(no_matrix("not a regular file")),
            Err(ReadError::Format {
                source: FormatError::Empty,
                ..
            }) => Err(no_matrix("empty")),
            Err(error) => Err(error.into()),
        }
    }

    /// The importance of each column of each expert of `tensor`, expert after expert; `None` where
    /// there is no entry. [`Imatrix::fit`] says whether it fits.
    pub fn get(&self, tensor: &str) -> Option<&[f32]> {
        self.entries.get(tensor).map(Vec::as_slice)
    }

    /// The tensors that have entries, in the order of their names.
    pub fn tensors(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no entry, which is so only after [`Imatrix::select`].
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Forgets entries as llama-quantize does for `--include-weights` and `--exclude-weights`: those
    /// with a part of `exclude` in the tensor's name and, where `include` has any, those with none
    /// of its parts. A matrix that is then empty counts as none.
    pub fn select(&mut self, include: &[String], exclude: &[String]) {
        let has_one_of =
            |name: &str, parts: &[String]| parts.iter().any(|part| name.contains(part));
        self.entries.retain(|name, _| {
            !has_one_of(name, exclude) && (include.is_empty() || has_one_of(name, include))
        });
    }

    /// What a quantized file says of its importance matrix: llama-quantize's keys, in its order.
    /// They come last in the file, behind overridden ones. Of several datasets only the first is
    /// named, and long names are cut after 127 bytes, as llama-quantize does. Of an empty matrix
    /// nothing is said.
    pub fn key_values(&self) -> KeyValues {
        if self.is_empty() {
            return KeyValues::new();
        }
        let string = |bytes: &[u8]| Value::String(cut(bytes).into());
        let mut key_values: KeyValues = vec![(
            "quantize.imatrix.file".into(),
            string(self.file.as_os_str().as_encoded_bytes()),
        )];
        if let Some(dataset) = self.datasets.first() {
            key_values.push(("quantize.imatrix.dataset".into(), string(dataset)));
        }
        key_values.push((
            "quantize.imatrix.entries_count".into(),
            (self.len() as u32).into(),
        ));
        if self.chunk_count > 0 {
            key_values.push((
                "quantize.imatrix.chunks_count".into(),
                self.chunk_count.into(),
            ));
        }
        key_values
    }
}

/// What C has of a string with room for 127 bytes.
fn cut(bytes: &[u8]) -> &[u8] {
    let end = bytes.find_byte(0).unwrap_or(bytes.len());
    &bytes[..end.min(MAX_LLAMA_STRING)]
}

/// The first value of `importance` that is none, and its index.
fn first_bad(importance: &[f32]) -> Option<(usize, f32)> {
    let good = |value: f32| value.is_finite() && value >= 0.0;
    importance
        .iter()
        .copied()
        .enumerate()
        .find(|(_, value)| !good(*value))
}
