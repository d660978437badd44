//! What `swallow-gguf bench` measures.

pub mod convert;
pub mod ggml;
pub mod quantize;
pub mod run;
pub mod search;
pub mod speculate;
