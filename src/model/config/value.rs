//! Values of config.json, by all names that they go by.

use serde_json::Value;

use super::ConfigError;

/// The largest size we take: far above any model, far below what overflows when multiplied.
const MAX_SIZE: u64 = 1 << 28;

/// Other names of keys, as other model classes have them. They are read where ours are not there.
const ALIASES: [(&str, &[&str]); 7] = [
    ("hidden_size", &["n_embd"]),
    ("num_hidden_layers", &["n_layers", "n_layer", "num_layers"]),
    ("num_attention_heads", &["n_heads", "n_head"]),
    ("num_key_value_heads", &["n_kv_heads"]),
    ("intermediate_size", &["n_inner"]),
    ("num_local_experts", &["num_experts"]),
    ("num_experts_per_tok", &["num_experts_per_token"]),
];

/// The value of a key, and the name under which it is there.
pub(super) fn value_of<'a>(object: &'a Value, key: &'a str) -> Option<(&'a str, &'a Value)> {
    let aliases = ALIASES.iter().find(|(ours, _)| *ours == key);
    let aliases = aliases.map_or(&[][..], |(_, aliases)| *aliases);
    let mut names = std::iter::once(key).chain(aliases.iter().copied());
    names.find_map(|name| object.get(name).map(|value| (name, value)))
}

/// A positive integer; `None` where the key is absent or null.
pub(super) fn positive(object: &Value, key: &str) -> Result<Option<u32>, ConfigError> {
    match value_of(object, key) {
        None | Some((_, Value::Null)) => Ok(None),
        Some((name, value)) => match value.as_u64() {
            Some(n @ 1..=MAX_SIZE) => Ok(Some(n as u32)),
            _ => {
                let expected = format!("an integer from 1 to {MAX_SIZE}");
                Err(ConfigError::value(name, value, expected))
            }
        },
    }
}

/// A positive, finite number; `None` where the key is absent or null.
pub(in crate::model) fn positive_f32(
    object: &Value,
    key: &str,
) -> Result<Option<f32>, ConfigError> {
    match object.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_f64().map(|x| x as f32) {
            Some(x) if x > 0.0 && x.is_finite() => Ok(Some(x)),
            _ => Err(ConfigError::value(key, value, "a positive number")),
        },
    }
}
