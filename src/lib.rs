//! swallow-gguf.

pub mod chat;
pub mod cli;
pub mod commands;
pub mod gguf;
pub mod model;
pub mod runner;
