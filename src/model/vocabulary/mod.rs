//! A checkpoint's tokenizer files → the `tokenizer.*` key-values of a GGUF.
//!
//! The keys, their order, types and values are those of llama.cpp's converter
//! (`convert_hf_to_gguf.py` of b11434), for the tokenizers it writes right:
//!
//! | files | kind | module |
//! | --- | --- | --- |
//! | `tokenizer.model` | SentencePiece BPE | `sentencepiece` |
//! | `tokenizer.json` alone, with `byte_fallback` | the same | `spm_json`, where the converter's constant scores would split text wrongly |
//! | `tokenizer.json` with a byte-level pre-tokenizer | byte-level BPE | `byte_level`, `pre_tokenizer` |
//! | `tekken.json` | byte-level BPE, by ranks | `tekken`, `ranks` |
//! | tiktoken's ranks, for example `hy.tiktoken` | the same | `tiktoken`, `ranks` |
//!
//! Which of them is read, and what a family does otherwise than most, its policy says (`policy`);
//! `checkpoint` finds the file and `rules` follows the rest. Around the tokens: those that other files
//! add (`added`) or name (`named`), special tokens (`special`), and the checkpoint's chat template
//! (`own_template`).

mod added;
mod byte_level;
mod byte_text;
mod checkpoint;
mod error;
mod files;
mod named;
mod own_template;
pub mod policy;
mod pre_tokenizer;
mod ranks;
mod rules;
pub(crate) mod sentencepiece;
mod special;
mod spm_json;
mod tekken;
#[cfg(test)]
mod tests;
mod tiktoken;
mod tokenizer_json;
mod tokens;
mod written;

use std::path::Path;

use serde_json::{Map, Value as Json};

pub(crate) use added::SCORE as ADDED_SCORE;
use checkpoint::Checkpoint;
pub use error::VocabularyError;
use own_template::OwnTemplates;
pub use policy::TokenizerPolicy;
pub use pre_tokenizer::{PreTokenizer, UnknownPreTokenizer};
use rules::Rules;
use written::Written;

use crate::gguf::KeyValues;

/// What to read a vocabulary from.
#[derive(Clone, Debug)]
pub struct VocabularyRequest<'a> {
    /// The checkpoint folder.
    pub dir: &'a Path,
    /// `vocab_size` of config.json: the number of rows of the embedding.
    pub vocab_size: usize,
    /// The whole config.json, for the ids of special tokens.
    pub config: &'a Json,
    /// Which files are read, and what is particular about the family.
    pub policy: TokenizerPolicy,
    /// A chat template that the user asks for instead of the checkpoint's own.
    pub chat_template: Option<String>,
    /// The pre-tokenizer that the user asks for instead of the one that is recognized.
    pub pre: Option<PreTokenizer>,
}

/// A checkpoint's vocabulary.
#[derive(Clone, Debug, PartialEq)]
pub struct Vocabulary {
    /// `tokenizer.ggml.*` and the chat templates, in the order of llama.cpp's converter.
    pub key_values: KeyValues,
    /// The chat template in the key-values, if there is one: the one asked for, or the
    /// checkpoint's own.
    pub chat_template: Option<String>,
    /// Things to tell the user: tokens left out, what llama.cpp does otherwise.
    pub notes: Vec<String>,
}

/// Reads the vocabulary of a checkpoint folder, from the first of the policy's files that is there.
///
/// # Errors
/// No tokenizer, or one of a kind that cannot be written; a malformed file; more tokens than
/// `vocab_size`; an id or a text that two tokens share.
pub fn read(request: &VocabularyRequest<'_>) -> Result<Vocabulary, VocabularyError> {
    let config_path = request.dir.join("tokenizer_config.json");
    let config: Option<Map<String, Json>> = files::read_json(&config_path)?;
    let config = config.as_ref();
    let checkpoint = Checkpoint::open(request, &config_path, config)?;
    let found = checkpoint.find()?;
    let path = found.path.clone();
    let rules = Rules {
        rules: found.way.rules,
        request,
        config,
        path: &path,
    };

    let mut written = Written::default();
    rules.first(&mut written);
    let rest = checkpoint.write_tokens(found, &mut written)?;
    if let Some(pre) = request.pre {
        written.replace_pre(&path, pre)?;
    }
    let mut special = rest.sources.find(&rules.kinds());
    rules.amend(&mut special, &written)?;
    written.put_special(special);

    let own = own_template::read(request.dir, &config_path, config)?;
    let chat_template = match rest.chat_format {
        Some(version) => written.put_tekken_template(own, request.chat_template.clone(), &version),
        None => {
            let is_overlooked = config.is_none_or(|config| {
                config.is_empty() || config.get("chat_template").is_some_and(Json::is_null)
            });
            if own != OwnTemplates::default() && is_overlooked && request.chat_template.is_none() {
                written.notes.push(
                    "the checkpoint's chat template is kept, which llama.cpp's converter overlooks here: it needs a tokenizer_config.json that does not say `null`".to_owned(),
                );
            }
            written.put_templates(own, request.chat_template.clone())
        }
    };
    if let Some(tokenizer) = &rest.sources.tokenizer {
        written.put_normalizer(&tokenizer.normalizer);
    }
    rules.last(rest.sources, &mut written)?;
    let notes = written.take_notes();
    Ok(Vocabulary {
        key_values: written.key_values,
        chat_template,
        notes,
    })
}
