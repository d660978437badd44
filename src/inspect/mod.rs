//! What a GGUF file holds, for people ([`text()`]) and for programs ([`json()`]).

mod json;
mod summary;
mod text;

pub use json::json;
pub use summary::{Experts, Split, Summary, TypeCount};
pub use text::text;

#[cfg(test)]
mod tests;
