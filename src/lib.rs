//! A bf16 checkpoint goes in, dense or a Mixture of Experts, a quantized GGUF comes out in one pass,
//! and one talks to it.
//!
//! The modules, in the order that data takes:
//!
//! - [`hub`]: the Hugging Face hub, its files read in parts or kept in its cache
//! - [`source`]: a checkpoint folder, its config and the tensors of its safetensors shards
//! - [`imatrix`]: how much each column of a tensor matters, as llama-imatrix measures it
//! - [`merge`]: dense models and a recipe, as the checkpoint of the mixture they make
//! - [`model`]: the families of models; hyper-parameters, tensor names, vocabulary and metadata
//! - [`file_kind`]: what a file is that is not what its name says
//! - [`file_type`], [`mix`], [`plan`]: which type each tensor gets, and where it will lie
//! - [`convert`]: executes the plan in one pass
//! - [`gguf`]: the format, read and written; [`inspect`] shows what a file holds
//! - [`compare`]: two files, or a file and its checkpoint, held against each other
//! - [`memory`]: what a model takes of the memory, and what the machine has
//! - [`runner`]: runs a file through llama.cpp; [`chat`] is the conversation in the terminal
//! - [`sessions`]: the chats that are kept, and taken up again
//! - [`store`]: the models that `run` has made, and how they are found again
//! - [`places`]: where the program keeps what it makes for itself
//! - [`mod@bench`], [`synthetic`]: what is measured, and the checkpoints made for it
//!
//! The block formats are a crate of their own, [`swallow_quant`].

pub mod bench;
pub mod chat;
pub mod cli;
pub mod commands;
pub mod compare;
pub mod convert;
pub mod file_kind;
pub mod file_type;
pub mod gguf;
pub mod hub;
pub mod imatrix;
pub mod inspect;
mod lock;
pub mod memory;
pub mod merge;
pub mod mix;
pub mod model;
mod nearest;
pub mod places;
pub mod plan;
pub mod runner;
pub mod sessions;
pub mod source;
pub mod store;
pub mod synthetic;
mod table;
