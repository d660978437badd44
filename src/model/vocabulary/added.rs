//! Tokens that a checkpoint adds to its SentencePiece pieces: added_tokens.json and the
//! `added_tokens_decoder` of tokenizer_config.json, which has the last word.
//!
//! llama.cpp's converter looks nowhere else, and writes padding for a token that only tokenizer.json
//! adds, or that is only named ([`NamedTokens`](super::named::NamedTokens)). Such tokens are kept here:
//! without them a chat has no end.

use std::path::Path;

use bstr::ByteSlice;
use serde_json::{Map, Value};

use super::{
    VocabularyError,
    tokenizer_json::AddedToken,
    tokens::{Token, TokenType, Tokens, looks_special},
};

/// The score that llama.cpp's converter gives to added tokens.
pub(crate) const SCORE: f32 = -1000.0;

/// Puts the tokens of added_tokens.json (`path`) into `tokens`. Gives notes on those left out.
pub(super) fn add_listed(
    tokens: &mut Tokens,
    path: &Path,
    added: &Map<String, Value>,
) -> Result<Vec<String>, VocabularyError> {
    let mut notes = Vec::new();
    for (text, id) in listed_ids(path, added)? {
        match slot(tokens, id) {
            Some(token) => {
                let text = text.into();
                *token = Token {
                    text,
                    score: SCORE,
                    ty: TokenType::UserDefined,
                };
            }
            None => notes.push(left_out(text, id, tokens)),
        }
    }
    Ok(notes)
}

/// The tokens of added_tokens.json (`path`) and their ids, in the order of the file.
pub(super) fn listed_ids<'a>(
    path: &Path,
    listed: &'a Map<String, Value>,
) -> Result<Vec<(&'a str, u64)>, VocabularyError> {
    let read = |(text, id): (&'a String, &Value)| match id.as_u64() {
        Some(number) => Ok((text.as_str(), number)),
        None => Err(entry(path, format!("`{text}`"), "a token id", id)),
    };
    listed.iter().map(read).collect()
}

/// How an added token is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// What looks like a control token is one, and of others the text is [`plain`].
    Plain,
    /// Text and kind are as they are given.
    AsGiven,
}

/// Puts the tokens of tokenizer_config.json (`path`) into `tokens`. Gives notes on those left out
/// or replaced.
pub(super) fn add_decoder(
    tokens: &mut Tokens,
    path: &Path,
    config: &Map<String, Value>,
    style: Style,
) -> Result<Vec<String>, VocabularyError> {
    let entries = decoder_entries(path, config)?;
    let entries = entries
        .iter()
        .map(|entry| (entry.id, entry.content.as_str(), entry.special));
    Ok(put(tokens, entries, style))
}

/// Puts the tokens that tokenizer.json adds into `tokens`, as they are given, over what is there.
/// Gives notes as [`add_decoder`].
pub(super) fn overrule(tokens: &mut Tokens, of_json: &[AddedToken]) -> Vec<String> {
    let entries = of_json
        .iter()
        .map(|token| (u64::from(token.id), token.content.as_str(), token.special));
    put(tokens, entries, Style::AsGiven)
}

fn put<'a>(
    tokens: &mut Tokens,
    entries: impl Iterator<Item = (u64, &'a str, bool)>,
    style: Style,
) -> Vec<String> {
    let mut notes = Vec::new();
    for (id, content, special) in entries {
        let Some(token) = slot(tokens, id) else {
            notes.push(left_out(content, id, tokens));
            continue;
        };
        if token.ty != TokenType::Unused && token.text != content.as_bytes() {
            notes.push(format!("token {id} is `{content}`, not `{}`", token.text));
        }
        *token = match style {
            Style::Plain => added(content, special),
            Style::AsGiven => Token {
                text: content.into(),
                score: SCORE,
                ty: match special {
                    true => TokenType::Control,
                    false => TokenType::UserDefined,
                },
            },
        };
    }
    notes
}

/// Puts the tokens that tokenizer.json adds where no other file has one. Gives notes on what was
/// put there, and on what the other files have instead.
pub(super) fn fill(tokens: &mut Tokens, of_json: &[AddedToken]) -> Vec<String> {
    let (mut kept, mut notes) = (Vec::new(), Vec::new());
    let mut ids = tokens.ids();
    for AddedToken {
        id,
        content,
        special,
        ..
    } in of_json
    {
        // As a token a space is a space, see `added`.
        let known = ids.get(content.as_bytes().as_bstr());
        let known = known.or_else(|| ids.get(plain(content).as_bytes().as_bstr()));
        let known = known.copied();
        let at = usize::try_from(*id).unwrap_or(usize::MAX);
        match (known, tokens.0.get(at)) {
            (Some(known), _) if known == at => {}
            (Some(known), _) => notes.push(format!(
                "tokenizer.json gives `{content}` the id {id}; it is token {known} already and stays that"
            )),
            (None, None) => notes.push(left_out(content, (*id).into(), tokens)),
            (None, Some(other)) if !tokens.is_padding(at) => notes.push(format!(
                "tokenizer.json has `{content}` as token {id}; written is `{}`, which the other files have",
                other.text
            )),
            (None, Some(_)) => {
                tokens.0[at] = added(content, *special);
                ids.insert(content.as_str().into(), at);
                kept.push((at, content.as_str()));
            }
        }
    }
    notes.extend(kept_note("only tokenizer.json adds", &kept));
    notes
}

/// Gives texts that are called special, and are no tokens yet, the ids after the last token.
pub(super) fn append(tokens: &mut Tokens, special: &[String]) -> Vec<String> {
    let (mut kept, mut notes) = (Vec::new(), Vec::new());
    let ids = tokens.ids();
    let mut next = tokens.end();
    for text in special {
        let is_known = |text: &str| ids.contains_key(text.as_bytes().as_bstr());
        if is_known(text) || is_known(&plain(text)) {
            continue;
        }
        match tokens.0.get_mut(next) {
            Some(token) => {
                *token = added(text, true);
                kept.push((next, text.as_str()));
                next += 1;
            }
            None => notes.push(left_out(text, next as u64, tokens)),
        }
    }
    notes.extend(kept_note(
        "only tokenizer_config.json or special_tokens_map.json names",
        &kept,
    ));
    notes
}

/// Says which tokens were kept; of many, the first.
fn kept_note(whence: &str, kept: &[(usize, &str)]) -> Option<String> {
    const TOLD: usize = 5;
    let told = kept.iter().take(TOLD);
    let told: Vec<String> = told.map(|(id, text)| format!("`{text}` ({id})")).collect();
    let more = match kept.len().saturating_sub(TOLD) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    (!kept.is_empty()).then(|| {
        format!(
            "kept, where llama.cpp's converter writes padding: {}{more}, which {whence}",
            told.join(", ")
        )
    })
}

/// An added token of this content.
fn added(content: &str, special: bool) -> Token {
    let (text, ty) = match special || looks_special(content) {
        true => (content.to_owned(), TokenType::Control),
        false => (plain(content), TokenType::UserDefined),
    };
    Token {
        text: text.into(),
        score: SCORE,
        ty,
    }
}

/// llama.cpp looks for added tokens in the text as it is, where a space is a space.
fn plain(content: &str) -> String {
    content.replace('▁', " ")
}

/// An entry of `added_tokens_decoder`.
pub(super) struct DecoderEntry {
    pub(super) id: u64,
    pub(super) content: String,
    pub(super) special: bool,
    pub(super) normalized: bool,
}

/// The entries of `added_tokens_decoder` in the order of the file.
pub(super) fn decoder_entries(
    path: &Path,
    config: &Map<String, Value>,
) -> Result<Vec<DecoderEntry>, VocabularyError> {
    let Some(decoder) = config.get("added_tokens_decoder") else {
        return Ok(Vec::new());
    };
    let place = || "`added_tokens_decoder`".to_owned();
    let decoder = decoder
        .as_object()
        .ok_or_else(|| entry(path, place(), "a map of ids to tokens", decoder))?;
    let read = |(key, token): (&String, &Value)| {
        let place = || format!("`added_tokens_decoder`, entry `{key}`");
        let id = key.parse().map_err(|_| VocabularyError::Entry {
            path: path.to_owned(),
            place: "`added_tokens_decoder`".to_owned(),
            expected: "token ids as keys".to_owned(),
            found: format!("`{key}`"),
        })?;
        let content = token.get("content").and_then(Value::as_str);
        let content =
            content.ok_or_else(|| entry(path, place(), "a token with `content`", token))?;
        let flag = |name| token.get(name).and_then(Value::as_bool).unwrap_or(false);
        Ok(DecoderEntry {
            id,
            content: content.to_owned(),
            special: flag("special"),
            normalized: flag("normalized"),
        })
    };
    decoder.iter().map(read).collect()
}

fn slot(tokens: &mut Tokens, id: u64) -> Option<&mut Token> {
    tokens.0.get_mut(usize::try_from(id).ok()?)
}

fn left_out(text: &str, id: u64, tokens: &Tokens) -> String {
    let vocab_size = tokens.0.len();
    format!("the added token `{text}` is left out: its id {id} is past `vocab_size` {vocab_size}")
}

/// What `value` is, in a word, for errors.
pub(super) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

fn entry(path: &Path, place: String, expected: &str, found: &Value) -> VocabularyError {
    VocabularyError::Entry {
        path: path.to_owned(),
        place,
        expected: expected.to_owned(),
        found: match found {
            Value::Number(number) => format!("`{number}`"),
            other => kind_of(other).to_owned(),
        },
    }
}
