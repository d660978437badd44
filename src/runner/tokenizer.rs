//! A vocabulary by itself: text in, token ids out, without the weights.

use std::path::Path;

use llama_cpp_2::{
    LlamaModelLoadError,
    model::{LlamaModel, params::LlamaModelParams},
};

use super::{RunnerError, backend, log};

/// llama.cpp's reading of text with one model's vocabulary.
#[derive(Debug)]
pub struct Tokenizer {
    llama: LlamaModel,
}

impl Tokenizer {
    /// Loads the vocabulary of the GGUF at `path`, which needs no tensors.
    ///
    /// # Errors
    /// Where llama.cpp cannot load it, with llama.cpp's reason.
    pub fn load(path: &Path) -> Result<Self, RunnerError> {
        log::install(false);
        let params = LlamaModelParams::default().with_vocab_only(true);
        let llama = LlamaModel::load_from_file(backend()?, path, &params);
        let llama = llama.map_err(|error| match error {
            LlamaModelLoadError::PathToStrError(path) => RunnerError::Path { path },
            other => RunnerError::Load {
                path: path.into(),
                reason: log::take_first_error().unwrap_or_else(|| other.to_string()),
            },
        })?;
        Ok(Self { llama })
    }

    /// The ids of `text`, with those of special tokens that it names, and nothing put around it.
    pub fn tokenize(&self, text: &str) -> Vec<u32> {
        let tokens = self.llama.vocab().tokenize(text.as_bytes(), false, true);
        tokens.into_iter().map(|token| token.0 as u32).collect()
    }
}
