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
//!
//! Around them: tokens that other files add (`added`) or name (`named`), special tokens
//! (`special`), and the checkpoint's chat template (`own_template`).

mod added;
mod byte_level;
mod error;
mod files;
mod named;
mod own_template;
pub mod policy;
mod pre_tokenizer;
pub(crate) mod sentencepiece;
mod special;
mod spm_json;
#[cfg(test)]
mod tests;
mod tokenizer_json;
mod tokens;
mod written;

use std::path::Path;

use serde_json::{Map, Value as Json};

pub(crate) use added::SCORE as ADDED_SCORE;
pub use error::VocabularyError;
use named::NamedTokens;
use own_template::OwnTemplates;
pub use policy::TokenizerPolicy;
pub use pre_tokenizer::{PreTokenizer, UnknownPreTokenizer};
use special::Sources;
use tokenizer_json::Surroundings;
use tokens::Tokens;
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

/// Reads the vocabulary of a checkpoint folder. `tokenizer.model` goes before `tokenizer.json`.
///
/// # Errors
/// No tokenizer, or one of a kind that cannot be written; a malformed file; more tokens than
/// `vocab_size`; an id or a text that two tokens share.
pub fn read(request: &VocabularyRequest<'_>) -> Result<Vocabulary, VocabularyError> {
    let config_path = request.dir.join("tokenizer_config.json");
    let config: Option<Map<String, Json>> = files::read_json(&config_path)?;
    let config = config.as_ref();
    let mut written = Written::default();
    if let Some(prefix) = config.and_then(|config| config.get("add_prefix_space")?.as_bool()) {
        written.put("tokenizer.ggml.add_space_prefix", prefix);
    }

    let checkpoint = Checkpoint {
        request,
        config_path: &config_path,
        config,
        named: NamedTokens::read(request.dir, config)?,
    };
    let mut special = checkpoint.write_tokens(&mut written)?;
    if let Some(pre) = request.pre {
        written.replace_pre(request.dir, pre)?;
    }
    written.put_special(special.find(&special::KINDS));
    let own = own_template::read(request.dir, &config_path, config)?;
    let is_overlooked = config.is_none_or(|config| {
        config.is_empty() || config.get("chat_template").is_some_and(Json::is_null)
    });
    if own != OwnTemplates::default() && is_overlooked && request.chat_template.is_none() {
        written.notes.push(
            "the checkpoint's chat template is kept, which llama.cpp's converter overlooks here: it needs a tokenizer_config.json that does not say `null`".to_owned(),
        );
    }
    let chat_template = written.put_templates(own, request.chat_template.clone());
    if let Some(tokenizer) = &special.tokenizer {
        written.put_normalizer(&tokenizer.normalizer);
    }

    // llama.cpp's converter knows these two models by their number of tokens.
    const CODE_LLAMA: usize = 32016;
    const GRANITE: usize = 49152;
    match request.vocab_size {
        CODE_LLAMA => {
            // Here it does not check ids against the vocabulary.
            special.n_vocab = None;
            let mut infill = special.find(&special::INFILL_KINDS);
            infill.set_id("eot", 32010);
            written.put_special(infill);
        }
        GRANITE => written.put("tokenizer.ggml.add_bos_token", false),
        _ => {}
    }
    let notes = written.take_notes();
    Ok(Vocabulary {
        key_values: written.key_values,
        chat_template,
        notes,
    })
}

/// The files that decide how tokens are read.
struct Checkpoint<'a> {
    request: &'a VocabularyRequest<'a>,
    /// tokenizer_config.json.
    config_path: &'a Path,
    config: Option<&'a Map<String, Json>>,
    /// What it and other files call special.
    named: NamedTokens,
}

impl<'a> Checkpoint<'a> {
    /// Writes the tokens, and tells where the special ones among them are to be looked for.
    fn write_tokens(&self, written: &mut Written) -> Result<Sources<'a>, VocabularyError> {
        let VocabularyRequest {
            dir,
            vocab_size,
            config,
            ..
        } = *self.request;
        let json_path = dir.join("tokenizer.json");
        let sources = |tokenizer, n_vocab| Sources {
            tokenizer,
            tokenizer_config: self.config,
            config,
            n_vocab,
        };
        let model_path = dir.join("tokenizer.model");
        if let Some(bytes) = files::read(&model_path)? {
            let mut tokens = sentencepiece::tokens(&model_path, &bytes, vocab_size)?;
            self.add_tokens(&mut tokens, written)?;
            let tokenizer: Option<Surroundings> = files::read_json(&json_path)?;
            if let Some(tokenizer) = &tokenizer {
                let notes = added::fill(&mut tokens, &tokenizer.added_tokens);
                written.notes.extend(notes);
            }
            self.append_named(&mut tokens, written);
            tokens.check_unique(&model_path)?;
            written.put_spm(tokens);
            return Ok(sources(tokenizer, Some(vocab_size)));
        }
        let Some(tokenizer) = tokenizer_json::read(&json_path)? else {
            return Err(no_tokenizer(dir));
        };
        if tokenizer.model.byte_fallback {
            let spm = spm_json::read(&json_path, &tokenizer, self.config, vocab_size)?;
            written.notes.extend(spm.notes);
            if !spm.space_prefix && written.key_values.is_empty() {
                // Without it, llama.cpp would put a space before the text.
                written.put("tokenizer.ggml.add_space_prefix", false);
            }
            let mut tokens = spm.tokens;
            self.add_tokens(&mut tokens, written)?;
            self.append_named(&mut tokens, written);
            tokens.check_unique(&json_path)?;
            written.put_spm(tokens);
            Ok(sources(
                Some(tokenizer.into_surroundings()),
                Some(vocab_size),
            ))
        } else {
            let (pre, notes) = pre_tokenizer::detect(
                &json_path,
                &tokenizer,
                pre_tokenizer::Hints {
                    asked_for: self.request.pre,
                    preferred: self.request.policy.pre,
                    config: self.config,
                },
            )?;
            written.notes.extend(notes);
            let tokens = byte_level::tokens(
                &json_path,
                &tokenizer,
                (self.config_path, self.config),
                &self.named,
                vocab_size,
            )?;
            tokens.check_unique(&json_path)?;
            let merges = byte_level::merges(&json_path, &tokenizer.model.merges)?;
            written.put_byte_level(pre.name(), tokens, merges);
            Ok(sources(
                Some(tokenizer.into_surroundings()),
                Some(vocab_size),
            ))
        }
    }

    /// Adds to the pieces of a SentencePiece model what other files add.
    fn add_tokens(
        &self,
        tokens: &mut Tokens,
        written: &mut Written,
    ) -> Result<(), VocabularyError> {
        let path = self.request.dir.join("added_tokens.json");
        if let Some(listed) = files::read_json(&path)? {
            written
                .notes
                .extend(added::add_listed(tokens, &path, &listed)?);
        }
        if let Some(config) = self.config {
            written
                .notes
                .extend(added::add_decoder(tokens, self.config_path, config)?);
        }
        Ok(())
    }

    /// Adds what is named as special and is no token yet.
    fn append_named(&self, tokens: &mut Tokens, written: &mut Written) {
        let notes = added::append(tokens, &self.named.special);
        written.notes.extend(notes);
    }
}

fn no_tokenizer(dir: &Path) -> VocabularyError {
    const OTHERS: [&str; 7] = [
        "tekken.json",
        "vocab.json",
        "merges.txt",
        "vocab.txt",
        "tiktoken.model",
        "spiece.model",
        "sentencepiece.bpe.model",
    ];
    let found: Vec<String> = OTHERS
        .iter()
        .filter(|name| dir.join(name).is_file())
        .map(|name| format!("`{name}`"))
        .collect();
    VocabularyError::NoTokenizer {
        dir: dir.to_owned(),
        expected: "`tokenizer.model` or `tokenizer.json`",
        found: if found.is_empty() {
            "neither".to_owned()
        } else {
            found.join(" and ")
        },
    }
}
