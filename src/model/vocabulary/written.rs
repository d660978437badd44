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
    tekken::Tekken,
    tokens::{TokenType, Tokens},
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
        let (texts, types) = tokens.into_texts_and_types();
        self.put("tokenizer.ggml.tokens", Array::String(texts));
        self.put("tokenizer.ggml.scores", Array::F32(scores));
        self.put("tokenizer.ggml.token_type", Array::I32(types));
    }

    /// A byte-level vocabulary with the pre-tokenizer `pre`.
    pub(super) fn put_byte_level(&mut self, pre: &str, tokens: Tokens, merges: Vec<BString>) {
        self.put(MODEL, BYTE_LEVEL);
        self.put(PRE, pre);
        let (texts, types) = tokens.into_texts_and_types();
        self.put("tokenizer.ggml.tokens", Array::String(texts));
        self.put("tokenizer.ggml.token_type", Array::I32(types));
        self.put("tokenizer.ggml.merges", Array::String(merges));
    }

    /// Names the pre-tokenizer that was asked for. Fails where the vocabulary, read from `path`, has none.
    pub(super) fn replace_pre(
        &mut self,
        path: &Path,
        pre: PreTokenizer,
    ) -> Result<(), VocabularyError> {
        let text = |wanted: &str| {
            let entry = self.key_values.iter().find(|(key, _)| key == wanted);
            entry.and_then(|(_, value)| value.as_str())
        };
        if text(MODEL) != Some(BYTE_LEVEL) {
            return Err(VocabularyError::NoPreTokenizer {
                path: path.to_owned(),
                asked_for: pre.name(),
            });
        }
        if let Some(known) = text(PRE).filter(|known| *known != pre.name()) {
            let note =
                format!("the pre-tokenizer `{pre}` is written as asked for, instead of `{known}`");
            self.notes.push(note);
        }
        self.put(PRE, pre.name());
        Ok(())
    }

    /// The vocabulary of a `tekken.json`, special tokens and all.
    pub(super) fn put_tekken(&mut self, pre: &str, tekken: Tekken) {
        let Tekken {
            tokens,
            merges,
            ids,
            ..
        } = tekken;
        self.put(MODEL, BYTE_LEVEL);
        self.put(PRE, pre);
        self.put("tokenizer.ggml.merges", Array::String(merges));
        for (kind, id) in ids {
            self.put_id(kind, id);
        }
        // The converter's list of scores is one of whole numbers.
        let scores = vec![0; tokens.0.len()];
        let (texts, types) = tokens.into_texts_and_types();
        self.put("tokenizer.ggml.tokens", Array::String(texts));
        self.put("tokenizer.ggml.scores", Array::I32(scores));
        self.put("tokenizer.ggml.token_type", Array::I32(types));
        self.put("tokenizer.ggml.add_bos_token", true);
        self.put("tokenizer.ggml.add_eos_token", false);
    }

    /// The special tokens for which there is a key.
    pub(super) fn put_special(&mut self, special: SpecialTokens) {
        for (kind, id) in special.ids {
            self.put_id(&kind, id);
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

    /// The id of a kind of special tokens, if there is a key for it.
    pub(super) fn put_id(&mut self, kind: &str, id: u32) {
        // The misspelling is the format's.
        let key = match kind {
            "bos" | "eos" | "eot" | "eom" | "mask" => kind,
            "unk" => "unknown",
            "sep" => "seperator",
            "pad" => "padding",
            _ => return,
        };
        self.put(&format!("tokenizer.ggml.{key}_token_id"), id);
    }

    /// The control or user-defined token of this text among the tokens written.
    pub(super) fn added_token(&self, text: &str) -> Option<u32> {
        let array = |key| match self.key_values.iter().find(|(known, _)| known == key) {
            Some((_, Value::Array(array))) => Some(array),
            _ => None,
        };
        let (Some(Array::String(texts)), Some(Array::I32(types))) = (
            array("tokenizer.ggml.tokens"),
            array("tokenizer.ggml.token_type"),
        ) else {
            return None;
        };
        let is_added =
            |ty: i32| ty == TokenType::Control as i32 || ty == TokenType::UserDefined as i32;
        let mut tokens = texts.iter().zip(types);
        let id = tokens.position(|(known, ty)| is_added(*ty) && known == text)?;
        u32::try_from(id).ok()
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

    /// As [`Written::put_templates`], beside a `tekken.json` of this version. Where there is no
    /// template, llama.cpp's name for that of the version is written, if it has one.
    pub(super) fn put_tekken_template(
        &mut self,
        mut own: OwnTemplates,
        asked_for: Option<String>,
        version: &str,
    ) -> Option<String> {
        if asked_for.is_none() {
            match (&own.default, version) {
                (Some(_), _) => self.notes.push(
                    "the checkpoint's chat template is kept, where llama.cpp's converter writes one of its own beside `tekken.json`".to_owned(),
                ),
                (None, "v3" | "v7") => own.default = Some(format!("mistral-{version}-tekken")),
                (None, _) => self.notes.push(format!(
                    "no chat template is written, where llama.cpp's converter has one of its own for `tekken.json` of version `{version}`: `--chat-template` takes one"
                )),
            }
        }
        self.put_templates(own, asked_for)
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
