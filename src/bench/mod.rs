//! What `swallow-gguf bench` measures.

pub mod convert;
pub mod ggml;
pub mod quantize;
pub mod search;
