//! Which of llama.cpp's pre-tokenizers splits text into words as a `tokenizer.json` says.
//!
//! llama.cpp's converter recognizes a tokenizer by the hash of the ids it gives to a certain text,
//! so a vocabulary it has never seen is unknown to it. We read the description itself, which is
//! the same in all tokenizers of a kind (`kinds`). Where llama.cpp has several names for one kind,
//! we choose the converter's if the vocabulary is one it knows (`vocabularies`), then the one that
//! checkpoints of the architecture have, then the plainest.

mod kinds;
mod names;
mod vocabularies;

use std::path::Path;

use serde_json::{Map, Value, json};

use self::kinds::Kind;
pub use self::names::{PreTokenizer, UnknownPreTokenizer};
use super::{
    VocabularyError,
    spm_json::{short, steps},
    tokenizer_json::TokenizerJson,
};

/// What has a say in the name, beside tokenizer.json.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Hints<'a> {
    /// The name that the user gives.
    pub(super) asked_for: Option<PreTokenizer>,
    /// The names that checkpoints of the architecture have, the likeliest first.
    pub(super) preferred: &'a [&'a str],
    /// tokenizer_config.json.
    pub(super) config: Option<&'a Map<String, Value>>,
}

/// The pre-tokenizer of `tokenizer`, read from `path`, and notes on what llama.cpp will do otherwise.
pub(super) fn detect(
    path: &Path,
    tokenizer: &TokenizerJson,
    hints: Hints<'_>,
) -> Result<(PreTokenizer, Vec<String>), VocabularyError> {
    let mut notes = Vec::new();
    for step in steps(&tokenizer.normalizer, "normalizers") {
        if step["type"] != "NFC" {
            return Err(VocabularyError::Unsupported {
                path: path.to_owned(),
                found: format!("the normalizer `{}`", short(step)),
                expected: "none, or NFC",
            });
        }
        notes.push(
            "tokenizer.json normalizes text (NFC), which llama.cpp's tokenizer does not".to_owned(),
        );
    }
    let kind = Kind::of(steps(&tokenizer.pre_tokenizer, "pretokenizers"));
    let described = kind.map(|kind| name(kind, tokenizer, hints));
    let Some(pre) = hints.asked_for.or(described) else {
        return Err(unknown(path, tokenizer, hints));
    };
    match kind {
        Some(kind) if kind.names().any(|name| name == pre) => {
            notes.extend(kind.otherwise.map(|otherwise| format!("{otherwise} (`{pre}`)")));
        }
        _ => notes.extend(described.map(|described| {
            format!(
                "the pre-tokenizer `{pre}` is written as asked for: tokenizer.json describes that of `{described}`"
            )
        })),
    }
    // llama.cpp knows this of a pre-tokenizer, not of a file.
    match (pre.ignores_merges(), tokenizer.model.ignore_merges) {
        (true, false) => notes.push(
            "llama.cpp takes every word that is in the vocabulary as one token (`ignore_merges`), which tokenizer.json does not ask for".to_owned(),
        ),
        (false, true) => notes.push(format!(
            "tokenizer.json asks for `ignore_merges`, which llama.cpp does not do with `{pre}`"
        )),
        _ => {}
    }
    Ok((pre, notes))
}

/// The pre-tokenizer whose words are the matches of `pattern`, which a file of ranks (`path`) has;
/// where that is unknown, the one asked for.
pub(super) fn of_pattern(
    path: &Path,
    pattern: &str,
    asked_for: Option<PreTokenizer>,
) -> Result<PreTokenizer, VocabularyError> {
    let steps = [
        json!({"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated"}),
        json!({"type": "ByteLevel", "add_prefix_space": false, "use_regex": false}),
    ];
    let described = Kind::of(&steps).map(|kind| kind.plainest);
    described
        .or(asked_for)
        .ok_or_else(|| VocabularyError::UnknownPreTokenizer {
            path: path.to_owned(),
            found: short(&steps[0]),
            usual: String::new(),
        })
}

/// The name of this kind that fits the tokenizer best.
fn name(kind: &Kind, tokenizer: &TokenizerJson, hints: Hints<'_>) -> PreTokenizer {
    let of_kind = |name: &str| kind.names().find(|pre| pre.name() == name);
    let ignore_merges = tokenizer.model.ignore_merges;
    vocabularies::find(tokenizer, hints.config, of_kind)
        .or_else(|| hints.preferred.iter().find_map(|name| of_kind(name)))
        .or_else(|| {
            kind.names()
                .find(|pre| pre.ignores_merges() == ignore_merges)
        })
        .unwrap_or(kind.plainest)
}

fn unknown(path: &Path, tokenizer: &TokenizerJson, hints: Hints<'_>) -> VocabularyError {
    let usual = match hints.preferred {
        [] => String::new(),
        names => format!(
            "; checkpoints of this architecture mostly have {}",
            names
                .iter()
                .map(|name| format!("`{name}`"))
                .collect::<Vec<_>>()
                .join(" or ")
        ),
    };
    VocabularyError::UnknownPreTokenizer {
        path: path.to_owned(),
        found: short(&tokenizer.pre_tokenizer),
        usual,
    }
}
