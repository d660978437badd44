//! Why a config.json describes no model that we convert.

use serde_json::Value;

use crate::gguf::shown;

/// A config.json that does not describe a model we convert.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The model class is not one of ours.
    #[error(
        "config.json: `architectures` is {found}, expected one that `convert --list-architectures` prints{hint}"
    )]
    Architecture {
        /// What stands there.
        found: String,
        /// What may be meant; empty, or begins with a separator.
        hint: String,
    },
    /// A value is of the wrong type or out of range.
    #[error("config.json: `{key}` is {found}, expected {expected}")]
    Value {
        /// The key.
        key: String,
        /// What stands there.
        found: String,
        /// What should.
        expected: String,
    },
    /// A key without which there is no model is missing.
    #[error(
        "config.json: `{key}` is missing, and there is no model without it; is the file whole?"
    )]
    Missing {
        /// The key.
        key: &'static str,
    },
    /// A key without which a tensor has no shape is missing.
    #[error(
        "config.json: {key} is missing, and the shape of `{tensor}` hangs on it; is the file whole?"
    )]
    MissingLength {
        /// The key, or several, in backticks.
        key: String,
        /// The tensor of the GGUF.
        tensor: &'static str,
    },
    /// The weights are quantized already.
    #[error(
        "config.json: the weights are quantized already (`quantization_config` names `{method}`), expected BF16, F16 or F32: take the model that it was made from"
    )]
    Quantized {
        /// The method named.
        method: String,
    },
}

impl ConfigError {
    /// The same of a key in the object `place`.
    pub(in crate::model) fn within(self, place: &str) -> Self {
        match self {
            Self::Value {
                key,
                found,
                expected,
            } => Self::Value {
                key: format!("{place}.{key}"),
                found,
                expected,
            },
            other => other,
        }
    }

    pub(in crate::model) fn value(key: &str, found: &Value, expected: impl Into<String>) -> Self {
        Self::Value {
            key: key.into(),
            found: match found {
                Value::Null => "missing".into(),
                found => shown(&found.to_string()),
            },
            expected: expected.into(),
        }
    }
}
