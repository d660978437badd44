//! The GGUF format: what is in a file, reading it without trusting it, and writing it.
//!
//! # The format
//! A GGUF file holds a model whole: what it is, its vocabulary, and its weights. It is a header,
//! then tensor data. Everything is little-endian; versions 2 and 3 have the same layout (3 only
//! added big-endian files, which this reader refuses by name, as it does version 1 with its
//! 32-bit counts).
//!
//! ```text
//! header     magic "GGUF"                 4 bytes
//!            version                      u32      3
//!            number of tensors            u64
//!            number of key-values         u64
//!            key-values                   one after another
//!            tensor infos                 one after another
//!            zeros                        up to the next multiple of the alignment
//! data       tensor data                  each tensor at data_offset + its own offset,
//!                                         zeros between them up to the alignment
//!
//! string     length in bytes u64, then the bytes (UTF-8 by intention, no terminator)
//! key-value  key      string              `area.name`, unique, not empty, at most 65535 bytes
//!            type     u32                 see below
//!            value    as its type says
//! array      element type u32, number of elements u64, then the elements without padding
//! tensor     name     string              unique, at most 63 bytes
//!            n_dims   u32                 1 to 4
//!            dims     n_dims × u64        ne order: dims[0] is the row length, which varies fastest
//!            type     u32                 a ggml type; a row is a whole number of its blocks
//!            offset   u64                 from data_offset, a multiple of the alignment
//! ```
//!
//! | value type | number | bytes | | value type | number | bytes |
//! | --- | --- | --- | --- | --- | --- | --- |
//! | u8 | 0 | 1 | | bool | 7 | 1 (0 or 1) |
//! | i8 | 1 | 1 | | string | 8 | 8 + length |
//! | u16 | 2 | 2 | | array | 9 | 12 + elements |
//! | i16 | 3 | 2 | | u64 | 10 | 8 |
//! | u32 | 4 | 4 | | i64 | 11 | 8 |
//! | i32 | 5 | 4 | | f64 | 12 | 8 |
//! | f32 | 6 | 4 | | | | |
//!
//! The alignment is 32 unless the key `general.alignment` (a u32, a power of two) says otherwise.
//! A file without tensors has no padding after its header. A model too large for one file is
//! split; each part is a GGUF by itself and says `split.no`, `split.count`, `split.tensors.count`.
//!
//! Source: `docs/gguf.md` of ggml, and what ggml's reader and writer do where that is silent.

mod cursor;
mod error;
mod file;
mod file_type;
mod foreign;
mod near;
mod reader;
pub mod split;
mod tensor;
mod text;
mod value;
mod writer;

pub use error::{FormatError, ReadError};
pub use file::Gguf;
pub use file_type::file_type_name;
pub use foreign::Foreign;
pub use tensor::{LayoutError, TensorInfo, lay_out};
pub use text::escape;
pub(crate) use text::shown;
pub use value::{Array, KeyValues, Value, ValueType};
pub use writer::encode_header;

/// The first four bytes of every GGUF file.
pub const MAGIC: [u8; 4] = *b"GGUF";

/// The version we write, and the newest we read.
pub const VERSION: u32 = 3;

/// The alignment of tensor data where `general.alignment` says nothing else.
pub const DEFAULT_ALIGNMENT: u64 = 32;

/// The key that overrides [`DEFAULT_ALIGNMENT`].
pub const ALIGNMENT_KEY: &str = "general.alignment";

/// Dimensions a tensor can have (`GGML_MAX_DIMS`).
pub const MAX_DIMS: usize = 4;

/// Bytes of the longest tensor name: ggml keeps 64 and needs one for the terminator.
pub const MAX_TENSOR_NAME: usize = 63;

/// Bytes of the longest key.
pub const MAX_KEY: u64 = 65_535;

/// Bytes of the largest header we read. The largest vocabularies in use make headers of about
/// 30 MB; without a bound, one flipped bit in an array length would have us read a whole
/// 40 GB file as metadata.
pub const MAX_HEADER: u64 = 512 << 20;
