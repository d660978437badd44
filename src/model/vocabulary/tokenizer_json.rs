//! `tokenizer.json`: the file of the `tokenizers` library.

use std::{collections::HashMap, fmt, path::Path};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::Value;

use super::{VocabularyError, files};

/// The parts of the file that decide how text is split.
#[derive(Debug, Deserialize)]
pub(super) struct TokenizerJson {
    #[serde(default, deserialize_with = "null_as_empty")]
    pub(super) added_tokens: Vec<AddedToken>,
    #[serde(default)]
    pub(super) normalizer: Value,
    #[serde(default)]
    pub(super) pre_tokenizer: Value,
    #[serde(default)]
    pub(super) post_processor: Value,
    pub(super) model: Model,
}

/// The parts that tell what the special tokens are and where they go. They are read even where the
/// pieces come from another file.
#[derive(Debug, Deserialize)]
pub(super) struct Surroundings {
    #[serde(default, deserialize_with = "null_as_empty")]
    pub(super) added_tokens: Vec<AddedToken>,
    #[serde(default)]
    pub(super) normalizer: Value,
    #[serde(default)]
    pub(super) post_processor: Value,
}

/// A token that is matched as a whole before the model sees the text.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct AddedToken {
    pub(super) id: u32,
    pub(super) content: String,
    #[serde(default)]
    pub(super) special: bool,
    /// Whether it is looked for in the normalized text.
    #[serde(default)]
    pub(super) normalized: bool,
}

/// A BPE model.
#[derive(Debug, Deserialize)]
pub(super) struct Model {
    #[serde(default)]
    pub(super) unk_token: Option<String>,
    #[serde(default)]
    pub(super) continuing_subword_prefix: Option<String>,
    #[serde(default)]
    pub(super) end_of_word_suffix: Option<String>,
    #[serde(default)]
    pub(super) byte_fallback: bool,
    /// Whether a word that is in the vocabulary is taken without looking at the merges.
    #[serde(default)]
    pub(super) ignore_merges: bool,
    pub(super) vocab: Vocab,
    pub(super) merges: Vec<Merge>,
}

/// Texts and their ids, in the order of the file.
#[derive(Debug)]
pub(super) struct Vocab(pub(super) Vec<(String, u32)>);

/// Two pieces that become one.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "a merge, written `\"a b\"` or `[\"a\", \"b\"]`")]
pub(super) enum Merge {
    /// As written since 2024, which allows spaces in pieces.
    Pair(String, String),
    /// As written before.
    Joined(String),
}

impl Merge {
    /// The two pieces, or `None` if this is not a merge of two.
    pub(super) fn pieces(&self) -> Option<(&str, &str)> {
        match self {
            Self::Pair(left, right) => Some((left, right)),
            Self::Joined(joined) => joined
                .split_once(' ')
                .filter(|(_, right)| !right.contains(' ')),
        }
    }
}

/// As much of the file as tells whether the rest is worth reading.
#[derive(Deserialize)]
struct Probe {
    model: ModelProbe,
}

#[derive(Deserialize)]
struct ModelProbe {
    #[serde(default, rename = "type")]
    kind: Option<String>,
}

/// Reads the file, or gives `None` if there is none. A model that is not BPE is refused by name.
pub(super) fn read(path: &Path) -> Result<Option<TokenizerJson>, VocabularyError> {
    let Some(bytes) = files::read(path)? else {
        return Ok(None);
    };
    let probe: Probe = files::parse_json(path, &bytes)?;
    // Files of 2019 do not name the model; all of them are BPE.
    if let Some(kind) = probe.model.kind.filter(|kind| kind != "BPE") {
        return Err(VocabularyError::Unsupported {
            path: path.to_owned(),
            found: format!("a {kind} model"),
            expected: "a BPE model",
        });
    }
    files::parse_json(path, &bytes).map(Some)
}

impl TokenizerJson {
    /// The rest of the file once the tokens are read.
    pub(super) fn into_surroundings(self) -> Surroundings {
        let Self {
            added_tokens,
            normalizer,
            post_processor,
            ..
        } = self;
        Surroundings {
            added_tokens,
            normalizer,
            post_processor,
        }
    }

    /// The texts of the model, by id: `None` where an id is free. Fails on ids past `vocab_size`
    /// and on an id that two texts have.
    pub(super) fn texts(
        &self,
        path: &Path,
        vocab_size: usize,
    ) -> Result<Vec<Option<&str>>, VocabularyError> {
        let mut texts = vec![None; vocab_size];
        for (text, id) in &self.model.vocab.0 {
            place(path, &mut texts, *id, text)?;
        }
        Ok(texts)
    }

    /// The ids of the model's texts. Fails if a text is there twice with different ids.
    pub(super) fn ids(&self, path: &Path) -> Result<HashMap<&str, u32>, VocabularyError> {
        let mut ids = HashMap::with_capacity(self.model.vocab.0.len());
        for (text, id) in &self.model.vocab.0 {
            if let Some(first) = ids.insert(text.as_str(), *id)
                && first != *id
            {
                return Err(VocabularyError::DuplicateText {
                    path: path.to_owned(),
                    text: text.clone(),
                    first: first.min(*id) as usize,
                    second: first.max(*id) as usize,
                });
            }
        }
        Ok(ids)
    }

    /// Fails if an added token is in the model as well, with another id.
    pub(super) fn check_added(&self, path: &Path) -> Result<(), VocabularyError> {
        let ids = self.ids(path)?;
        for token in &self.added_tokens {
            if let Some(id) = ids
                .get(token.content.as_str())
                .filter(|id| **id != token.id)
            {
                return Err(VocabularyError::DuplicateText {
                    path: path.to_owned(),
                    text: token.content.clone(),
                    first: token.id.min(*id) as usize,
                    second: token.id.max(*id) as usize,
                });
            }
        }
        Ok(())
    }

    /// Fails where the model has a setting that GGUF cannot express.
    pub(super) fn check_settings(&self, path: &Path) -> Result<(), VocabularyError> {
        let settings = [
            (
                "continuing_subword_prefix",
                &self.model.continuing_subword_prefix,
            ),
            ("end_of_word_suffix", &self.model.end_of_word_suffix),
        ];
        for (name, value) in settings {
            if let Some(value) = value.as_deref().filter(|value| !value.is_empty()) {
                return Err(VocabularyError::Unsupported {
                    path: path.to_owned(),
                    found: format!("a BPE model with `{name}` `{value}`"),
                    expected: "one without",
                });
            }
        }
        Ok(())
    }
}

/// Puts `text` at `id`, which must be free or have that very text already.
pub(super) fn place<'a>(
    path: &Path,
    texts: &mut [Option<&'a str>],
    id: u32,
    text: &'a str,
) -> Result<(), VocabularyError> {
    let id = id as usize;
    let vocab_size = texts.len();
    let Some(slot) = texts.get_mut(id) else {
        return Err(VocabularyError::TooManyTokens {
            path: path.to_owned(),
            expected: vocab_size,
            last: id,
        });
    };
    match slot.replace(text) {
        Some(first) if first != text => Err(VocabularyError::DuplicateId {
            path: path.to_owned(),
            id,
            first: first.to_owned(),
            second: text.to_owned(),
        }),
        _ => Ok(()),
    }
}

impl<'de> Deserialize<'de> for Vocab {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;

        impl<'de> Visitor<'de> for Entries {
            type Value = Vocab;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of texts to token ids")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vocab, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Vocab(entries))
            }
        }

        deserializer.deserialize_map(Entries)
    }
}

fn null_as_empty<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Ok(Option::<Vec<T>>::deserialize(deserializer)?.unwrap_or_default())
}
