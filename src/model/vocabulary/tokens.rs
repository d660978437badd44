//! The token table: text, score and type of every id.

use std::{collections::HashMap, path::Path};

use bstr::{BString, ByteSlice};

use super::VocabularyError;

/// The largest `vocab_size` we take; the largest in use is half of it. It bounds what a
/// damaged config.json can make us allocate.
const MAX_TOKENS: usize = 1 << 21;

/// What kind of token this is: the numbers of `tokenizer.ggml.token_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub(super) enum TokenType {
    Normal = 1,
    Unknown = 2,
    Control = 3,
    UserDefined = 4,
    Unused = 5,
    Byte = 6,
}

/// One token.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    pub(super) text: BString,
    /// Log-probability like: of two possible merges the one with the higher score is done first.
    /// Byte-level vocabularies have none (their merges are a list of their own).
    pub(super) score: f32,
    pub(super) ty: TokenType,
}

/// A token for every id below `vocab_size`.
#[derive(Debug)]
pub(super) struct Tokens(pub(super) Vec<Token>);

impl Tokens {
    /// `vocab_size` padding tokens, to be overwritten by what the tokenizer has: the embedding
    /// often has more rows than the tokenizer has tokens, and an id can be free in the middle.
    pub(super) fn padding(vocab_size: usize) -> Result<Self, VocabularyError> {
        if vocab_size == 0 || vocab_size > MAX_TOKENS {
            return Err(VocabularyError::VocabSize {
                expected: MAX_TOKENS,
                found: vocab_size,
            });
        }
        let pad = |id| Token {
            text: padding_text(id).into(),
            score: -10000.0,
            ty: TokenType::Unused,
        };
        Ok(Self((0..vocab_size).map(pad).collect()))
    }

    /// The texts, and the numbers of the types.
    pub(super) fn into_texts_and_types(self) -> (Vec<BString>, Vec<i32>) {
        let both = self
            .0
            .into_iter()
            .map(|token| (token.text, token.ty as i32));
        both.unzip()
    }

    /// Whether no file has a token of this id.
    pub(super) fn is_padding(&self, id: usize) -> bool {
        let token = self.0.get(id);
        token.is_some_and(|t| t.ty == TokenType::Unused && t.text == padding_text(id).as_bytes())
    }

    /// The id after the last one that is no padding.
    pub(super) fn end(&self) -> usize {
        let last = (0..self.0.len()).rev().find(|id| !self.is_padding(*id));
        last.map_or(0, |last| last + 1)
    }

    /// The ids by their texts, padding left out.
    pub(super) fn ids(&self) -> HashMap<BString, usize> {
        let ids = (0..self.0.len()).filter(|id| !self.is_padding(*id));
        ids.map(|id| (self.0[id].text.clone(), id)).collect()
    }

    /// Fails if two tokens of `path`'s vocabulary have one text. llama.cpp asserts that there are
    /// as many texts as tokens, so such a file would end the program that loads it.
    pub(super) fn check_unique(&self, path: &Path) -> Result<(), VocabularyError> {
        let mut seen = HashMap::with_capacity(self.0.len());
        for (second, token) in self.0.iter().enumerate() {
            // llama.cpp gives an empty token a name of its own.
            if token.text.is_empty() {
                continue;
            }
            if let Some(first) = seen.insert(token.text.as_bstr(), second) {
                return Err(VocabularyError::DuplicateText {
                    path: path.to_owned(),
                    text: token.text.to_string(),
                    first,
                    second,
                });
            }
        }
        Ok(())
    }
}

/// The text of an id that has no token.
fn padding_text(id: usize) -> String {
    format!("[PAD{id}]")
}

/// Whether llama.cpp's converter takes an added token for a control token although the checkpoint
/// does not call it special, because it is written like one.
pub(super) fn looks_special(text: &str) -> bool {
    let bracketed = |open, close| text.starts_with(open) && text.ends_with(close);
    matches!(text, "<pad>" | "<mask>" | "<2mass>" | "[@BOS@]")
        || bracketed("<|", "|>")
        || bracketed("<｜", "｜>")
        || bracketed("<unused", ">")
}
