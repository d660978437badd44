//! Text generation with llama.cpp: the only place that names `llama_cpp_2`.
//!
//! The way to an answer: [`ModelFile`] reads and checks the file with our own reader, which can
//! say what is wrong with it; [`Model::load`] hands it to llama.cpp; a [`Session`] evaluates
//! prompts and samples tokens; a [`Conversation`] holds what was said and makes the prompt of it
//! with a [`Template`].
//!
//! Besides, for the gates of a merge: a [`Tokenizer`] without a model, and a [`LayerModel`] that shows what
//! goes into its layers.

mod backend;
mod chat_format;
mod context;
mod conversation;
pub mod devices;
mod engine;
mod error;
mod file;
mod layer_inputs;
mod load;
mod log;
mod lora;
mod model;
mod repeats;
pub mod rpc;
mod sampler;
mod session;
pub mod settings;
mod speculation;
mod speed;
mod stop;
mod template;
mod thoughts;
mod tokenizer;

pub use backend::backend;
pub use chat_format::ChatFormat;
pub use context::{ContextOptions, FlashAttention};
pub use conversation::{Conversation, Turn};
pub use devices::{Device, DeviceKind};
pub use error::RunnerError;
pub use file::{ModelFile, ModelFileError, fingerprint};
pub use layer_inputs::{Attention, LayerInputs, LayerModel, LayerReader};
pub use load::{GpuLayers, LoadOptions, SplitMode};
pub use log::take_unlocked;
pub use model::Model;
pub use repeats::Repetition;
pub use sampler::Sampling;
pub use session::{
    Answer, Ended, Event, Figures, Session, SessionOptions, State, StateError, StateIdentity,
};
pub use speculation::{Speculate, Speculated};
pub use speed::SpeedTest;
pub use template::{Message, Role, SpecialTokens, Template, TemplateError};
pub use tokenizer::Tokenizer;
