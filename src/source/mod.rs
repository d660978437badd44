//! Where tensors come from: a checkpoint folder with safetensors shards.
//!
//! `safetensors` parses one shard's header, [`Shard`] opens windows onto its bytes, and
//! [`Checkpoint`] joins the shards of a folder into one table of tensors.

mod checkpoint;
mod dtype;
mod error;
mod safetensors;
mod shard;

pub use checkpoint::{Checkpoint, SourceTensor};
pub use dtype::Dtype;
pub use error::SourceError;
pub use shard::Shard;
