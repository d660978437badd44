//! Text generation with llama.cpp.
mod log;
mod sampler;
mod stop;
mod template;
pub use sampler::Sampling;
pub use template::{Message, Role, SpecialTokens, Template, TemplateError};
