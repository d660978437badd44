//! The integration tests: one binary, because it links llama.cpp.

mod kernels;
mod gguf;
mod inspect;
