//! `config.json` → hyper-parameters, with the defaults of the model class where a key is missing.
//!
//! Both spellings are read: transformers 4 (`rope_theta`, `rope_scaling`, `torch_dtype`) and
//! transformers 5 (`rope_parameters`, `dtype`).

mod class;
mod value;

pub use class::ModelClass;
use class::model_class;
use serde_json::Value;
pub(super) use value::positive_f32;
use value::{positive, value_of};

use super::rope::{RopeScaling, rope_object};
use crate::gguf::shown;

/// The hyper-parameters that shape a model and its metadata.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig {
    /// The class named in `architectures`.
    pub class: ModelClass,
    /// Number of transformer blocks.
    pub n_layer: u32,
    /// Width of the residual stream.
    pub n_embd: u32,
    /// Width of one feed-forward network.
    pub n_ff: u32,
    /// Attention heads.
    pub n_head: u32,
    /// Key and value heads.
    pub n_head_kv: u32,
    /// Width of a head.
    pub head_dim: u32,
    /// Whether the width of a head is written as `attention.key_length`.
    pub head_dim_is_explicit: bool,
    /// Entries of the vocabulary.
    pub n_vocab: u32,
    /// Longest context the model was made for.
    pub n_ctx: u32,
    /// Epsilon of the RMS norms.
    pub rms_eps: f32,
    /// Base of the rotary frequencies.
    pub rope_theta: f32,
    /// How positions beyond the original context are scaled.
    pub rope_scaling: RopeScaling,
    /// `(experts, experts used per token)` of a Mixture-of-Experts model.
    pub experts: Option<(u32, u32)>,
    /// Whether the output matrix is the token embedding.
    pub tied: bool,
}

/// A config.json that does not describe a model we convert.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The model class is not one of ours.
    #[error(
        "config.json: `architectures` is {found}, expected `MixtralForCausalLM`, `LlamaForCausalLM` or `MistralForCausalLM`{hint}"
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
    pub(super) fn within(self, place: &str) -> Self {
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

    pub(super) fn value(key: &str, found: &Value, expected: impl Into<String>) -> Self {
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

impl ModelConfig {
    /// Reads the hyper-parameters from a parsed config.json.
    ///
    /// # Errors
    /// When the class is not one of ours, or a value is missing, of the wrong type or impossible.
    pub fn from_json(config: &Value) -> Result<Self, ConfigError> {
        let class = model_class(config)?;
        let defaults = class.defaults();
        refuse_quantized(config)?;

        let n_embd = positive(config, "hidden_size")?.ok_or(missing("hidden_size"))?;
        let n_layer = positive(config, "num_hidden_layers")?.ok_or(missing("num_hidden_layers"))?;
        let n_head =
            positive(config, "num_attention_heads")?.ok_or(missing("num_attention_heads"))?;
        let n_head_kv = match value_of(config, "num_key_value_heads") {
            None => defaults.num_key_value_heads.unwrap_or(n_head),
            Some(_) => positive(config, "num_key_value_heads")?.unwrap_or(n_head),
        };
        if !n_head.is_multiple_of(n_head_kv) {
            return Err(ConfigError::value(
                "num_key_value_heads",
                &n_head_kv.into(),
                format!("a divisor of num_attention_heads, {n_head}"),
            ));
        }
        let explicit_head_dim = positive(config, "head_dim")?;
        let head_dim = match explicit_head_dim {
            Some(d) => d,
            None if n_embd.is_multiple_of(n_head) => n_embd / n_head,
            None => {
                return Err(ConfigError::value(
                    "hidden_size",
                    &n_embd.into(),
                    format!("a multiple of num_attention_heads, {n_head}"),
                ));
            }
        };
        if !head_dim.is_multiple_of(2) {
            return Err(ConfigError::value(
                "head_dim",
                &head_dim.into(),
                "an even number: rotary embeddings turn pairs",
            ));
        }

        let n_ctx = positive(config, "max_position_embeddings")?
            .unwrap_or(defaults.max_position_embeddings);
        let rope_theta = rope_theta(config)?.unwrap_or(defaults.rope_theta);
        Ok(Self {
            class,
            n_layer,
            n_embd,
            n_ff: positive(config, "intermediate_size")?.unwrap_or(defaults.intermediate_size),
            n_head,
            n_head_kv,
            head_dim,
            // LlamaConfig computes `head_dim` when it is absent, and so the key is always written.
            head_dim_is_explicit: explicit_head_dim.is_some() || class == ModelClass::Llama,
            n_vocab: positive(config, "vocab_size")?.unwrap_or(32000),
            n_ctx,
            rms_eps: positive_f32(config, "rms_norm_eps")?.unwrap_or(defaults.rms_norm_eps),
            rope_theta,
            rope_scaling: RopeScaling::from_json(config, n_ctx)?,
            experts: if class == ModelClass::Mixtral {
                Some(experts(config)?)
            } else {
                None
            },
            tied: match config.get("tie_word_embeddings") {
                None | Some(Value::Null) => false,
                Some(Value::Bool(tied)) => *tied,
                Some(other) => {
                    return Err(ConfigError::value(
                        "tie_word_embeddings",
                        other,
                        "true or false",
                    ));
                }
            },
        })
    }

    /// Rows of the query projection.
    pub fn n_embd_q(&self) -> u64 {
        u64::from(self.n_head) * u64::from(self.head_dim)
    }

    /// Rows of the key projection, and of the value projection.
    pub fn n_embd_kv(&self) -> u64 {
        u64::from(self.n_head_kv) * u64::from(self.head_dim)
    }
}

fn refuse_quantized(config: &Value) -> Result<(), ConfigError> {
    match config.get("quantization_config") {
        None | Some(Value::Null) => Ok(()),
        Some(q) => {
            let method = q
                .get("quant_method")
                .and_then(Value::as_str)
                .unwrap_or("unknown");
            Err(ConfigError::Quantized {
                method: shown(method),
            })
        }
    }
}

fn experts(config: &Value) -> Result<(u32, u32), ConfigError> {
    let n_expert = positive(config, "num_local_experts")?.unwrap_or(8);
    let n_expert_used = positive(config, "num_experts_per_tok")?.unwrap_or(2);
    if n_expert_used > n_expert {
        return Err(ConfigError::value(
            "num_experts_per_tok",
            &n_expert_used.into(),
            format!("at most num_local_experts, {n_expert}"),
        ));
    }
    Ok((n_expert, n_expert_used))
}

fn rope_theta(config: &Value) -> Result<Option<f32>, ConfigError> {
    if let Some((place, rope)) = rope_object(config)
        && let Some(theta) =
            positive_f32(rope, "rope_theta").map_err(|error| error.within(place))?
    {
        return Ok(Some(theta));
    }
    positive_f32(config, "rope_theta")
}

fn missing(key: &'static str) -> ConfigError {
    ConfigError::Missing { key }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn small(class: &str) -> Value {
        json!({
            "architectures": [class],
            "hidden_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 8,
        })
    }

    #[test]
    fn missing_keys_take_the_defaults_of_the_class() {
        let llama = ModelConfig::from_json(&small("LlamaForCausalLM")).unwrap();
        assert_eq!(
            (llama.n_head_kv, llama.n_ctx, llama.rope_theta),
            (8, 2048, 1e4)
        );
        assert!(llama.head_dim_is_explicit && llama.experts.is_none());

        let mixtral = ModelConfig::from_json(&small("MixtralForCausalLM")).unwrap();
        assert_eq!(
            (mixtral.n_head_kv, mixtral.n_ctx, mixtral.rope_theta),
            (8, 131_072, 1e6)
        );
        assert_eq!((mixtral.experts, mixtral.rms_eps), (Some((8, 2)), 1e-5));
        assert!(!mixtral.head_dim_is_explicit);
    }

    #[test]
    fn transformers_5_writes_rope_parameters() {
        let mut config = small("MixtralForCausalLM");
        config["rope_parameters"] = json!({"rope_theta": 10000.0, "rope_type": "default"});
        config["head_dim"] = json!(8);
        let config = ModelConfig::from_json(&config).unwrap();
        assert_eq!((config.rope_theta, config.head_dim), (1e4, 8));
        assert_eq!(config.rope_scaling, RopeScaling::None);
        assert!(config.head_dim_is_explicit);
    }

    #[test]
    fn impossible_values_are_named() {
        let cases = [
            (
                "hidden_size",
                json!(0),
                "`hidden_size` is 0, expected an integer from 1",
            ),
            ("hidden_size", json!("64"), "`hidden_size` is \"64\""),
            (
                "num_key_value_heads",
                json!(3),
                "expected a divisor of num_attention_heads, 8",
            ),
            ("head_dim", json!(7), "expected an even number"),
            (
                "num_experts_per_tok",
                json!(9),
                "at most num_local_experts, 8",
            ),
            ("rms_norm_eps", json!(-1.0), "expected a positive number"),
            (
                "num_hidden_layers",
                json!(1u64 << 40),
                "expected an integer from 1",
            ),
            (
                "architectures",
                json!(["GPT2LMHeadModel"]),
                "is `GPT2LMHeadModel`, expected `Mixt",
            ),
            ("architectures", json!([]), "is missing"),
            (
                "quantization_config",
                json!({"quant_method": "gptq"}),
                "names `gptq`",
            ),
            (
                "rope_scaling",
                json!({"type": "longrope", "factor": 2.0}),
                "`longrope`",
            ),
        ];
        for (key, value, fragment) in cases {
            let mut config = small("MixtralForCausalLM");
            config[key] = value;
            let error = ModelConfig::from_json(&config).unwrap_err().to_string();
            assert!(error.contains(fragment), "{key}: {error}");
        }
    }
}
