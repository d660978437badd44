//! The model classes: their names, and what each takes for keys that config.json leaves out.

use serde_json::Value;

use super::ConfigError;
use crate::gguf::shown;

/// The model classes we convert. All three are `llama` to llama.cpp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelClass {
    /// `LlamaForCausalLM`
    Llama,
    /// `MistralForCausalLM`
    Mistral,
    /// `MixtralForCausalLM`
    Mixtral,
}

const MULTIMODAL: &str =
    "a model that sees or hears; its language model alone can be converted, saved by itself";

/// What the model's class takes for a key that config.json leaves out (transformers 4.57).
pub(super) struct Defaults {
    pub(super) intermediate_size: u32,
    /// `None`: as many as there are heads.
    pub(super) num_key_value_heads: Option<u32>,
    pub(super) max_position_embeddings: u32,
    pub(super) rms_norm_eps: f32,
    pub(super) rope_theta: f32,
}

impl ModelClass {
    /// What `architectures` calls them: today's names, that of the first conversions of LLaMA, and
    /// the base classes, which are saved without the output matrix.
    const NAMES: [(&'static str, Self); 7] = [
        ("LlamaForCausalLM", Self::Llama),
        ("MistralForCausalLM", Self::Mistral),
        ("MixtralForCausalLM", Self::Mixtral),
        ("LLaMAForCausalLM", Self::Llama),
        ("LlamaModel", Self::Llama),
        ("MistralModel", Self::Mistral),
        ("MixtralModel", Self::Mixtral),
    ];

    /// What classes are that are near ours, by a piece of their names.
    const OTHERS: [(&'static str, &'static str); 13] = [
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

    pub(super) fn defaults(self) -> Defaults {
        match self {
            Self::Llama => Defaults {
                intermediate_size: 11008,
                num_key_value_heads: None,
                max_position_embeddings: 2048,
                rms_norm_eps: 1e-6,
                rope_theta: 1e4,
            },
            Self::Mistral => Defaults {
                intermediate_size: 14336,
                num_key_value_heads: Some(8),
                max_position_embeddings: 131_072,
                rms_norm_eps: 1e-6,
                rope_theta: 1e4,
            },
            Self::Mixtral => Defaults {
                intermediate_size: 14336,
                num_key_value_heads: Some(8),
                max_position_embeddings: 131_072,
                rms_norm_eps: 1e-5,
                rope_theta: 1e6,
            },
        }
    }
}

pub(super) fn model_class(config: &Value) -> Result<ModelClass, ConfigError> {
    let named = config
        .get("architectures")
        .and_then(|a| a.get(0))
        .and_then(Value::as_str);
    let known = |name: &str| {
        let mut names = ModelClass::NAMES.iter();
        names.find(|(n, _)| *n == name).map(|(_, class)| *class)
    };
    named
        .and_then(known)
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
    let mut others = ModelClass::OTHERS.iter();
    if let Some((_, what)) = others.find(|(piece, _)| name.contains(piece)) {
        return format!("; it is {what}");
    }
    if name.len() > MAX_CLASS_NAME {
        return String::new();
    }
    let name = name.to_lowercase();
    let far = |ours: &str| strsim::damerau_levenshtein(&ours.to_lowercase(), &name);
    let nearest = ModelClass::NAMES.iter().min_by_key(|(ours, _)| far(ours));
    match nearest {
        Some((ours, _)) if far(ours) < 4 => format!("; is `{ours}` meant?"),
        _ => "; llama.cpp's own converter knows more".into(),
    }
}

/// What a config.json is that names no class.
fn no_class_hint(config: &Value) -> String {
    let text = |key: &str| config.get(key).and_then(Value::as_str);
    let class = match text("model_type") {
        Some("llama") => "LlamaForCausalLM",
        Some("mistral") => "MistralForCausalLM",
        Some("mixtral") => "MixtralForCausalLM",
        Some(other) => return format!("; its `model_type` is `{}`", shown(other)),
        None => {
            return match text("error") {
                Some(error) => format!("; the file is the answer of a server: `{}`", shown(error)),
                None => String::new(),
            };
        }
    };
    format!("; its `model_type` asks for `\"architectures\": [\"{class}\"]`")
}
