//! What `swallow-gguf bench` measures.

pub mod ggml;
pub mod quantize;
