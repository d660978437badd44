//! Why a file could not be read.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::{Foreign, MAX_DIMS, MAX_HEADER, MAX_KEY, MAX_TENSOR_NAME};

/// Why a GGUF file could not be opened.
#[derive(Debug, thiserror::Error)]
#[allow(
    missing_docs,
    reason = "the messages say what the variants and fields are"
)]
pub enum ReadError {
    #[error("cannot open `{}`", path.display())]
    Open { path: PathBuf, source: io::Error },
    #[error("there is no file `{}`{hint}", path.display())]
    NotThere { path: PathBuf, hint: String },
    #[error("`{}` is a folder, expected a GGUF file{hint}", path.display())]
    Folder { path: PathBuf, hint: String },
    #[error("`{}` is not a regular file, expected a GGUF file", path.display())]
    NotAFile { path: PathBuf },
    #[error("{}", told(path, source))]
    Format { path: PathBuf, source: FormatError },
}

/// What is told of a file before the reason.
fn told(path: &Path, error: &FormatError) -> String {
    let path = path.display();
    match error.is_damage() {
        true => format!("`{path}` is damaged, download or make it again"),
        false => format!("cannot read `{path}`"),
    }
}

/// What is wrong with the bytes of a GGUF file. Offsets are from the beginning of the file; keys
/// and names are escaped.
#[derive(Debug, thiserror::Error)]
#[allow(
    missing_docs,
    reason = "the messages say what the variants and fields are"
)]
pub enum FormatError {
    #[error("reading at offset {offset} failed")]
    Io { offset: u64, source: io::Error },
    #[error("the file is empty, download it again")]
    Empty,
    #[error("not a GGUF file: {0}")]
    Foreign(Foreign),
    #[error(
        "it is a big-endian GGUF (version {version}), expected a little-endian one: \
         download that, or convert the model again"
    )]
    BigEndian { version: u32 },
    #[error("GGUF version {found}, expected 2 or 3: {}", of_version(*found))]
    Version { found: u32 },

    #[error(
        "the file ends inside its header: {place} at offset {offset} needs {needed} bytes and \
         {left} are left; the download was probably cut, download it again"
    )]
    HeaderCut {
        place: String,
        offset: u64,
        needed: u64,
        left: u64,
    },
    #[error(
        "{place} at offset {offset} needs {needed} bytes, with which the header would be larger \
         than the {MAX_HEADER} bytes we read"
    )]
    HeaderTooLarge {
        place: String,
        offset: u64,
        needed: u64,
    },
    #[error(
        "the header says {count} {what}, but the {left} bytes that follow have room for {room}"
    )]
    Count {
        what: &'static str,
        count: u64,
        left: u64,
        room: u64,
    },

    #[error("key-value {index} at offset {offset} has an empty key")]
    EmptyKey { index: u64, offset: u64 },
    #[error(
        "key-value {index} at offset {offset} has a key of {len} bytes, expected at most {MAX_KEY}"
    )]
    LongKey { index: u64, offset: u64, len: u64 },
    #[error("key-value {index} at offset {offset} has the key `{key}`, which is not UTF-8")]
    KeyNotUtf8 {
        index: u64,
        offset: u64,
        key: String,
    },
    #[error("key `{key}` is there twice, the second time at offset {offset}")]
    DuplicateKey { key: String, offset: u64 },
    #[error("key `{key}` has value type {found} at offset {offset}, expected 0 to 12")]
    ValueType {
        key: String,
        found: u32,
        offset: u64,
    },
    #[error("key `{key}` is an array of arrays at offset {offset}, which no model uses")]
    NestedArray { key: String, offset: u64 },
    #[error("key `{key}` has the bool {found} at offset {offset}, expected 0 or 1")]
    Bool { key: String, found: u8, offset: u64 },
    #[error("key `general.alignment` has type {found}, expected u32")]
    AlignmentType { found: String },
    #[error("key `general.alignment` is {found}, expected a power of two")]
    Alignment { found: u64 },

    #[error("tensor {index} at offset {offset} has an empty name")]
    EmptyName { index: u64, offset: u64 },
    #[error(
        "tensor {index} at offset {offset} has a name of {len} bytes, expected at most \
         {MAX_TENSOR_NAME}"
    )]
    LongName { index: u64, offset: u64, len: u64 },
    #[error("tensor {index} at offset {offset} has the name `{name}`, which is not UTF-8")]
    NameNotUtf8 {
        index: u64,
        offset: u64,
        name: String,
    },
    #[error("tensor `{name}` is there twice, the second time at offset {offset}")]
    DuplicateTensor { name: String, offset: u64 },
    #[error("tensor `{name}` has {found} dimensions at offset {offset}, expected 1 to {MAX_DIMS}")]
    Dims {
        name: String,
        found: u32,
        offset: u64,
    },
    #[error("tensor `{name}` has ggml type {found} at offset {offset}, {}", of_type(*found))]
    TensorType {
        name: String,
        found: u32,
        offset: u64,
    },
    #[error(transparent)]
    Shape(#[from] super::LayoutError),
    #[error("tensor `{name}` has data offset {found}, expected a multiple of {alignment}")]
    Misaligned {
        name: String,
        found: u64,
        alignment: u64,
    },
    #[error("tensor `{name}` has data offset {found}, but all tensor data is {data_len} bytes")]
    OffsetBeyondData {
        name: String,
        found: u64,
        data_len: u64,
    },
    #[error("tensors `{first}` and `{second}` overlap at data offset {offset}")]
    Overlap {
        first: String,
        second: String,
        offset: u64,
    },
    #[error(
        "{missing} bytes are missing: the tensors need a file of {expected} bytes, found {found}; \
         the download was probably cut, download it again"
    )]
    DataCut {
        missing: u64,
        expected: u64,
        found: u64,
    },
}

impl FormatError {
    /// Whether the file is a GGUF that no program can have meant so.
    fn is_damage(&self) -> bool {
        match self {
            Self::Io { .. }
            | Self::Empty
            | Self::Foreign(_)
            | Self::BigEndian { .. }
            | Self::Version { .. }
            | Self::HeaderCut { .. }
            | Self::NestedArray { .. }
            | Self::TensorType { .. }
            | Self::DataCut { .. } => false,
            Self::HeaderTooLarge { .. }
            | Self::Count { .. }
            | Self::EmptyKey { .. }
            | Self::LongKey { .. }
            | Self::KeyNotUtf8 { .. }
            | Self::DuplicateKey { .. }
            | Self::ValueType { .. }
            | Self::Bool { .. }
            | Self::AlignmentType { .. }
            | Self::Alignment { .. }
            | Self::EmptyName { .. }
            | Self::LongName { .. }
            | Self::NameNotUtf8 { .. }
            | Self::DuplicateTensor { .. }
            | Self::Dims { .. }
            | Self::Shape(_)
            | Self::Misaligned { .. }
            | Self::OffsetBeyondData { .. }
            | Self::Overlap { .. } => true,
        }
    }
}

/// What to do about a version that is not read.
fn of_version(version: u32) -> &'static str {
    match version {
        0 => "the file is damaged, download it again",
        1 => "that was the first, download or convert the model again",
        _ => "a newer program wrote it, or the file is damaged",
    }
}

/// ggml's types of a time, with the one that has taken their place.
const WITHDRAWN: [(u32, &str, &str); 8] = [
    (4, "Q4_2", "Q4_0"),
    (5, "Q4_3", "Q4_1"),
    (31, "Q4_0_4_4", "Q4_0"),
    (32, "Q4_0_4_8", "Q4_0"),
    (33, "Q4_0_8_8", "Q4_0"),
    (36, "IQ4_NL_4_4", "IQ4_NL"),
    (37, "IQ4_NL_4_8", "IQ4_NL"),
    (38, "IQ4_NL_8_8", "IQ4_NL"),
];

/// What a type is that is not read, and what to do.
fn of_type(ty: u32) -> String {
    match WITHDRAWN.iter().find(|(number, ..)| *number == ty) {
        Some((_, name, successor)) => {
            format!("which was {name} until llama.cpp withdrew it: take the model in {successor}")
        }
        None => {
            "which is not one we know: a newer program wrote it, or the file is damaged".to_owned()
        }
    }
}
