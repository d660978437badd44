//! The class of a model, by the name that config.json has for it.

use serde_json::Value;

use super::ConfigError;
use crate::{
    gguf::shown,
    model::{architecture::Architecture, families},
};

const MULTIMODAL: &str =
    "a model that sees or hears; its language model alone can be converted, saved by itself";

/// What classes are that are near ours, by a piece of their names.
const OTHERS: [(&str, &str); 13] = [
    ("Eagle", "a draft model, which guesses tokens for another"),
    ("Medusa", "a draft model, which guesses tokens for another"),
    ("ForConditionalGeneration", MULTIMODAL),
    ("Llava", MULTIMODAL),
    ("VLlama", MULTIMODAL),
    ("Mllama", MULTIMODAL),
    (
        "ForSequenceClassification",
        "a model that gives scores, not text",
    ),
    (
        "ForTokenClassification",
        "a model that gives scores, not text",
    ),
    ("RewardModel", "a model that gives scores, not text"),
    ("Bidirectional", "a model for embeddings, not text"),
    (
        "ForQuestionAnswering",
        "a model that marks answers, and writes none",
    ),
    ("Llama4", "another architecture than Llama"),
    ("Mistral3", "another architecture than Mistral"),
];

/// The family of the model that config.json describes.
pub(super) fn architecture(config: &Value) -> Result<&'static Architecture, ConfigError> {
    let named = config
        .get("architectures")
        .and_then(|a| a.get(0))
        .and_then(Value::as_str);
    named
        .and_then(families::of_class)
        .ok_or_else(|| ConfigError::Architecture {
            found: match named {
                Some(name) => format!("`{}`", shown(name)),
                None => "missing".to_owned(),
            },
            hint: match named {
                Some(name) => class_hint(name),
                None => no_class_hint(config),
            },
        })
}

/// Bytes of the longest name of a class that is compared with ours.
const MAX_CLASS_NAME: usize = 100;

/// What a class is that is none of ours.
fn class_hint(name: &str) -> String {
    let mut others = OTHERS.iter();
    if let Some((_, what)) = others.find(|(piece, _)| name.contains(piece)) {
        return format!("; it is {what}");
    }
    if name.len() > MAX_CLASS_NAME {
        return String::new();
    }
    let name = name.to_lowercase();
    let far = |ours: &str| strsim::damerau_levenshtein(&ours.to_lowercase(), &name);
    let classes = families::ALL.iter().flat_map(|family| family.classes);
    let nearest = classes.min_by_key(|ours| far(ours));
    match nearest {
        Some(ours) if far(ours) < 4 => format!("; is `{ours}` meant?"),
        _ => "; llama.cpp's own converter knows more".into(),
    }
}

/// What a config.json is that names no class.
fn no_class_hint(config: &Value) -> String {
    let text = |key: &str| config.get(key).and_then(Value::as_str);
    let class = match text("model_type") {
        Some(model_type) => match families::of_model_type(model_type) {
            Some(family) => family.classes.first().copied().unwrap_or_default(),
            None => return format!("; its `model_type` is `{}`", shown(model_type)),
        },
        None => {
            return match text("error") {
                Some(error) => format!("; the file is the answer of a server: `{}`", shown(error)),
                None => String::new(),
            };
        }
    };
    format!("; its `model_type` asks for `\"architectures\": [\"{class}\"]`")
}
