//! The integration tests: one binary, because it links llama.cpp.

mod gguf;
mod inspect;
mod kernels;
mod moe_from_gguf;
