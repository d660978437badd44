//! The tokens of one vocabulary, as its GGUF has them.

use bstr::{BString, ByteSlice};
use serde_json::{Value as Json, json};

use super::Parent;
use crate::{
    gguf::{Array, KeyValues, Value},
    model::vocabulary::{
        self, ADDED_SCORE, Vocabulary, VocabularyError, VocabularyRequest,
        sentencepiece::{Piece, PieceType},
    },
};

/// The numbers of `tokenizer.ggml.token_type`.
const UNKNOWN: i32 = 2;
const CONTROL: i32 = 3;
const USER_DEFINED: i32 = 4;
const UNUSED: i32 = 5;

/// The tokens of a parent, without the padding behind the last.
#[derive(Debug)]
pub(super) struct Tokens {
    /// `tokenizer.*` of its GGUF.
    pub(super) key_values: KeyValues,
    pub(super) list: Vec<Token>,
}

/// One token.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    pub(super) text: BString,
    pub(super) score: f32,
    pub(super) ty: i32,
}

impl Tokens {
    pub(super) fn read(parent: &Parent) -> Result<Self, VocabularyError> {
        let vocabulary = vocabulary::read(&VocabularyRequest {
            dir: &parent.checkpoint.dir,
            vocab_size: parent.n_vocab(),
            config: &parent.checkpoint.config,
            policy: vocabulary::policy::LLAMA,
            chat_template: None,
            pre: parent.pre,
        })?;
        Ok(Self::of(&vocabulary))
    }

    pub(super) fn of(vocabulary: &Vocabulary) -> Self {
        let mut tokens = Self {
            key_values: vocabulary.key_values.clone(),
            list: Vec::new(),
        };
        let (texts, scores, types) = (
            tokens.get("tokenizer.ggml.tokens"),
            tokens.get("tokenizer.ggml.scores"),
            tokens.get("tokenizer.ggml.token_type"),
        );
        if let (Some(Value::Array(Array::String(texts))), Some(Value::Array(Array::I32(types)))) =
            (texts, types)
        {
            let score = |id: usize| match scores {
                Some(Value::Array(Array::F32(scores))) => scores.get(id).copied(),
                _ => None,
            };
            let list = texts
                .iter()
                .zip(types)
                .enumerate()
                .map(|(id, (text, &ty))| Token {
                    text: text.clone(),
                    score: score(id).unwrap_or_default(),
                    ty,
                });
            tokens.list = list.collect();
        }
        let is_token = |(id, token): (usize, &Token)| !token.is_padding(id);
        let end = tokens.list.iter().enumerate().rposition(is_token);
        tokens.list.truncate(end.map_or(0, |last| last + 1));
        tokens
    }

    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        let found = self.key_values.iter().find(|(k, _)| k == key);
        found.map(|(_, value)| value)
    }

    /// `llama` for a SentencePiece model, `gpt2` for a byte-level vocabulary.
    pub(super) fn kind(&self) -> &str {
        let kind = self.get("tokenizer.ggml.model").and_then(Value::as_str);
        kind.unwrap_or_default()
    }

    /// The texts, without padding.
    pub(super) fn texts(&self) -> impl Iterator<Item = &BString> {
        let tokens = self.list.iter().enumerate();
        tokens
            .filter(|(id, token)| !token.is_padding(*id))
            .map(|(_, token)| &token.text)
    }
}

impl Token {
    /// Whether this stands for an id that the tokenizer does not use.
    pub(super) fn is_padding(&self, id: usize) -> bool {
        self.ty == UNUSED && self.text == format!("[PAD{id}]").as_bytes()
    }

    /// Whether it stands beside the words of a vocabulary of this kind, and is not one of them.
    pub(super) fn is_added(&self, kind: &str) -> bool {
        match kind {
            "llama" => self.ty == USER_DEFINED || self.ty == CONTROL && self.score == ADDED_SCORE,
            _ => self.ty == USER_DEFINED || self.ty == CONTROL,
        }
    }

    /// Whether it is one of the words that texts are made of, and not one that was put beside them.
    pub(super) fn is_word(&self) -> bool {
        ![UNKNOWN, CONTROL, USER_DEFINED, UNUSED].contains(&self.ty)
    }

    /// As it is behind another parent's tokens: there is one unknown token, and it is the base's.
    pub(super) fn behind_another(mut self) -> Self {
        if self.ty == UNKNOWN {
            self.ty = CONTROL;
        }
        self
    }

    pub(super) fn piece(&self) -> Piece {
        Piece {
            piece: Some(self.text.to_vec()),
            score: Some(self.score),
            // The numbers are the same.
            kind: Some(PieceType::try_from(self.ty).unwrap_or(PieceType::Normal) as i32),
        }
    }

    /// An entry of `added_tokens_decoder`, and but for the id of `added_tokens`.
    pub(super) fn added_entry(&self) -> Json {
        json!({
            "content": self.text.to_str_lossy(),
            "lstrip": false,
            "normalized": false,
            "rstrip": false,
            "single_word": false,
            "special": self.ty == CONTROL,
        })
    }
}
