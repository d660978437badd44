//! What a model's metadata says of the chats that it was made for.

use crate::{
    gguf::{KeyValues, Value},
    model::chat_template,
};

/// The prompt of a model's chats.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChatFormat {
    /// Its own chat template.
    pub template: Option<String>,
    /// The name of the built-in template that a Swallow model was made with: the merge's, or that of its
    /// dense parents.
    pub swallow: Option<&'static str>,
}

impl ChatFormat {
    /// That of a model with this metadata.
    pub fn of(key_values: &KeyValues) -> Self {
        let get = |key: &str| key_values.iter().find(|(k, _)| k == key).map(|(_, v)| v);
        let text = |key: &str| get(key).and_then(Value::as_str);
        let architecture = text("general.architecture").unwrap_or_default();
        let n_expert = get(&format!("{architecture}.expert_count")).and_then(Value::as_u64);
        let template = text("tokenizer.chat_template");
        Self {
            template: template.map(|text| chat_template::embedded(text).to_owned()),
            swallow: is_swallow(key_values).then_some(match n_expert {
                None | Some(0) => "swallow-instruct",
                Some(_) => "swallow",
            }),
        }
    }
}

/// Whether the model's name or one of its base models' says Swallow.
fn is_swallow(key_values: &KeyValues) -> bool {
    let names_a_model = |key: &str| {
        matches!(key, "general.name" | "general.basename")
            || (key.starts_with("general.base_model.") && key.ends_with(".name"))
    };
    let named = key_values.iter().filter(|(key, _)| names_a_model(key));
    let names: Vec<&str> = named.filter_map(|(_, value)| value.as_str()).collect();
    chat_template::is_swallow(&names)
}
