//! What a checkpoint says of the model, and how GGUF says it.

pub mod chat_template;
pub mod vocabulary;
