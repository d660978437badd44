//! A byte-level BPE vocabulary from `tokenizer.json`: GPT-2's kind, in which every byte is
//! written as a printable character.

use std::{collections::HashMap, path::Path};

use bstr::BString;
use serde_json::{Map, Value};

use super::{
    VocabularyError,
    added::{DecoderEntry, decoder_entries},
    files,
    special::KINDS,
    tokenizer_json::{AddedToken, Merge, TokenizerJson, place},
    tokens::{Token, TokenType, Tokens, looks_special},
};

/// The tokens of `tokenizer`, read from `path`, padded to `vocab_size`. `config` is
/// tokenizer_config.json, read from `config_path`, which can add to them.
pub(super) fn tokens(
    path: &Path,
    tokenizer: &TokenizerJson,
    config_path: &Path,
    config: Option<&Map<String, Value>>,
    vocab_size: usize,
) -> Result<Tokens, VocabularyError> {
    tokenizer.check_settings(path)?;
    tokenizer.check_added(path)?;
    let mut tokens = Tokens::padding(vocab_size)?;
    let mut texts = tokenizer.texts(path, vocab_size)?;
    for (token, text) in tokens.0.iter_mut().zip(&texts) {
        if let Some(text) = *text {
            *token = Token {
                text: text.into(),
                score: 0.0,
                ty: TokenType::Normal,
            };
        }
    }
    let added = all_added(path, tokenizer, config_path, config)?;
    for token in &added {
        place(path, &mut texts, token.id, &token.content)?;
        tokens.0[token.id as usize] = added_token(token);
    }
    Ok(tokens)
}

/// llama.cpp looks for added tokens in the text as it is, so their own text has to be plain.
fn added_token(token: &AddedToken) -> Token {
    let text = if token.normalized {
        token.content.clone()
    } else {
        plain(&token.content)
    };
    let (text, ty) = if token.special || looks_special(&text) {
        (text, TokenType::Control)
    } else {
        (text.replace('▁', " "), TokenType::UserDefined)
    };
    Token {
        text: text.into(),
        score: 0.0,
        ty,
    }
}

/// What a tokenizer writes for a token of this content: the bytes that its characters stand for,
/// or the content itself if one of them stands for none.
fn plain(content: &str) -> String {
    match content.chars().map(byte_of).collect::<Option<Vec<u8>>>() {
        Some(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        None => content.to_owned(),
    }
}

/// The byte that a character stands for. The 188 printable bytes of Latin-1 stand for themselves,
/// the other 68 are U+0100 and on, in the order of the bytes.
fn byte_of(character: char) -> Option<u8> {
    let is_printable = |byte: &u8| matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
    match u8::try_from(character) {
        Ok(byte) => Some(byte).filter(is_printable),
        Err(_) => {
            let index = (character as usize).checked_sub(0x100)?;
            (0..=u8::MAX).filter(|byte| !is_printable(byte)).nth(index)
        }
    }
}

/// The added tokens of tokenizer.json, overruled and extended by tokenizer_config.json the way the
/// `transformers` library does it: tokens it describes otherwise, then special tokens that are not
/// among the added ones. New tokens get the next free id.
fn all_added(
    path: &Path,
    tokenizer: &TokenizerJson,
    config_path: &Path,
    config: Option<&Map<String, Value>>,
) -> Result<Vec<AddedToken>, VocabularyError> {
    let mut added = Added {
        tokens: tokenizer.added_tokens.clone(),
        ids: tokenizer.ids(path)?,
        model_end: tokenizer
            .model
            .vocab
            .0
            .iter()
            .map(|(_, id)| id.saturating_add(1))
            .max(),
    };
    let Some(config) = config else {
        return Ok(added.tokens);
    };
    let named = special_tokens(config);
    let mut entries = decoder_entries(config_path, config)?;
    entries.sort_by_key(|entry| entry.id);
    for DecoderEntry {
        content,
        special,
        normalized,
        ..
    } in entries
    {
        let special = special || named.contains(&content.as_str());
        added.set(&content, special, normalized);
    }
    for content in named {
        if !added.tokens.iter().any(|token| token.content == content) {
            added.set(content, true, false);
        }
    }
    Ok(added.tokens)
}

/// Added tokens, and what decides the ids of new ones.
struct Added<'a> {
    tokens: Vec<AddedToken>,
    ids: HashMap<&'a str, u32>,
    model_end: Option<u32>,
}

impl Added<'_> {
    /// Overrules the token of this content, or adds it.
    fn set(&mut self, content: &str, special: bool, normalized: bool) {
        if let Some(token) = self
            .tokens
            .iter_mut()
            .find(|token| token.content == content)
        {
            token.special = special;
            token.normalized = normalized;
            return;
        }
        let ends = self.tokens.iter().map(|token| token.id.saturating_add(1));
        let end = ends.chain(self.model_end).max().unwrap_or(0);
        let id = self.ids.get(content).copied().unwrap_or(end);
        self.tokens.push(AddedToken {
            id,
            content: content.to_owned(),
            special,
            normalized,
        });
    }
}

/// The texts that tokenizer_config.json calls special.
fn special_tokens(config: &Map<String, Value>) -> Vec<&str> {
    let one = KINDS
        .iter()
        .filter_map(|kind| config.get(&format!("{kind}_token")));
    let more = config
        .get("additional_special_tokens")
        .and_then(Value::as_array);
    one.chain(more.into_iter().flatten())
        .filter_map(|entry| entry.get("content").unwrap_or(entry).as_str())
        .collect()
}

/// The merges as `tokenizer.ggml.merges` has them, `a b`; those of `merges.txt` if tokenizer.json
/// (`path`) has none. A space within a piece becomes the character that stands for the byte.
pub(super) fn merges(path: &Path, merges: &[Merge]) -> Result<Vec<BString>, VocabularyError> {
    if merges.is_empty() {
        return read_merges_txt(&path.with_file_name("merges.txt"));
    }
    let written = |merge: &Merge| match merge {
        Merge::Joined(joined) => joined.as_str().into(),
        Merge::Pair(left, right) => {
            format!("{} {}", left.replace(' ', "Ġ"), right.replace(' ', "Ġ")).into()
        }
    };
    Ok(merges.iter().map(written).collect())
}

fn read_merges_txt(path: &Path) -> Result<Vec<BString>, VocabularyError> {
    let text = files::read_text(path)?.unwrap_or_default();
    let mut lines = text.lines().peekable();
    // The first line tells the version.
    lines.next_if(|line| line.trim().starts_with('#'));
    let merge = |line: &str| {
        let mut pieces = line.split_whitespace();
        let (left, right) = (pieces.next()?, pieces.next()?);
        pieces
            .next()
            .is_none()
            .then(|| format!("{left} {right}").into())
    };
    Ok(lines.filter_map(merge).collect())
}
