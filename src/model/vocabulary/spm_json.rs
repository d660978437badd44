//! A SentencePiece BPE vocabulary from `tokenizer.json` alone.
//!
//! The file has no scores; it has the list of merges, the earlier the stronger. llama.cpp's
//! SentencePiece tokenizer joins, again and again, the two neighbours whose joined text is the
//! token with the highest score, the leftmost two where scores are equal. So a token's score
//! must fall with the rank of the merge that makes it, and the scores need not be those the model
//! was trained with. We number the tokens that merges make 0, −1, −2, … in the order of their
//! first merge, and go on below with the tokens that no merge makes, in the order of their ids:
//! these are single characters, which need no score, and tokens out of reach, which must not come
//! before any merge. SentencePiece numbers its own models this way, so that for those the scores
//! come out as they were, up to a constant.

use std::{
    collections::{HashMap, HashSet},
    path::Path,
};

use serde_json::{Map, Value};

use super::{
    VocabularyError, added,
    tokenizer_json::{TokenizerJson, place},
    tokens::{Token, TokenType, Tokens, looks_special},
};

/// What tokenizer.json says beyond the tokens.
pub(super) struct SpmVocabulary {
    pub(super) tokens: Tokens,
    /// Whether a space is put before the text. llama.cpp does so unless told otherwise.
    pub(super) space_prefix: bool,
    pub(super) notes: Vec<String>,
}

/// The tokens of `tokenizer`, read from `path`, padded to `vocab_size`. `config` is
/// tokenizer_config.json.
pub(super) fn read(
    path: &Path,
    tokenizer: &TokenizerJson,
    config: Option<&Map<String, Value>>,
    vocab_size: usize,
) -> Result<SpmVocabulary, VocabularyError> {
    let mut notes = Vec::new();
    tokenizer.check_settings(path)?;
    tokenizer.check_added(path)?;
    let space_prefix = read_normalizer(path, tokenizer, &mut notes)?;
    let mut tokens = Tokens::padding(vocab_size)?;
    let mut texts = tokenizer.texts(path, vocab_size)?;
    let unknown = unknown_token(tokenizer, config);
    let scores = scores(path, tokenizer, &texts, unknown)?;
    for (token, (text, score)) in tokens.0.iter_mut().zip(texts.iter().zip(scores)) {
        let Some(text) = *text else { continue };
        let (ty, score) = if text == unknown {
            (TokenType::Unknown, 0.0)
        } else if is_byte(text) {
            (TokenType::Byte, 0.0)
        } else {
            (TokenType::Normal, score)
        };
        *token = Token {
            text: text.into(),
            score,
            ty,
        };
    }
    for token in &tokenizer.added_tokens {
        if token.id as usize >= vocab_size {
            notes.push(format!(
                "the added token `{}` is left out: its id {} is past `vocab_size` {vocab_size}",
                token.content, token.id
            ));
            continue;
        }
        let is_new = texts[token.id as usize].is_none();
        place(path, &mut texts, token.id, &token.content)?;
        let slot = &mut tokens.0[token.id as usize];
        if matches!(slot.ty, TokenType::Unknown | TokenType::Byte) {
            continue;
        }
        // Control pieces of a SentencePiece model have score 0, added tokens have another.
        *slot = if token.special || looks_special(&token.content) {
            let score = if is_new { added::SCORE } else { 0.0 };
            Token {
                text: token.content.as_str().into(),
                score,
                ty: TokenType::Control,
            }
        } else {
            let text = token.content.replace('▁', " ").into();
            Token {
                text,
                score: added::SCORE,
                ty: TokenType::UserDefined,
            }
        };
    }
    Ok(SpmVocabulary {
        tokens,
        space_prefix,
        notes,
    })
}

/// The score of every id; see the module's words. Free ids have one too, which nobody uses.
fn scores(
    path: &Path,
    tokenizer: &TokenizerJson,
    texts: &[Option<&str>],
    unknown: &str,
) -> Result<Vec<f32>, VocabularyError> {
    let ids = tokenizer.ids(path)?;
    let mut places = vec![None; texts.len()];
    let mut next = 0_u32;
    for (rank, merge) in tokenizer.model.merges.iter().enumerate() {
        let id = merged_id(&ids, merge.pieces()).map_err(|found| VocabularyError::Entry {
            path: path.to_owned(),
            place: format!("merge {rank}"),
            expected: "two tokens of the vocabulary that join to a third".to_owned(),
            found,
        })?;
        if let Some(place @ None) = places.get_mut(id as usize) {
            *place = Some(next);
            next += 1;
        }
    }
    let added: HashSet<&str> = tokenizer
        .added_tokens
        .iter()
        .map(|token| token.content.as_str())
        .collect();
    let is_piece = |text: &Option<&str>| {
        text.is_some_and(|text| !is_byte(text) && text != unknown && !added.contains(text))
    };
    for (place, text) in places.iter_mut().zip(texts) {
        if place.is_none() && is_piece(text) {
            *place = Some(next);
            next += 1;
        }
    }
    // Exact: there are fewer than 2^24 tokens.
    Ok(places
        .into_iter()
        .map(|place| -(place.unwrap_or(next) as f32))
        .collect())
}

/// The id of the token that a merge makes, or what is wrong with the merge.
fn merged_id(ids: &HashMap<&str, u32>, pieces: Option<(&str, &str)>) -> Result<u32, String> {
    let (left, right) = pieces.ok_or("another number of them")?;
    for part in [left, right] {
        if !ids.contains_key(part) {
            return Err(format!("`{part}`, which is none"));
        }
    }
    let joined = format!("{left}{right}");
    ids.get(joined.as_str())
        .copied()
        .ok_or_else(|| format!("`{joined}`, which is none"))
}

/// The text that stands for what cannot be written in tokens.
fn unknown_token<'a>(
    tokenizer: &'a TokenizerJson,
    config: Option<&'a Map<String, Value>>,
) -> &'a str {
    let configured = || {
        let entry = config?.get("unk_token")?;
        entry.get("content").unwrap_or(entry).as_str()
    };
    tokenizer
        .model
        .unk_token
        .as_deref()
        .or_else(configured)
        .unwrap_or("<unk>")
}

/// Whether this is one of the 256 tokens `<0x00>` to `<0xFF>`.
fn is_byte(text: &str) -> bool {
    let digits = text
        .strip_prefix("<0x")
        .and_then(|rest| rest.strip_suffix('>'));
    digits.is_some_and(|digits| digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// Makes sure that text is split as llama.cpp's SentencePiece tokenizer splits it, which is into
/// characters with `▁` for each space. Tells whether a space goes before the text.
fn read_normalizer(
    path: &Path,
    tokenizer: &TokenizerJson,
    notes: &mut Vec<String>,
) -> Result<bool, VocabularyError> {
    let mut prefix = false;
    let mut replaces = false;
    for step in steps(&tokenizer.normalizer, "normalizers") {
        match step["type"].as_str() {
            Some("Prepend") if step["prepend"] == "▁" => prefix = true,
            Some("Replace") if step["pattern"]["String"] == " " && step["content"] == "▁" => {
                replaces = true;
            }
            Some(name @ ("NFC" | "NFKC" | "Precompiled")) => notes.push(format!(
                "tokenizer.json normalizes text ({name}), which llama.cpp's tokenizer does not"
            )),
            _ => return Err(unsupported(path, "normalizer", step)),
        }
    }
    for step in steps(&tokenizer.pre_tokenizer, "pretokenizers") {
        if step["type"] != "Metaspace" || step["replacement"] != "▁" {
            return Err(unsupported(path, "pre_tokenizer", step));
        }
        replaces = true;
        // `add_prefix_space` is how the same was written before 2024.
        prefix |= match step["prepend_scheme"].as_str() {
            Some(scheme) => scheme != "never",
            None => step["add_prefix_space"].as_bool().unwrap_or(true),
        };
    }
    if !replaces {
        return Err(VocabularyError::Unsupported {
            path: path.to_owned(),
            found: "a BPE model with `byte_fallback` that leaves spaces as they are".to_owned(),
            expected: "`▁` for a space, by a Replace normalizer or a Metaspace pre-tokenizer",
        });
    }
    Ok(prefix)
}

/// The steps of a normalizer or pre-tokenizer: of a Sequence its parts, otherwise itself.
pub(super) fn steps<'a>(component: &'a Value, parts: &str) -> &'a [Value] {
    match component.get(parts).and_then(Value::as_array) {
        Some(list) => list,
        None if component.is_null() => &[],
        None => std::slice::from_ref(component),
    }
}

fn unsupported(path: &Path, component: &str, step: &Value) -> VocabularyError {
    VocabularyError::Unsupported {
        path: path.to_owned(),
        found: format!("the {component} `{}`", short(step)),
        expected: "SentencePiece's way of splitting text",
    }
}

/// A component as JSON, cut where it gets long.
pub(super) fn short(component: &Value) -> String {
    const CHARS: usize = 160;
    let text = component.to_string();
    match text.char_indices().nth(CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
