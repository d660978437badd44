//! The GGUF format.

mod value;

pub use value::{Array, KeyValues, Value};
