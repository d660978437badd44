//! A byte-level BPE vocabulary from `tokenizer.json`: GPT-2's kind, in which every byte is
//! written as a printable character.

use std::{
    collections::{HashMap, HashSet},
    path::Path,
};

use bstr::BString;
use serde_json::{Map, Value};

use super::{
    VocabularyError,
    added::{DecoderEntry, decoder_entries, listed_ids},
    byte_text::plain,
    files,
    named::NamedTokens,
    tokenizer_json::{AddedToken, Merge, TokenizerJson, place},
    tokens::{Token, TokenType, Tokens, looks_special},
};

/// The tokens of `tokenizer`, read from `path`, padded to `vocab_size`. `config` is
/// tokenizer_config.json, read from `config_path`, which can add to them, and so can the tokens
/// `named` there and in other files.
pub(super) fn tokens(
    path: &Path,
    tokenizer: &TokenizerJson,
    (config_path, config): (&Path, Option<&Map<String, Value>>),
    named: &NamedTokens,
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
    let added = all_added(path, tokenizer, (config_path, config), named)?;
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

/// The added tokens of tokenizer.json, overruled and extended by the other files the way the
/// `transformers` library does it: tokens they describe otherwise, then special tokens that are not
/// among the added ones. New tokens get the next free id.
fn all_added(
    path: &Path,
    tokenizer: &TokenizerJson,
    (config_path, config): (&Path, Option<&Map<String, Value>>),
    named: &NamedTokens,
) -> Result<Vec<AddedToken>, VocabularyError> {
    let mut added = Added::new(path, tokenizer)?;
    let is_named: HashSet<&str> = named.special.iter().map(String::as_str).collect();
    let mut entries = match config {
        Some(config) => decoder_entries(config_path, config)?,
        None => Vec::new(),
    };
    entries.extend(listed_entries(path, tokenizer, &is_named, named)?);
    entries.sort_by_key(|entry| entry.id);
    for entry in entries {
        let special = entry.special || is_named.contains(entry.content.as_str());
        added.set(entry.content, special, entry.normalized);
    }
    for content in &named.special {
        if !added.places.contains_key(content) {
            added.set(content.clone(), true, false);
        }
    }
    Ok(added.tokens)
}

/// The tokens of added_tokens.json, but for ids that tokenizer.json (`path`) has a token for.
fn listed_entries(
    path: &Path,
    tokenizer: &TokenizerJson,
    is_named: &HashSet<&str>,
    named: &NamedTokens,
) -> Result<Vec<DecoderEntry>, VocabularyError> {
    let Some(listed) = &named.listed else {
        return Ok(Vec::new());
    };
    let of_json = tokenizer.added_tokens.iter().map(|token| token.id.into());
    let of_json: HashSet<u64> = of_json.collect();
    let listed = listed_ids(&path.with_file_name("added_tokens.json"), listed)?;
    let entries = listed.into_iter().filter(|(_, id)| !of_json.contains(id));
    let entry = |(content, id): (&str, u64)| {
        let special = is_named.contains(content);
        DecoderEntry {
            id,
            content: content.to_owned(),
            special,
            normalized: !special,
        }
    };
    Ok(entries.map(entry).collect())
}

/// Added tokens, and what decides the ids of new ones.
struct Added<'a> {
    tokens: Vec<AddedToken>,
    /// Where in `tokens` a content is.
    places: HashMap<String, usize>,
    /// The ids of the model.
    ids: HashMap<&'a str, u32>,
    /// The id after the last one.
    end: u32,
}

impl<'a> Added<'a> {
    fn new(path: &Path, tokenizer: &'a TokenizerJson) -> Result<Self, VocabularyError> {
        let tokens = tokenizer.added_tokens.clone();
        let contents = tokens.iter().map(|token| token.content.clone());
        let places = contents
            .enumerate()
            .map(|(place, content)| (content, place))
            .collect();
        let ids = tokenizer.ids(path)?;
        let last = tokens
            .iter()
            .map(|token| token.id)
            .chain(ids.values().copied())
            .max();
        let end = last.map_or(0, |last| last.saturating_add(1));
        Ok(Self {
            tokens,
            places,
            ids,
            end,
        })
    }

    /// Overrules the token of this content, or adds it.
    fn set(&mut self, content: String, special: bool, normalized: bool) {
        if let Some(&place) = self.places.get(&content) {
            let token = &mut self.tokens[place];
            (token.special, token.normalized) = (special, normalized);
            return;
        }
        let id = self.ids.get(content.as_str()).copied().unwrap_or(self.end);
        self.end = self.end.max(id.saturating_add(1));
        self.places.insert(content.clone(), self.tokens.len());
        self.tokens.push(AddedToken {
            id,
            content,
            special,
            normalized,
        });
    }
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
