//! Mappings whose keys are known, and their values by kind.

use std::{path::Path, str::FromStr};

use serde_yaml_ng::{Mapping, Value};

use super::RecipeError;
use crate::source::Dtype;

/// Keys of other recipes of mergekit's, and of its outputs that are not Mixtral.
const REFUSED: [(&str, &str); 8] = [
    (
        "shared_experts",
        "it has no shared experts, name them under `experts`",
    ),
    (
        "merge_method",
        "that is a recipe of mergekit-yaml, expected one of mergekit-moe",
    ),
    (
        "models",
        "that is a recipe of mergekit-yaml, expected one of mergekit-moe",
    ),
    (
        "slices",
        "that is a recipe of mergekit-yaml, expected one of mergekit-moe",
    ),
    (
        "parameters",
        "that is a recipe of mergekit-yaml, expected one of mergekit-moe",
    ),
    ("out_dtype", "write `dtype`"),
    ("tokenizer", "write `tokenizer_source: base` or `union`"),
    ("chat_template", "give it as `--chat-template`"),
];

/// Names the file in messages.
pub(super) struct Reader<'a> {
    pub(super) path: &'a Path,
}

impl Reader<'_> {
    pub(super) fn value(
        &self,
        key: &str,
        found: &Value,
        expected: impl Into<String>,
    ) -> RecipeError {
        RecipeError::Value {
            path: self.path.into(),
            key: key.into(),
            found: shown(found),
            expected: expected.into(),
        }
    }

    /// A key that is known but not taken, whatever its value.
    pub(super) fn refused(&self, key: &str, value: &Value) -> RecipeError {
        let reason = REFUSED.iter().find(|(k, _)| *k == key);
        match reason {
            Some((_, reason)) => RecipeError::Refused {
                path: self.path.into(),
                key: key.into(),
                reason,
            },
            None => self.value(key, value, "nothing"),
        }
    }
}

/// A mapping whose keys are known.
pub(super) struct Table<'a> {
    reader: &'a Reader<'a>,
    /// What its keys are called in messages: `experts[1].`, or nothing.
    place: String,
    mapping: &'a Mapping,
}

impl<'a> Table<'a> {
    pub(super) fn new(
        reader: &'a Reader<'a>,
        place: &str,
        value: &'a Value,
        known: &[&str],
    ) -> Result<Self, RecipeError> {
        let Value::Mapping(mapping) = value else {
            let key = match place.trim_end_matches('.') {
                "" => "the recipe",
                place => place,
            };
            return Err(reader.value(key, value, "keys with values"));
        };
        for (key, value) in mapping {
            let name = match key {
                Value::String(name) if known.contains(&name.as_str()) => continue,
                Value::String(name) => name.clone(),
                other => shown(other),
            };
            if place.is_empty() && REFUSED.iter().any(|(k, _)| *k == name) {
                return Err(reader.refused(&name, value));
            }
            let nearest = known
                .iter()
                .map(|k| (strsim::damerau_levenshtein(&name, k), k))
                .min_by_key(|(distance, _)| *distance)
                .filter(|(distance, k)| *distance <= k.len() / 3);
            return Err(RecipeError::UnknownKey {
                path: reader.path.into(),
                key: format!("{place}{name}"),
                hint: match nearest {
                    Some((_, key)) => format!(", did you mean `{key}`?"),
                    None => format!(", expected one of {}", known.join(", ")),
                },
            });
        }
        Ok(Self {
            reader,
            place: place.to_owned(),
            mapping,
        })
    }

    /// The value of a key; `None` where it is absent or null.
    pub(super) fn get(&self, key: &str) -> Option<&'a Value> {
        self.mapping.get(key).filter(|value| !value.is_null())
    }

    pub(super) fn error(
        &self,
        key: &str,
        found: &Value,
        expected: impl Into<String>,
    ) -> RecipeError {
        self.reader
            .value(&format!("{}{key}", self.place), found, expected)
    }

    pub(super) fn text(&self, key: &str) -> Result<Option<String>, RecipeError> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(other) => Err(self.error(key, other, "a text")),
        }
    }

    pub(super) fn required_text(&self, key: &str) -> Result<String, RecipeError> {
        match self.text(key)? {
            Some(text) if !text.is_empty() => Ok(text),
            found => {
                let found = found.map_or(Value::Null, Value::String);
                Err(self.error(key, &found, "a model: a folder, or `hf:ORG/NAME`"))
            }
        }
    }

    pub(super) fn parsed<T: FromStr<Err = String>>(
        &self,
        key: &str,
    ) -> Result<Option<T>, RecipeError> {
        let Some(text) = self.text(key)? else {
            return Ok(None);
        };
        let parsed = text
            .parse()
            .map_err(|expected: String| self.error(key, &Value::String(text.clone()), expected))?;
        Ok(Some(parsed))
    }

    pub(super) fn dtype(&self, key: &str) -> Result<Option<Dtype>, RecipeError> {
        let Some(text) = self.text(key)? else {
            return Ok(None);
        };
        match Dtype::from_torch_name(&text) {
            Some(dtype) => Ok(Some(dtype)),
            None => Err(self.error(
                key,
                &Value::String(text),
                "`bfloat16`, `float16` or `float32`",
            )),
        }
    }

    /// A number of experts, of `n` there are; 2 where the recipe does not say.
    pub(super) fn count(&self, key: &str, n: usize) -> Result<u32, RecipeError> {
        let two = Value::Number(2.into());
        let value = self.get(key).unwrap_or(&two);
        match value.as_u64() {
            Some(count) if (1..=n as u64).contains(&count) => Ok(count as u32),
            _ => {
                let expected = format!("a number from 1 to {n}, the number of experts");
                Err(self.error(key, value, expected))
            }
        }
    }

    pub(super) fn number(&self, key: &str, least: f32) -> Result<Option<f32>, RecipeError> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        match value.as_f64().map(|x| x as f32) {
            Some(x) if x.is_finite() && x >= least => Ok(Some(x)),
            _ => Err(self.error(
                key,
                value,
                match least {
                    0.0 => "a number, 0 or more",
                    _ => "a number",
                },
            )),
        }
    }

    pub(super) fn texts(&self, key: &str) -> Result<Vec<String>, RecipeError> {
        let list = match self.get(key) {
            None => return Ok(Vec::new()),
            Some(Value::Sequence(list)) => list,
            Some(other) => return Err(self.error(key, other, "a list of texts")),
        };
        list.iter()
            .map(|item| match item {
                Value::String(text) => Ok(text.clone()),
                other => Err(self.error(key, other, "a list of texts")),
            })
            .collect()
    }
}

/// A value as a message shows it.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "missing".into(),
        Value::Bool(b) => format!("`{b}`"),
        Value::Number(n) => format!("`{n}`"),
        Value::String(text) => format!("`{text}`"),
        Value::Sequence(list) if list.is_empty() => "an empty list".into(),
        Value::Sequence(_) => "a list".into(),
        Value::Mapping(_) | Value::Tagged(_) => "a mapping".into(),
    }
}
