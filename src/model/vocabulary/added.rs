//! Tokens that a checkpoint adds to its SentencePiece pieces: added_tokens.json and the
//! `added_tokens_decoder` of tokenizer_config.json, which has the last word.

use std::path::Path;

use serde_json::{Map, Value};

use super::{
    VocabularyError,
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
    for (text, id) in added {
        let id = id
            .as_u64()
            .ok_or_else(|| entry(path, format!("`{text}`"), "a token id", id))?;
        match slot(tokens, id) {
            Some(token) => {
                let text = text.as_str().into();
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

/// Puts the tokens of tokenizer_config.json (`path`) into `tokens`. Gives notes on those left out
/// or replaced.
pub(super) fn add_decoder(
    tokens: &mut Tokens,
    path: &Path,
    config: &Map<String, Value>,
) -> Result<Vec<String>, VocabularyError> {
    let mut notes = Vec::new();
    for DecoderEntry {
        id,
        content,
        special,
        ..
    } in decoder_entries(path, config)?
    {
        let Some(token) = slot(tokens, id) else {
            notes.push(left_out(&content, id, tokens));
            continue;
        };
        if token.ty != TokenType::Unused && token.text != content.as_bytes() {
            notes.push(format!("token {id} is `{content}`, not `{}`", token.text));
        }
        *token = if special || looks_special(&content) {
            Token {
                text: content.into(),
                score: SCORE,
                ty: TokenType::Control,
            }
        } else {
            // llama.cpp looks for added tokens in the text as it is, where a space is a space.
            let text = content.replace('▁', " ").into();
            Token {
                text,
                score: SCORE,
                ty: TokenType::UserDefined,
            }
        };
    }
    Ok(notes)
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
