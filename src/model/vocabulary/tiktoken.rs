//! Ranks as the tiktoken library keeps them: a line for each token, its bytes in base64 and its rank.
//! How text is split and what the special tokens are stands in the program that comes with the
//! model, and here in the family's policy.

use std::{collections::HashSet, path::Path};

use base64::{Engine, engine::general_purpose::STANDARD};
use bstr::{BString, ByteSlice};

use super::{
    VocabularyError, byte_text,
    files::shown,
    policy::{SpecialTexts, TiktokenRanks},
    ranks::Ranks,
    tokens::{Token, TokenType, Tokens},
};

/// A vocabulary from ranks.
#[derive(Debug)]
pub(super) struct Tiktoken {
    pub(super) tokens: Tokens,
    pub(super) merges: Vec<BString>,
    pub(super) notes: Vec<String>,
}

/// Reads the file `path`, whose content is `bytes`. With the special tokens of `family` there must be
/// exactly `vocab_size` tokens: a file that was cut would shift them otherwise.
pub(super) fn read(
    path: &Path,
    bytes: &[u8],
    family: &TiktokenRanks,
    vocab_size: usize,
) -> Result<Tiktoken, VocabularyError> {
    let listed = lines(path, bytes)?;
    let special = special_texts(family.special);
    let all = listed.len() + special.len();
    if all != vocab_size {
        return Err(VocabularyError::Entry {
            path: path.to_owned(),
            place: "lines".to_owned(),
            expected: format!(
                "{} tokens (`vocab_size` {vocab_size} of config.json less {} special tokens)",
                vocab_size.saturating_sub(special.len()),
                special.len()
            ),
            found: listed.len().to_string(),
        });
    }
    let mut tokens = Tokens::padding(vocab_size)?;
    let texts = listed
        .iter()
        .map(|token| (byte_text::written(token), TokenType::Normal));
    let special = special.into_iter().map(|text| (text, TokenType::Control));
    for (slot, (text, ty)) in tokens.0.iter_mut().zip(texts.chain(special)) {
        *slot = Token {
            text: text.into(),
            score: 0.0,
            ty,
        };
    }
    let (merges, unmade) = Ranks::new(path, &listed)?.last_merges();
    let mut notes = Vec::new();
    if unmade > 0 {
        notes.push(format!(
            "{unmade} tokens of `{}` are not made of two others of lower ranks: llama.cpp's tokenizer will not use them",
            family.file
        ));
    }
    Ok(Tiktoken {
        tokens,
        merges,
        notes,
    })
}

/// The tokens in the order of their ranks. A token that comes again is passed over, and ranks behind
/// it may or may not count it.
fn lines(path: &Path, bytes: &[u8]) -> Result<Vec<Vec<u8>>, VocabularyError> {
    let (mut tokens, mut seen, mut passed_over) = (Vec::new(), HashSet::new(), 0);
    for (number, line) in bytes.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let entry = |expected: String, found: String| VocabularyError::Entry {
            path: path.to_owned(),
            place: format!("line {}", number + 1),
            expected,
            found,
        };
        let mut parts = line.fields();
        let (token, rank) = match (parts.next(), parts.next(), parts.next()) {
            (Some(token), Some(rank), None) => (token, rank),
            _ => {
                return Err(entry(
                    "a token in base64 and its rank".to_owned(),
                    shown(line),
                ));
            }
        };
        let decoded = STANDARD
            .decode(token)
            .map_err(|_| entry("base64".to_owned(), shown(token)))?;
        if seen.contains(&decoded) {
            passed_over += 1;
            continue;
        }
        let given = rank.to_str().ok().and_then(|rank| rank.parse().ok());
        let next = tokens.len();
        if given != Some(next) && given != Some(next + passed_over) {
            return Err(entry(format!("rank {next}"), shown(rank)));
        }
        seen.insert(decoded.clone());
        tokens.push(decoded);
    }
    Ok(tokens)
}

fn special_texts(special: &[SpecialTexts]) -> Vec<String> {
    let mut texts = Vec::new();
    for some in special {
        match *some {
            SpecialTexts::One(text) => texts.push(text.to_owned()),
            SpecialTexts::Numbered {
                prefix,
                suffix,
                count,
            } => texts.extend((0..count).map(|number| format!("{prefix}{number}{suffix}"))),
        }
    }
    texts
}
