//! What a GGUF file holds, for people ([`text()`]) and for programs ([`json()`]).

pub(crate) mod json;
mod summary;
pub(crate) mod text;

pub use json::json;
pub use summary::{Experts, Split, Summary, TypeCount};
pub use text::text;

#[cfg(test)]
mod tests;
