//! The integration tests: one binary, because it links llama.cpp.

mod bench;
mod best_search;
mod convert;
mod converter;
mod devices;
mod diff;
mod edited;
mod errors;
mod families;
mod gguf;
mod hub;
mod imatrix;
mod inspect;
mod kernels;
mod knobs;
mod merge;
mod merge_gates;
mod mixes;
mod moe_from_gguf;
mod parity;
mod quantize;
mod real_models;
#[cfg(unix)]
mod resume;
mod rooms;
#[cfg(unix)]
mod rpc;
mod run;
mod sessions;
mod speculation;
mod store;
mod support;
mod tokenizer;
mod verify;
