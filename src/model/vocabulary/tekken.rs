//! `tekken.json`: the tokenizer file of Mistral's own library. Special tokens come first, then the
//! bytes, then the other tokens by rank.

use std::path::Path;

use base64::{Engine, engine::general_purpose::STANDARD};
use bstr::BString;
use serde::Deserialize;

use super::{
    VocabularyError, byte_text,
    files::{self, shown},
    ranks::Ranks,
    tokens::{Token, TokenType, Tokens},
};

/// The special tokens of files that do not list them, which are those up to this version.
const LAST_WITHOUT_LIST: u32 = 7;
const UNLISTED: [&str; 20] = [
    "<unk>",
    "<s>",
    "</s>",
    "[INST]",
    "[/INST]",
    "[AVAILABLE_TOOLS]",
    "[/AVAILABLE_TOOLS]",
    "[TOOL_RESULTS]",
    "[/TOOL_RESULTS]",
    "[TOOL_CALLS]",
    "[IMG]",
    "<pad>",
    "[IMG_BREAK]",
    "[IMG_END]",
    "[PREFIX]",
    "[MIDDLE]",
    "[SUFFIX]",
    "[SYSTEM_PROMPT]",
    "[/SYSTEM_PROMPT]",
    "[TOOL_CONTENT]",
];

/// What the file says.
#[derive(Debug)]
pub(super) struct Tekken {
    pub(super) tokens: Tokens,
    pub(super) merges: Vec<BString>,
    /// The kinds of special tokens and their ids, in the order of their keys.
    pub(super) ids: Vec<(&'static str, u32)>,
    /// How text is split into words, as a regular expression.
    pub(super) pattern: String,
    /// The version of the chat format.
    pub(super) version: String,
}

#[derive(Deserialize)]
struct TekkenJson {
    config: Config,
    vocab: Vec<Entry>,
    #[serde(default)]
    special_tokens: Option<Vec<Special>>,
}

#[derive(Deserialize)]
struct Config {
    pattern: String,
    default_vocab_size: usize,
    default_num_special_tokens: usize,
    version: String,
}

#[derive(Deserialize)]
struct Entry {
    rank: usize,
    token_bytes: String,
}

#[derive(Deserialize)]
struct Special {
    rank: usize,
    token_str: String,
}

/// Reads the file `path`, whose content is `bytes`, padded to `vocab_size`.
pub(super) fn read(
    path: &Path,
    bytes: &[u8],
    vocab_size: usize,
) -> Result<Tekken, VocabularyError> {
    let file: TekkenJson = files::parse_json(path, bytes)?;
    let entry = |place: String, expected: String, found: String| VocabularyError::Entry {
        path: path.to_owned(),
        place,
        expected,
        found,
    };
    let config = &file.config;
    if config.default_vocab_size > vocab_size {
        return Err(VocabularyError::TooManyTokens {
            path: path.to_owned(),
            expected: vocab_size,
            last: config.default_vocab_size - 1,
        });
    }
    let n_special = config.default_num_special_tokens;
    let rows = config.default_vocab_size.checked_sub(n_special);
    let Some(ranks) = rows.filter(|rows| (256..=file.vocab.len()).contains(rows)) else {
        return Err(entry(
            "`default_vocab_size`".to_owned(),
            format!(
                "{} to {} ({n_special} special tokens, 256 to {} others)",
                n_special.saturating_add(256),
                n_special.saturating_add(file.vocab.len()),
                file.vocab.len()
            ),
            config.default_vocab_size.to_string(),
        ));
    };

    let mut tokens = Tokens::padding(vocab_size)?;
    let special = special_texts(path, &file)?;
    let listed = decoded(path, &file.vocab[..ranks])?;
    let texts = listed.iter().map(|token| byte_text::written(token));
    let all = special.iter().cloned().chain(texts);
    for (id, (slot, text)) in tokens.0.iter_mut().zip(all).enumerate() {
        *slot = Token {
            text: text.into(),
            score: 0.0,
            ty: match id < n_special {
                true => TokenType::Control,
                false => TokenType::Normal,
            },
        };
    }
    let mut ids = Vec::new();
    for (kind, text) in [
        ("bos", "<s>"),
        ("eos", "</s>"),
        ("unk", "<unk>"),
        ("pad", "<pad>"),
    ] {
        let found = special.iter().position(|special| special == text);
        let Some(id) = found.and_then(|id| u32::try_from(id).ok()) else {
            return Err(entry(
                "`special_tokens`".to_owned(),
                format!("`{text}`"),
                "none".to_owned(),
            ));
        };
        ids.push((kind, id));
    }
    Ok(Tekken {
        tokens,
        merges: Ranks::new(path, &listed)?.all_merges()?,
        ids,
        pattern: file.config.pattern,
        version: file.config.version,
    })
}

/// The texts of all special tokens; those without a name have a number.
fn special_texts(path: &Path, file: &TekkenJson) -> Result<Vec<String>, VocabularyError> {
    let entry = |expected: String, found: String| VocabularyError::Entry {
        path: path.to_owned(),
        place: "`special_tokens`".to_owned(),
        expected,
        found,
    };
    let version = &file.config.version;
    let mut texts: Vec<String> = match &file.special_tokens {
        Some(list) => {
            for (index, special) in list.iter().enumerate() {
                if special.rank != index {
                    let expected = format!("rank {index} for `{}`", special.token_str);
                    return Err(entry(expected, special.rank.to_string()));
                }
            }
            list.iter()
                .map(|special| special.token_str.clone())
                .collect()
        }
        None => {
            let number = version
                .strip_prefix('v')
                .and_then(|v| v.parse::<u32>().ok());
            if number.is_none_or(|number| number > LAST_WITHOUT_LIST) {
                let expected = format!("a list in a file of version `{version}`");
                return Err(entry(expected, "none".to_owned()));
            }
            UNLISTED.map(str::to_owned).to_vec()
        }
    };
    let all = file.config.default_num_special_tokens;
    if texts.len() > all {
        return Err(entry(
            format!("at most {all} of them"),
            texts.len().to_string(),
        ));
    }
    texts.extend((texts.len()..all).map(|number| format!("<SPECIAL_{number}>")));
    Ok(texts)
}

/// The bytes of the tokens, which are in the order of their ranks and begin with the single bytes.
fn decoded(path: &Path, vocab: &[Entry]) -> Result<Vec<Vec<u8>>, VocabularyError> {
    let entry = |index: usize, expected: String, found: String| VocabularyError::Entry {
        path: path.to_owned(),
        place: format!("`vocab`, entry {index}"),
        expected,
        found,
    };
    let decode = |(index, token): (usize, &Entry)| {
        if token.rank != index {
            let expected = format!("rank {index}");
            return Err(entry(index, expected, token.rank.to_string()));
        }
        let bytes = STANDARD.decode(&token.token_bytes).map_err(|_| {
            entry(
                index,
                "base64".to_owned(),
                shown(token.token_bytes.as_bytes()),
            )
        })?;
        match u8::try_from(index) {
            Ok(byte) if bytes != [byte] => Err(entry(
                index,
                format!("the byte {byte}"),
                format!("{bytes:?}"),
            )),
            _ => Ok(bytes),
        }
    };
    vocab.iter().enumerate().map(decode).collect()
}
