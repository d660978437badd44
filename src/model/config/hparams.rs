//! The values of config.json: by all names that they go by, and with the defaults of the class.

use std::ops::RangeInclusive;

use serde_json::{Map, Value, json};

use super::ConfigError;
use crate::model::{
    architecture::{Architecture, DefaultValue},
    rope::rope_object,
};

/// The largest size we take: far above any model, far below what overflows when multiplied.
const MAX_SIZE: u64 = 1 << 28;

/// The most layers we take, several times what llama.cpp does: what is kept for each of them before a
/// tensor is found to be missing takes no room.
const MAX_LAYERS: u64 = 1 << 12;

/// The longest list of numbers we read: as many as there may be layers, and more than any model has
/// rotary frequencies.
const MAX_LIST: usize = MAX_LAYERS as usize;

/// Other names of keys, as other model classes have them. They are read where ours are not there.
const ALIASES: [(&str, &[&str]); 7] = [
    ("hidden_size", &["n_embd"]),
    ("num_hidden_layers", &["n_layers", "n_layer", "num_layers"]),
    ("num_attention_heads", &["n_heads", "n_head"]),
    (
        "num_key_value_heads",
        &["n_kv_heads", "num_kv_heads", "n_head_kv"],
    ),
    ("intermediate_size", &["n_inner"]),
    ("num_local_experts", &["num_experts"]),
    ("num_experts_per_tok", &["num_experts_per_token"]),
];

/// What stands in a set of rotary parameters, and in older files beside it.
const OF_ROPE: [&str; 3] = [
    "rope_theta",
    "partial_rotary_factor",
    "original_max_position_embeddings",
];

/// config.json as the class of its model reads it: the language model's part of it, with what its
/// architecture takes for keys that are not there.
#[derive(Clone, Debug, PartialEq)]
pub struct Hparams(Map<String, Value>);

impl Hparams {
    pub(super) fn new(config: &Value, architecture: &Architecture) -> Self {
        let mut all = config.as_object().cloned().unwrap_or_default();
        // The language model of one that sees or hears.
        if let Some(Value::Object(text)) = all.remove("text_config") {
            all.extend(text);
        }
        for key in architecture.ignored {
            all.remove(*key);
        }
        // A set of rotary parameters goes before what stands beside it.
        if let Some((_, rope)) = rope_object(config) {
            for key in OF_ROPE {
                if let Some(value) = rope.get(key).filter(|value| !value.is_null()) {
                    all.insert(key.into(), value.clone());
                }
            }
        }
        let mut this = Self(all);
        for (key, default) in architecture.defaults.iter().copied().flatten() {
            this.fill(key, *default);
        }
        this
    }

    /// Puts a default in the place of what is absent or `null`.
    fn fill(&mut self, key: &'static str, default: DefaultValue) {
        let found = names(key).find_map(|name| self.0.get(name));
        let is_there = found.is_some_and(|value| !value.is_null());
        let is_set = |key: &str| self.0.get(key).and_then(Value::as_bool);
        let is_new = is_set("new_decoder_architecture") == Some(true);
        let is_multi_query = match default {
            DefaultValue::MultiQuery => !is_new && is_set("multi_query").unwrap_or(!is_there),
            _ => false,
        };
        if is_there && !is_multi_query {
            return;
        }
        let of = |key: &'static str| names(key).find_map(|name| self.0.get(name)?.as_u64());
        let value = match default {
            DefaultValue::IfAbsent(_) if found.is_some() => return,
            DefaultValue::Int(n) | DefaultValue::IfAbsent(n) => json!(n),
            DefaultValue::Float(x) => json!(x),
            DefaultValue::Bool(is) => json!(is),
            DefaultValue::HeadsIfNull if found.is_none() => return,
            DefaultValue::MultiQuery if is_multi_query => json!(1),
            DefaultValue::Heads | DefaultValue::HeadsIfNull | DefaultValue::MultiQuery => {
                match of("num_attention_heads") {
                    Some(heads) => json!(heads),
                    None => return,
                }
            }
            DefaultValue::HeadDim => match (of("hidden_size"), of("num_attention_heads")) {
                (Some(embd), Some(heads @ 1..)) => json!(embd / heads),
                _ => return,
            },
            DefaultValue::Times(key, n) => match of(key).and_then(|value| value.checked_mul(n)) {
                Some(product) => json!(product),
                None => return,
            },
        };
        self.0.insert(key.into(), value);
    }

    /// The first of some spellings of a key that is there and not `null`.
    pub fn find(&self, keys: &[&'static str]) -> Option<(&'static str, &Value)> {
        let there = |key: &&'static str| Some((*key, self.0.get(*key).filter(|v| !v.is_null())?));
        keys.iter().find_map(there)
    }

    /// The value of a key by any of its names, even where it is `null`.
    fn value_of(&self, key: &'static str) -> Option<(&'static str, &Value)> {
        names(key).find_map(|name| Some((name, self.0.get(name)?)))
    }

    /// A positive integer by any of a key's names; `None` where it is absent or `null`.
    pub(in crate::model) fn positive(&self, key: &'static str) -> Result<Option<u32>, ConfigError> {
        match self.value_of(key) {
            None | Some((_, Value::Null)) => Ok(None),
            Some((name, value)) => integer(name, value, 1..=most(key)).map(Some),
        }
    }

    /// An integer from 0 on, or a list that has the same for every layer, by the first spelling that is
    /// there.
    pub(in crate::model) fn u32(&self, keys: &[&'static str]) -> Result<Option<u32>, ConfigError> {
        let Some((key, value)) = self.find(keys) else {
            return Ok(None);
        };
        match value {
            Value::Array(all) if all.len() <= MAX_LIST => match &all[..] {
                [first, rest @ ..] if rest.iter().all(|other| other == first) => {
                    integer(key, first, 0..=MAX_SIZE).map(Some)
                }
                _ => {
                    let expected = "an integer, or a list with the same for every layer";
                    Err(ConfigError::value(key, value, expected))
                }
            },
            value => integer(key, value, 0..=MAX_SIZE).map(Some),
        }
    }

    /// A list of integers from 0 on; `None` where the key is absent or `null`.
    pub(in crate::model) fn u32s(
        &self,
        key: &'static str,
    ) -> Result<Option<Vec<u32>>, ConfigError> {
        match self.find(&[key]) {
            None => Ok(None),
            Some((_, Value::Array(all))) if all.len() <= MAX_LIST => all
                .iter()
                .map(|n| integer(key, n, 0..=MAX_SIZE))
                .collect::<Result<_, _>>()
                .map(Some),
            Some((_, value)) => Err(ConfigError::value(key, value, "a list of integers")),
        }
    }

    /// A finite number by the first spelling that is there.
    pub(in crate::model) fn f32(&self, keys: &[&'static str]) -> Result<Option<f32>, ConfigError> {
        Ok(self.f64(keys)?.map(|x| x as f32))
    }

    /// The same, as precise as it is written.
    pub(in crate::model) fn f64(&self, keys: &[&'static str]) -> Result<Option<f64>, ConfigError> {
        let Some((key, value)) = self.find(keys) else {
            return Ok(None);
        };
        match value.as_f64().filter(|x| (*x as f32).is_finite()) {
            Some(x) => Ok(Some(x)),
            None => Err(ConfigError::value(key, value, "a finite number")),
        }
    }

    /// A positive number; `None` where the key is absent or null.
    pub(super) fn positive_f32(&self, key: &'static str) -> Result<Option<f32>, ConfigError> {
        positive_f32_of(self.0.get(key), key)
    }

    /// A truth value by the first spelling that is there.
    pub(in crate::model) fn bool(
        &self,
        keys: &[&'static str],
    ) -> Result<Option<bool>, ConfigError> {
        match self.find(keys) {
            None => Ok(None),
            Some((_, Value::Bool(is))) => Ok(Some(*is)),
            Some((key, value)) => Err(ConfigError::value(key, value, "true or false")),
        }
    }

    /// Whether a key is there and neither `null`, false nor 0.
    pub(in crate::model) fn is_set(&self, key: &'static str) -> bool {
        let found = self.find(&[key]);
        found.is_some_and(|(_, value)| *value != json!(false) && value.as_f64() != Some(0.0))
    }

    /// A list of texts; `None` where the key is absent or `null`.
    pub(in crate::model) fn texts(
        &self,
        key: &'static str,
    ) -> Result<Option<Vec<&str>>, ConfigError> {
        let Some((_, value)) = self.find(&[key]) else {
            return Ok(None);
        };
        let all = value.as_array().filter(|all| all.len() <= MAX_LIST);
        let texts = all.and_then(|all| all.iter().map(Value::as_str).collect());
        match texts {
            Some(texts) => Ok(Some(texts)),
            None => Err(ConfigError::value(key, value, "a list of texts")),
        }
    }
}

/// All names of a key.
fn names(key: &'static str) -> impl Iterator<Item = &'static str> {
    let aliases = ALIASES.iter().find(|(ours, _)| *ours == key);
    let aliases = aliases.map_or(&[][..], |(_, aliases)| *aliases);
    std::iter::once(key).chain(aliases.iter().copied())
}

/// The largest value of a key.
fn most(key: &str) -> u64 {
    match key {
        "num_hidden_layers" => MAX_LAYERS,
        _ => MAX_SIZE,
    }
}

fn integer(key: &str, value: &Value, range: RangeInclusive<u64>) -> Result<u32, ConfigError> {
    match value.as_u64() {
        Some(n) if range.contains(&n) => Ok(n as u32),
        _ => {
            let expected = format!("an integer from {} to {}", range.start(), range.end());
            Err(ConfigError::value(key, value, expected))
        }
    }
}

/// A positive, finite number; `None` where the key is absent or null.
pub(in crate::model) fn positive_f32(
    object: &Value,
    key: &str,
) -> Result<Option<f32>, ConfigError> {
    positive_f32_of(object.get(key), key)
}

fn positive_f32_of(value: Option<&Value>, key: &str) -> Result<Option<f32>, ConfigError> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_f64().map(|x| x as f32) {
            Some(x) if x > 0.0 && x.is_finite() => Ok(Some(x)),
            _ => Err(ConfigError::value(key, value, "a positive number")),
        },
    }
}
