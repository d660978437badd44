//! A recipe: everything a tiny checkpoint of a family is made of, but for the weights.

use std::{collections::BTreeMap, fs, path::PathBuf};

use serde::Deserialize;
use serde_json::Value as Json;

/// `recipes/NAME.json`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Recipe {
    /// Of the weights.
    pub(super) seed: u64,
    /// What a checkpoint of this family has for `tokenizer.ggml.pre`. llama.cpp's converter knows a
    /// tokenizer by a hash of what it does, and none of ours.
    pub(super) pre: Option<String>,
    /// config.json.
    pub(super) config: Json,
    pub(super) tokenizer: Tokenizer,
    /// Other small files.
    #[serde(default)]
    pub(super) files: BTreeMap<String, Json>,
    /// From and to (exclusive) of the letters in the tensors' names: `l` for layers, `e` for experts.
    pub(super) ranges: BTreeMap<char, [usize; 2]>,
    pub(super) tensors: Vec<Pattern>,
}

/// How text becomes tokens.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Tokenizer {
    /// tokenizer.model.
    Spm {
        vocab_size: usize,
        /// Pieces that are wanted, after the special ones and the bytes.
        #[serde(default)]
        words: Vec<String>,
    },
    /// tokenizer.json with the 256 bytes and some pairs of them.
    Bpe(Box<Bpe>),
    /// Ranks of byte strings, one a line, as tiktoken has them; the value is the file's name.
    Ranks { file: String, merges: usize },
}

/// A byte-level tokenizer.json.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Bpe {
    pub(super) merges: usize,
    /// Merges as arrays of two, as newer versions of tokenizers write them, instead of one string.
    #[serde(default)]
    pub(super) pairs: bool,
    /// Added tokens that stand before the bytes, and also in the vocabulary itself.
    #[serde(default)]
    pub(super) first: Vec<Added>,
    /// Added tokens after all others.
    #[serde(default)]
    pub(super) last: Vec<Added>,
    #[serde(default)]
    pub(super) normalizer: Json,
    pub(super) pre_tokenizer: Json,
    #[serde(default)]
    pub(super) post_processor: Json,
    #[serde(default)]
    pub(super) ignore_merges: bool,
}

/// An added token: its text if it is special, or the text and what it is.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Added {
    Special(String),
    Other(String, Flags),
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Flags {
    pub(super) special: bool,
    pub(super) normalized: bool,
    pub(super) lstrip: bool,
    pub(super) rstrip: bool,
}

/// Tensors of one kind: `model.layers.{l}.mlp.up_proj.weight`.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Pattern {
    Plain(String, Vec<usize>),
    Other(String, Vec<usize>, Options),
}

#[derive(Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Options {
    /// Ranges of this kind, where they are not the recipe's.
    pub(super) ranges: BTreeMap<char, [usize; 2]>,
    pub(super) dtype: String,
    /// What every weight is, instead of a random number.
    pub(super) fill: Option<f32>,
    /// Times the usual size.
    pub(super) scale: f32,
    /// So many of the first rows are small: tokens that are never the most likely.
    pub(super) quiet: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            ranges: BTreeMap::new(),
            dtype: "BF16".to_owned(),
            fill: None,
            scale: 1.0,
            quiet: 0,
        }
    }
}

/// One tensor of the checkpoint.
pub(super) struct Tensor {
    pub(super) name: String,
    pub(super) shape: Vec<usize>,
    pub(super) options: Options,
}

impl Recipe {
    pub(super) fn folder() -> PathBuf {
        PathBuf::from(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/families/recipes"
        ))
    }

    pub(super) fn read(name: &str) -> Self {
        Self::edited(name, |_| {})
    }

    /// One that is changed before it is followed.
    pub(super) fn edited(name: &str, edit: impl FnOnce(&mut Json)) -> Self {
        let path = Self::folder().join(name).with_extension("json");
        let text = fs::read_to_string(&path).unwrap();
        let mut json = serde_json::from_str(&text).unwrap();
        edit(&mut json);
        serde_json::from_value(json).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// The model class, as config.json has it.
    pub(super) fn class(&self) -> &str {
        self.config["architectures"][0].as_str().unwrap()
    }

    /// Every tensor, in the order of the recipe.
    pub(super) fn tensors(&self) -> Vec<Tensor> {
        let expand = |pattern: &Pattern| {
            let (name, shape, options) = match pattern {
                Pattern::Plain(name, shape) => (name, shape, Options::default()),
                Pattern::Other(name, shape, options) => (name, shape, options.clone()),
            };
            let ranges = self.ranges.iter().chain(&options.ranges);
            let ranges: BTreeMap<_, _> = ranges.collect();
            let mut names = vec![name.clone()];
            for (letter, [from, to]) in ranges {
                let place = format!("{{{letter}}}");
                if name.contains(&place) {
                    let each = |name: String| {
                        (*from..*to)
                            .map(|i| name.replace(&place, &i.to_string()))
                            .collect::<Vec<_>>()
                    };
                    names = names.into_iter().flat_map(each).collect();
                }
            }
            let tensor = |name| Tensor {
                name,
                shape: shape.clone(),
                options: options.clone(),
            };
            names.into_iter().map(tensor).collect::<Vec<_>>()
        };
        self.tensors.iter().flat_map(expand).collect()
    }
}
