//! What a config.json says of rotary positions, in the words of transformers 4 or 5.

use serde_json::{Map, Value as Json, json};

/// The places of a config.json that speak of them.
const PLACES: [&str; 2] = ["rope_parameters", "rope_scaling"];

/// Base and scaling of rotary frequencies, as they are written.
#[derive(Debug, PartialEq)]
pub(super) struct Rope {
    /// `rope_theta`, where it is there.
    pub(super) theta: Option<Json>,
    /// The kind of scaling; `default` for none.
    pub(super) kind: Json,
    /// What else belongs to the scaling.
    pub(super) scaling: Map<String, Json>,
}

impl Rope {
    pub(super) fn of(config: &Json) -> Self {
        let there = |value: &&Json| !value.is_null();
        let parameters = config
            .get("rope_parameters")
            .and_then(|rope| rope.get("rope_theta"));
        let theta = parameters.filter(there).or(config.get("rope_theta"));
        let mut scaling = PLACES
            .iter()
            .find_map(|key| config.get(*key)?.as_object().cloned())
            .unwrap_or_default();
        scaling.remove("rope_theta");
        let kind = scaling.remove("type").or(scaling.remove("rope_type"));
        let kind = kind.filter(|kind| !kind.is_null());
        let kind = kind.unwrap_or_else(|| json!("default"));
        // Some keep the context before scaling outside.
        let original = "original_max_position_embeddings";
        if kind != json!("default")
            && !scaling.contains_key(original)
            && let Some(context) = config.get(original)
        {
            scaling.insert(original.into(), context.clone());
        }
        Self {
            theta: theta.filter(there).cloned(),
            kind,
            scaling,
        }
    }

    /// Whether positions are scaled.
    pub(super) fn is_scaled(&self) -> bool {
        self.kind != json!("default")
    }

    /// The scaling for people, the same for the same scaling: `linear (factor 2)`.
    pub(super) fn shown(&self) -> String {
        if !self.is_scaled() {
            return "none".to_owned();
        }
        let plain = |value: &Json| match (value.as_str(), value.as_f64()) {
            (Some(text), _) => text.to_owned(),
            (_, Some(number)) => number.to_string(),
            _ => value.to_string(),
        };
        let mut scaling: Vec<String> = self
            .scaling
            .iter()
            .map(|(key, value)| format!("{key} {}", plain(value)))
            .collect();
        scaling.sort();
        format!("`{} ({})`", plain(&self.kind), scaling.join(", "))
    }

    /// `config` without a word of this.
    pub(super) fn left_out(config: &Json) -> Json {
        let mut config = config.clone();
        if let Json::Object(keys) = &mut config {
            for key in PLACES.iter().chain(&["rope_theta"]) {
                keys.remove(*key);
            }
        }
        config
    }
}
