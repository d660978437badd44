//! Mappings whose keys are known, and their values by kind.

use std::{path::Path, str::FromStr};

use serde_yaml_ng::{Mapping, Value};

use super::{RecipeError, foreign};
use crate::{gguf::escape, nearest, source::Dtype};

/// Letters of a text of the recipe that a message shows.
const SHOWN: usize = 60;

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
            let such = known.first().copied().unwrap_or_default();
            let expected = format!("keys with values, such as `{such}: ./folder`");
            return Err(reader.value(key, value, expected));
        };
        let table = Self {
            reader,
            place: place.to_owned(),
            mapping,
        };
        for key in mapping.keys() {
            match key {
                Value::String(name) if known.contains(&name.as_str()) => {}
                Value::String(name) => return Err(table.unknown(name, known)),
                other => return Err(table.unknown(&shown(other), known)),
            }
        }
        Ok(table)
    }

    /// A mapping at `place` of the same recipe.
    pub(super) fn within(
        &self,
        place: &str,
        value: &'a Value,
        known: &[&str],
    ) -> Result<Self, RecipeError> {
        Self::new(self.reader, place, value, known)
    }

    fn unknown(&self, name: &str, known: &[&str]) -> RecipeError {
        if let Some(reason) = foreign::reason(self.place.is_empty(), name) {
            return self.refused_for(name, reason);
        }
        RecipeError::UnknownKey {
            path: self.reader.path.into(),
            key: format!("{}{}", self.place, cut(name)),
            hint: match nearest::of(name, known.iter().copied()) {
                Some(key) => format!(", did you mean `{key}`?"),
                None => format!(", expected one of {}", known.join(", ")),
            },
        }
    }

    /// A key that is known and not taken, whatever its value.
    pub(super) fn refused(&self, key: &str) -> RecipeError {
        let reason = foreign::reason(self.place.is_empty(), key);
        self.refused_for(key, reason.unwrap_or("take it out"))
    }

    fn refused_for(&self, key: &str, reason: &'static str) -> RecipeError {
        RecipeError::Refused {
            path: self.reader.path.into(),
            key: format!("{}{key}", self.place),
            reason,
        }
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

    /// A model: a text, or in the long words of mergekit `model: {path: …, revision: …}`.
    pub(super) fn model(&self, key: &str) -> Result<String, RecipeError> {
        const EXPECTED: &str = "a model: a folder, or `hf:ORG/NAME`";
        let fail = |found: &Value| Err(self.error(key, found, EXPECTED));
        match self.get(key) {
            Some(Value::String(text)) if !text.trim().is_empty() => Ok(text.trim().to_owned()),
            Some(Value::Mapping(_)) => {
                let place = format!("{}{key}.", self.place);
                let keys = ["model", "path", "revision", "lora", "override_architecture"];
                let value = self.get(key).unwrap_or(&Value::Null);
                let long = Self::new(self.reader, &place, value, &keys)?;
                if long.get("lora").is_some() {
                    return Err(long.refused("lora"));
                }
                if long.get("override_architecture").is_some() {
                    let reason = "the class is that of the model's config.json; take it out";
                    return Err(long.refused_for("override_architecture", reason));
                }
                match long.get("model") {
                    Some(_) => long.model("model"),
                    None => {
                        let path = long.model("path")?;
                        let revision = long.text("revision")?;
                        Ok(revision.map_or(path.clone(), |revision| format!("{path}@{revision}")))
                    }
                }
            }
            found => fail(found.unwrap_or(&Value::Null)),
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
        // As people write them, too.
        let name = match text.as_str() {
            "bf16" => "bfloat16",
            "fp16" | "f16" | "half" => "float16",
            "fp32" | "f32" | "float" => "float32",
            name => name,
        };
        match Dtype::from_torch_name(name) {
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
        let fail = |found: String| {
            Err(RecipeError::Value {
                path: self.reader.path.into(),
                key: format!("{}{key}", self.place),
                found,
                expected: format!("a number from 1 to {n}, the number of experts"),
            })
        };
        match self.get(key) {
            None if n >= 2 => Ok(2),
            None => fail("missing, and so 2".to_owned()),
            Some(value) => match plain_number(value) {
                Some(count) if count.fract() == 0.0 && (1.0..=n as f64).contains(&count) => {
                    Ok(count as u32)
                }
                _ => fail(shown(value)),
            },
        }
    }

    pub(super) fn number(&self, key: &str, least: f32) -> Result<Option<f32>, RecipeError> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        match plain_number(value).map(|x| x as f32) {
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
            Some(other) => return Err(self.error(key, other, "a list of texts, `- …` each")),
        };
        let text = |(i, item): (usize, &Value)| match item {
            Value::String(text) => Ok(text.clone()),
            other => Err(self.error(
                &format!("{key}[{i}]"),
                other,
                "a text; one with a colon, or of digits, stands in quotes",
            )),
        };
        list.iter().enumerate().map(text).collect()
    }
}

/// A number, as mergekit takes it: in quotes, too.
fn plain_number(value: &Value) -> Option<f64> {
    match value {
        Value::String(text) => text.trim().parse().ok(),
        other => other.as_f64(),
    }
}

/// The beginning of a text, as a message shows it.
pub(super) fn cut(text: &str) -> String {
    let begins: String = text.chars().take(SHOWN).collect();
    let dots = if begins.len() < text.len() { "…" } else { "" };
    escape(begins.as_bytes()) + dots
}

/// A value as a message shows it.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "missing".into(),
        Value::Bool(b) => format!("`{b}`"),
        Value::Number(n) => format!("`{n}`"),
        Value::String(text) => format!("`{}`", cut(text)),
        Value::Sequence(list) if list.is_empty() => "an empty list".into(),
        Value::Sequence(_) => "a list".into(),
        Value::Mapping(_) | Value::Tagged(_) => "a mapping".into(),
    }
}
