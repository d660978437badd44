//! Why an importance matrix cannot be used.

use std::{io, path::PathBuf};

use swallow_quant::GgmlType;

use crate::gguf::{Foreign, MAX_TENSOR_NAME, ReadError, ValueType};

/// Why an importance matrix cannot be read, or is not the model's.
#[derive(Debug, thiserror::Error)]
#[allow(
    missing_docs,
    reason = "the messages say what the variants and fields are"
)]
pub enum ImatrixError {
    #[error(transparent)]
    Gguf(#[from] ReadError),
    #[error("cannot read `{}`: {error}", path.display())]
    Read { path: PathBuf, error: io::Error },
    #[error("`{}` is {found}, expected an importance matrix: a file that llama-imatrix wrote", path.display())]
    NoMatrix { path: PathBuf, found: &'static str },
    #[error("`{}` is not an importance matrix: {foreign}", path.display())]
    Foreign { path: PathBuf, foreign: Foreign },
    #[error(
        "`{}` is a model ({architecture}), not an importance matrix: give the file that \
         llama-imatrix wrote for it",
        path.display()
    )]
    Model { path: PathBuf, architecture: String },
    #[error(
        "`{}` is not an importance matrix: it is a GGUF without the key `{key}`, expected one that \
         llama-imatrix wrote",
        path.display()
    )]
    NoMetadata { path: PathBuf, key: &'static str },
    #[error(
        "`{}` is not an importance matrix: expected a GGUF, or the older format, which begins with \
         the number of its entries, found {found}",
        path.display()
    )]
    NeitherFormat { path: PathBuf, found: String },
    #[error("importance matrix `{}` is broken: {what}", path.display())]
    Broken { path: PathBuf, what: Broken },
    #[error(
        "importance matrix `{}` has {found} values for `{tensor}`, expected {expected} ({columns} \
         columns × {experts}): it was made for another model",
        path.display()
    )]
    WrongLength {
        path: PathBuf,
        tensor: String,
        found: u64,
        expected: u64,
        columns: u64,
        experts: u64,
    },
    #[error(
        "importance matrix `{}` has no entry for any tensor of this model: it has `{has}`, expected \
         names like `{wanted}`",
        path.display()
    )]
    OtherModel {
        path: PathBuf,
        has: String,
        wanted: String,
    },
}

/// What is wrong inside an importance matrix. Names are escaped; offsets are from the beginning of
/// the file.
#[derive(Debug, thiserror::Error)]
#[allow(
    missing_docs,
    reason = "the messages say what the variants and fields are"
)]
pub enum Broken {
    #[error("key `{key}` has type {found}, expected {expected}")]
    KeyType {
        key: &'static str,
        found: ValueType,
        expected: &'static str,
    },
    #[error("it has no entries")]
    NoEntries,
    #[error("`{tensor}.{there}` is there, `{tensor}.{missing}` is missing")]
    Unpaired {
        tensor: String,
        there: &'static str,
        missing: &'static str,
    },
    #[error("`{tensor}` has type {found}, expected F32")]
    NotF32 { tensor: String, found: GgmlType },
    #[error("`{tensor}` has {sums} sums and {counts} counts, expected the same number for each")]
    Lengths {
        tensor: String,
        sums: u64,
        counts: u64,
    },
    #[error("`{tensor}` has {sums} sums of squares, but {others} sums")]
    Sums {
        tensor: String,
        sums: u64,
        others: u64,
    },
    #[error("`{tensor}` has the count {value} for expert {expert}, expected a whole number")]
    Count {
        tensor: String,
        expert: usize,
        value: f32,
    },
    #[error(
        "`{tensor}` has the importance {value} at index {index}, expected a finite number that is \
         not negative"
    )]
    Value {
        tensor: String,
        index: usize,
        value: f32,
    },

    #[error(
        "the file ends inside {place} at offset {offset}, which needs {needed} bytes where {left} \
         are left; the download was probably cut"
    )]
    Cut {
        place: String,
        offset: u64,
        needed: u64,
        left: u64,
    },
    #[error(
        "entry {index} at offset {offset} has a name of {len} bytes, expected 1 to \
         {MAX_TENSOR_NAME}"
    )]
    NameLength { index: i32, offset: u64, len: i32 },
    #[error("entry {index} at offset {offset} has the name `{name}`, which is not UTF-8")]
    NameNotUtf8 {
        index: i32,
        offset: u64,
        name: String,
    },
    #[error("entry {index} at offset {offset} has the name `{name}`, which is there already")]
    Duplicate {
        index: i32,
        offset: u64,
        name: String,
    },
    #[error("`{tensor}` has {found} values at offset {offset}, expected at least 1")]
    NoValues {
        tensor: String,
        found: i32,
        offset: u64,
    },
    #[error("the dataset's name at offset {offset} has {len} bytes, expected 0 or more")]
    DatasetLength { len: i32, offset: u64 },
    #[error("{left} bytes follow the end at offset {offset}")]
    Trailing { left: u64, offset: u64 },
}
