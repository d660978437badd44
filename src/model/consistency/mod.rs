//! Whether what a GGUF says of itself fits its tensors and its vocabulary: what llama.cpp finds when
//! it loads the file, and often ends the program over.
//!
//! Only the header is looked at, of a file that is there (`verify`) or one that is planned
//! (`--override-kv`). A check is made where its rule holds for every architecture; what Llama's
//! tensors have to be is known by [`super::tensors`]. Files of other programs, adapters, projectors and
//! importance matrices have rules of their own, so nothing is said of them; and of a part of a split
//! model nothing that would need the others.
//!
//! Source: `llama_model_base::load_hparams`, `llama_vocab::impl::load` and `models/*.cpp` of llama.cpp.

mod layers;
mod numbers;
#[cfg(test)]
mod tests;
mod vocabulary;

use std::{collections::HashMap, fmt};

pub use numbers::{MAX_EXPERTS, MAX_LAYERS};
pub use vocabulary::duplicate_token;

use crate::gguf::{Array, KeyValues, Value, ValueType, escape};

/// A key or a tensor that does not fit the rest of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// The key or the tensor, escaped.
    pub what: String,
    /// What it is.
    pub found: String,
    /// What it would have to be.
    pub expected: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            what,
            found,
            expected,
        } = self;
        write!(f, "`{what}` is {found}, expected {expected}")
    }
}

/// Architectures with keys of this form whose tensors follow rules of their own: encoders of images
/// and sound, models of speech, drafts of another model's text.
const OTHER_TENSORS: [&str; 10] = [
    "dflash",
    "eagle3",
    "gemma4-assistant",
    "hrm_text",
    "pockettts",
    "qwen3tts",
    "qwen3vl",
    "t5",
    "t5encoder",
    "wavtokenizer-dec",
];

/// Keys that a model of llama.cpp's has behind its architecture's name.
const OWN_NUMBERS: [&str; 4] = [
    "block_count",
    "context_length",
    "embedding_length",
    "attention.head_count",
];

/// Looks for what does not fit in a header of these key-values and tensors (names and dimensions, the
/// row length first). The order is that of the checks: numbers, layers, vocabulary.
pub fn check<'t>(
    key_values: &KeyValues,
    tensors: impl Iterator<Item = (&'t str, &'t [u64])>,
) -> Vec<Mismatch> {
    let header = Header {
        key_values,
        tensors: tensors.collect(),
    };
    let mut found = Findings(Vec::new());
    let is_model = matches!(header.str("general.type"), None | Some("model"));
    let is_later_part = header.integer("split.no").is_some_and(|no| no > 0);
    if !is_model || is_later_part || key_values.is_empty() {
        return found.0;
    }
    let Some(architecture) = header.str("general.architecture") else {
        found.missing(
            "general.architecture",
            "the name of one that llama.cpp runs",
        );
        return found.0;
    };
    let is_llama_cpps = header.is_llama_cpps(architecture);
    // A vocabulary alone has none of a model's numbers.
    if is_llama_cpps && architecture != "clip" && !header.tensors.is_empty() {
        let numbers = numbers::check(&header, architecture, &mut found);
        if !OTHER_TENSORS.contains(&architecture) {
            layers::check(&header, &numbers, &mut found);
        }
    }
    if is_llama_cpps || header.get("tokenizer.ggml.model").is_some() {
        vocabulary::check(&header, is_llama_cpps && architecture != "clip", &mut found);
    }
    found.0
}

struct Header<'a> {
    key_values: &'a KeyValues,
    tensors: HashMap<&'a str, &'a [u64]>,
}

impl<'a> Header<'a> {
    fn get(&self, key: &str) -> Option<&'a Value> {
        let found = self.key_values.iter().find(|(k, _)| k == key);
        found.map(|(_, value)| value)
    }

    fn str(&self, key: &str) -> Option<&'a str> {
        self.get(key)?.as_str()
    }

    fn integer(&self, key: &str) -> Option<u64> {
        self.get(key)?.as_u64()
    }

    /// The tokens, where there are any.
    fn tokens(&self) -> Option<usize> {
        match self.get("tokenizer.ggml.tokens") {
            Some(Value::Array(Array::String(tokens))) => Some(tokens.len()),
            _ => None,
        }
    }

    /// Whether llama.cpp is to run it: it has one of the numbers that every model has there, or an
    /// embedding of tokens, whatever its architecture. Other programs' files have neither.
    fn is_llama_cpps(&self, architecture: &str) -> bool {
        let has = |number: &str| self.get(&format!("{architecture}.{number}")).is_some();
        OWN_NUMBERS.into_iter().any(has) || self.tensors.contains_key("token_embd.weight")
    }

    /// Whether all tensors of the model are here.
    fn is_whole(&self) -> bool {
        self.integer("split.count").is_none_or(|count| count <= 1)
    }
}

/// What has been found so far.
struct Findings(Vec<Mismatch>);

impl Findings {
    fn add(&mut self, what: &str, found: impl fmt::Display, expected: impl fmt::Display) {
        self.0.push(Mismatch {
            what: escape(what.as_bytes()),
            found: found.to_string(),
            expected: expected.to_string(),
        });
    }

    fn missing(&mut self, what: &str, expected: impl fmt::Display) {
        self.add(what, "missing", expected);
    }

    /// Whether a value has a type; llama.cpp takes no other in its place.
    fn is_of_type(&mut self, key: &str, value: &Value, ty: ValueType) -> bool {
        let found = value.value_type();
        if found != ty {
            self.add(key, format_args!("of type {found}"), ty);
        }
        found == ty
    }
}
