//! Where tensors come from: a checkpoint with safetensors shards, in a folder or on the hub, or
//! a GGUF.
//!
//! `folder` says what a folder is and `text_file` reads its small files, `weights_files` chooses the
//! shards by their names, `safetensors` parses one shard's header, [`Shard`] opens windows onto its bytes, and
//! [`Checkpoint`] joins the shards of a checkpoint into one table of tensors. [`GgufModel`] is a GGUF
//! file, or all parts of a split one.

mod checkpoint;
mod dtype;
mod error;
mod folder;
mod gguf_model;
mod hub_checkpoint;
mod origin;
mod safetensors;
mod shard;
pub(crate) mod text_file;
pub(crate) mod weights_files;

pub use checkpoint::{Checkpoint, SourceTensor, open_safetensors};
pub use dtype::Dtype;
pub use error::SourceError;
pub use gguf_model::{GgufModel, GgufModelError};
pub use origin::Origin;
pub use shard::{Shard, ShardError};
pub use text_file::FileProblem;
pub use weights_files::WeightsError;
