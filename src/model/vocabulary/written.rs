//! The key-values in the order in which llama.cpp's converter adds them. A key that comes again
//! keeps its place and takes the new value.

use std::path::Path;

use bstr::BString;
use serde_json::Value as Json;

use super::{
    PreTokenizer, VocabularyError,
    own_template::OwnTemplates,
    special::{SpecialTokens, WRITTEN},
    spm_json::steps,
    tokens::Tokens,
};
use crate::gguf::{Array, KeyValues, Value};

/// What has been written so far.
#[derive(Debug, Default)]
pub(super) struct Written {
    pub(super) key_values: KeyValues,
    /// Things to tell the user.
    pub(super) notes: Vec<String>,
}

const MODEL: &str = "tokenizer.ggml.model";
const PRE: &str = "tokenizer.ggml.pre";

/// The model of a byte-level vocabulary, the only one with pre-tokenizers.
const BYTE_LEVEL: &str = "gpt2";

/// Notes beyond these are counted, not told: a vocabulary can have thousands of one kind.
const MAX_NOTES: usize = 20;

impl Written {
    pub(super) fn put(&mut self, key: &str, value: impl Into<Value>) {
        let value = value.into();
        match self.key_values.iter_mut().find(|(known, _)| known == key) {
            Some((_, known)) => *known = value,
            None => self.key_values.push((key.to_owned(), value)),
        }
    }

    /// The notes, if they are many the first of them.
    pub(super) fn take_notes(&mut self) -> Vec<String> {
        let mut notes = std::mem::take(&mut self.notes);
        if notes.len() > MAX_NOTES {
            let more = notes.len() - MAX_NOTES;
            notes.truncate(MAX_NOTES);
            notes.push(format!("and {more} more like these"));
        }
        notes
    }

    /// A SentencePiece vocabulary.
    pub(super) fn put_spm(&mut self, tokens: Tokens) {
        self.put(MODEL, "llama");
        self.put(PRE, "default");
        let scores = tokens.0.iter().map(|token| token.score).collect();
        let types = tokens.0.iter().map(|token| token.ty as i32).collect();
        let texts = tokens.0.into_iter().map(|token| token.text).collect();
        self.put("tokenizer.ggml.tokens", Array::String(texts));
        self.put("tokenizer.ggml.scores", Array::F32(scores));
        self.put("tokenizer.ggml.token_type", Array::I32(types));
    }

    /// A byte-level vocabulary with the pre-tokenizer `pre`.
    pub(super) fn put_byte_level(&mut self, pre: &str, tokens: Tokens, merges: Vec<BString>) {
        self.put(MODEL, BYTE_LEVEL);
        self.put(PRE, pre);
        let types = tokens.0.iter().map(|token| token.ty as i32).collect();
        let texts = tokens.0.into_iter().map(|token| token.text).collect();
        self.put("tokenizer.ggml.tokens", Array::String(texts));
        self.put("tokenizer.ggml.token_type", Array::I32(types));
        self.put("tokenizer.ggml.merges", Array::String(merges));
    }

    /// Names the pre-tokenizer that was asked for. Fails where the vocabulary, read from `dir`, has none.
    pub(super) fn replace_pre(
        &mut self,
        dir: &Path,
        pre: PreTokenizer,
    ) -> Result<(), VocabularyError> {
        let model = self.key_values.iter().find(|(key, _)| key == MODEL);
        if model.is_none_or(|(_, model)| *model != Value::from(BYTE_LEVEL)) {
            return Err(VocabularyError::NoPreTokenizer {
                dir: dir.to_owned(),
                asked_for: pre.name(),
            });
        }
        self.put(PRE, pre.name());
        Ok(())
    }

    /// The special tokens for which there is a key.
    pub(super) fn put_special(&mut self, special: SpecialTokens) {
        for (kind, id) in special.ids {
            // The misspelling is the format's.
            let key = match kind.as_str() {
                "bos" | "eos" | "eot" | "eom" | "mask" => &kind,
                "unk" => "unknown",
                "sep" => "seperator",
                "pad" => "padding",
                _ => continue,
            };
            self.put(&format!("tokenizer.ggml.{key}_token_id"), id);
        }
        for (kind, add) in special.add {
            if WRITTEN.contains(&kind.as_str()) {
                self.put(&format!("tokenizer.ggml.add_{kind}_token"), add);
            }
        }
        for note in special.notes {
            if !self.notes.contains(&note) {
                self.notes.push(note);
            }
        }
    }

    /// What tokenizer.json's normalizer does to letters, of which llama.cpp's tokenizers of words
    /// take note.
    pub(super) fn put_normalizer(&mut self, normalizer: &Json) {
        let (mut lowercase, mut strip_accents) = (None, None);
        for step in steps(normalizer, "normalizers") {
            match step.get("type").and_then(Json::as_str) {
                Some("Lowercase") => lowercase = Some(true),
                Some("StripAccents") => strip_accents = Some(true),
                Some("BertNormalizer") => {
                    let flag = |name: &str| step.get(name).and_then(Json::as_bool);
                    lowercase = flag("lowercase").or(lowercase);
                    strip_accents = flag("strip_accents").or(strip_accents);
                }
                _ => {}
            }
        }
        for (key, value) in [("lowercase", lowercase), ("strip_accents", strip_accents)] {
            if let Some(value) = value {
                self.put(&format!("tokenizer.ggml.normalizer.{key}"), value);
            }
        }
    }

    /// The checkpoint's templates, with the one that was asked for in place of the default one.
    /// Gives the default one.
    pub(super) fn put_templates(
        &mut self,
        own: OwnTemplates,
        asked_for: Option<String>,
    ) -> Option<String> {
        if asked_for.is_some() && own.default.is_some() && asked_for != own.default {
            self.notes.push(
                "the checkpoint's own chat template is replaced by the one asked for".to_owned(),
            );
        }
        let default = asked_for.or(own.default);
        let names: Vec<BString> = own
            .named
            .iter()
            .map(|(name, _)| name.as_str().into())
            .collect();
        for (name, template) in own.named {
            self.put(&format!("tokenizer.chat_template.{name}"), template);
        }
        if !names.is_empty() {
            self.put("tokenizer.chat_templates", Array::String(names));
        }
        if let Some(template) = &default {
            self.put("tokenizer.chat_template", template.as_str());
        }
        default
    }
}
