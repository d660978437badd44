//! `config.json` → hyper-parameters, with the defaults of the model class where a key is missing.
//!
//! Both spellings are read: transformers 4 (`rope_theta`, `rope_scaling`, `torch_dtype`) and
//! transformers 5 (`rope_parameters`, `dtype`).

mod class;
mod hparams;

use class::architecture;
pub use hparams::Hparams;
pub(super) use hparams::positive_f32;
use serde_json::Value;

use super::{
    architecture::{Architecture, Dim, Layers, Lengths, Presence, Row},
    rope::{RopeScaling, rope_object},
};
use crate::gguf::shown;

/// The hyper-parameters that shape a model and its metadata.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig {
    /// The family of the class named in `architectures`.
    pub architecture: &'static Architecture,
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
    /// Width of one expert's feed-forward network, where there are experts.
    pub n_ff_expert: Option<u32>,
    /// Width of the shared experts' feed-forward network, where there are any.
    pub n_ff_shared: Option<u32>,
    /// Whether each of the layers is a Mixture of Experts.
    pub moe_layers: Vec<bool>,
    /// Whether the output matrix is the token embedding.
    pub tied: bool,
    /// All that config.json says.
    pub hparams: Hparams,
}

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
        let architecture = architecture(config)?;
        refuse_quantized(config)?;
        let hparams = Hparams::new(config, architecture);

        let needed = |key: &'static str| hparams.positive(key)?.ok_or(missing(key));
        let n_embd = needed("hidden_size")?;
        let n_layer = needed("num_hidden_layers")?;
        let n_head = needed("num_attention_heads")?;
        let n_head_kv = hparams.positive("num_key_value_heads")?.unwrap_or(n_head);
        if !n_head.is_multiple_of(n_head_kv) {
            return Err(ConfigError::value(
                "num_key_value_heads",
                &n_head_kv.into(),
                format!("a divisor of num_attention_heads, {n_head}"),
            ));
        }
        let head_dim = match hparams.positive("head_dim")? {
            Some(d) if !is_computed(config) || n_embd.is_multiple_of(n_head) => d,
            None if n_embd.is_multiple_of(n_head) => n_embd / n_head,
            _ => {
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
        check_layer_types(architecture, &hparams, n_layer)?;

        let experts = experts(architecture, &hparams)?;
        let n_ctx = needed("max_position_embeddings")?;
        let this = Self {
            architecture,
            n_layer,
            n_embd,
            n_ff: needed("intermediate_size")?,
            n_head,
            n_head_kv,
            head_dim,
            n_vocab: needed("vocab_size")?,
            n_ctx,
            rms_eps: hparams.positive_f32("rms_norm_eps")?.unwrap_or(1e-6),
            rope_theta: rope_theta(config, &hparams)?.unwrap_or(1e4),
            rope_scaling: RopeScaling::from_json(config, n_ctx, architecture)?,
            n_ff_expert: match (experts, architecture.experts) {
                (Some(_), Some(rule)) => hparams.u32(rule.ff)?,
                _ => None,
            },
            n_ff_shared: shared_ff(architecture, &hparams)?,
            moe_layers: match (experts, architecture.experts) {
                (Some(_), Some(rule)) => rule.layers.of(&hparams, n_layer)?,
                _ => vec![false; n_layer as usize],
            },
            experts,
            tied: hparams.bool(&["tie_word_embeddings"])?.unwrap_or(false),
            hparams,
        };
        this.require_lengths()?;
        Ok(this)
    }

    /// The lengths that the shapes of its tensors are made of.
    pub fn lengths(&self) -> Lengths {
        let some = |n: u32| Some(u64::from(n));
        Lengths {
            embd: some(self.n_embd),
            ff: some(self.n_ff),
            heads: some(self.n_head),
            heads_kv: some(self.n_head_kv),
            head_dim: some(self.head_dim),
            vocab: some(self.n_vocab),
            experts: some(self.experts.map_or(0, |(n, _)| n)),
            expert_ff: self.n_ff_expert.map(u64::from),
            shared_ff: self.n_ff_shared.map(u64::from),
        }
    }

    /// The keys of config.json that decide a length, for messages.
    pub fn keys_of(&self, dim: Dim) -> String {
        let first = |keys: &[&str]| format!("`{}`", keys.first().unwrap_or(&""));
        let joined = |dims: &[Dim]| {
            let mut keys: Vec<String> = Vec::new();
            for key in dims.iter().map(|dim| self.keys_of(*dim)) {
                if !key.is_empty() && !keys.contains(&key) {
                    keys.push(key);
                }
            }
            keys.join(" and ")
        };
        let experts = self.architecture.experts;
        match dim {
            Dim::N(_) => String::new(),
            Dim::Embd => "`hidden_size`".into(),
            Dim::Ff => "`intermediate_size`".into(),
            Dim::Q => "`num_attention_heads` times `head_dim`".into(),
            Dim::Kv => "`num_key_value_heads` times `head_dim`".into(),
            Dim::Heads => "`num_attention_heads`".into(),
            Dim::HeadsKv => "`num_key_value_heads`".into(),
            Dim::HeadDim => "`head_dim`".into(),
            Dim::Vocab => "`vocab_size`".into(),
            Dim::Expert => experts.map_or(String::new(), |rule| first(rule.count)),
            Dim::ExpertFf => experts.map_or(String::new(), |rule| first(rule.ff)),
            Dim::SharedFf => experts.map_or(String::new(), |rule| {
                let keys: Vec<String> = rule.shared_ff.iter().map(|keys| first(keys)).collect();
                keys.join(" times ")
            }),
            Dim::QOfGroup => "`num_attention_heads` and `num_key_value_heads`".into(),
            Dim::Sum(dims) | Dim::Product(dims) => joined(dims),
        }
    }

    /// Whether a layer has the tensor of a row.
    pub(super) fn has_row(&self, row: &Row, layer: u32) -> bool {
        let is_moe = self
            .moe_layers
            .get(layer as usize)
            .copied()
            .unwrap_or(false);
        match row.layers {
            Layers::All => true,
            Layers::Dense => !is_moe,
            Layers::Moe => is_moe,
        }
    }

    /// Fails where a tensor that must be there has a length that nothing says.
    fn require_lengths(&self) -> Result<(), ConfigError> {
        let lengths = self.lengths();
        let layers = 0..self.n_layer;
        let is_there = |row: &Row| layers.clone().any(|layer| self.has_row(row, layer));
        for row in self.architecture.rows() {
            if row.presence != Presence::Needed || !is_there(row) {
                continue;
            }
            if let Some(dim) = row.shape.iter().find(|dim| dim.of(&lengths).is_none()) {
                let key = self.keys_of(*dim);
                return Err(ConfigError::MissingLength {
                    key,
                    tensor: row.target,
                });
            }
        }
        Ok(())
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

/// Whether config.json says no width of a head, so that it is computed.
fn is_computed(config: &Value) -> bool {
    config.get("head_dim").is_none_or(Value::is_null)
}

/// Number of experts and of those used for a token; `None` for a dense model.
fn experts(
    architecture: &Architecture,
    hparams: &Hparams,
) -> Result<Option<(u32, u32)>, ConfigError> {
    let Some(rule) = architecture.experts else {
        return Ok(None);
    };
    let n_expert = match hparams.u32(rule.count)? {
        None | Some(0) if needs_experts(architecture) => {
            let (key, found) = hparams
                .find(rule.count)
                .unwrap_or((rule.count[0], &Value::Null));
            let expected = format!(
                "at least 1: {} models have experts in all layers",
                architecture.name
            );
            return Err(ConfigError::value(key, found, expected));
        }
        None | Some(0) => return Ok(None),
        Some(n) => n,
    };
    let used_key = rule.used.first().copied().unwrap_or_default();
    let n_expert_used = hparams.u32(rule.used)?.ok_or(missing(used_key))?;
    if n_expert_used > n_expert || n_expert_used == 0 {
        let count_key = hparams.find(rule.count).map_or("", |(key, _)| key);
        return Err(ConfigError::value(
            used_key,
            &n_expert_used.into(),
            format!("at least 1 and at most {count_key}, {n_expert}"),
        ));
    }
    Ok(Some((n_expert, n_expert_used)))
}

/// Whether there is no layer without experts in models of this architecture.
fn needs_experts(architecture: &Architecture) -> bool {
    let has = |layers: Layers| architecture.rows().any(|row| row.layers == layers);
    has(Layers::Moe) && !has(Layers::Dense)
}

/// Width of all shared experts together; 0 where config.json says that there are none.
fn shared_ff(architecture: &Architecture, hparams: &Hparams) -> Result<Option<u32>, ConfigError> {
    let Some(rule) = architecture
        .experts
        .filter(|rule| !rule.shared_ff.is_empty())
    else {
        return Ok(None);
    };
    let mut product = 1u32;
    for keys in rule.shared_ff {
        let Some(factor) = hparams.u32(keys)? else {
            return Ok(None);
        };
        product = product.checked_mul(factor).ok_or_else(|| {
            let key = keys.first().copied().unwrap_or_default();
            ConfigError::value(key, &factor.into(), "a smaller number")
        })?;
    }
    Ok(Some(product))
}

/// Fails where the list of the layers' kinds is too short or too long, or names one that is unknown.
fn check_layer_types(
    architecture: &Architecture,
    hparams: &Hparams,
    n_layer: u32,
) -> Result<(), ConfigError> {
    let kinds = architecture.layer_kinds;
    let key = "layer_types";
    let Some(types) = hparams.texts(key)? else {
        return Ok(());
    };
    if types.len() != n_layer as usize {
        return Err(ConfigError::Value {
            key: key.into(),
            found: format!("a list of {}", types.len()),
            expected: format!("one for each of num_hidden_layers, {n_layer}"),
        });
    }
    match types.iter().position(|kind| !kinds.contains(kind)) {
        None => Ok(()),
        Some(at) => Err(ConfigError::Value {
            key: format!("{key}[{at}]"),
            found: format!("`{}`", shown(types[at])),
            expected: format!("`{}`", kinds.join("` or `")),
        }),
    }
}

fn rope_theta(config: &Value, hparams: &Hparams) -> Result<Option<f32>, ConfigError> {
    if let Some((place, rope)) = rope_object(config)
        && let Some(theta) =
            positive_f32(rope, "rope_theta").map_err(|error| error.within(place))?
    {
        return Ok(Some(theta));
    }
    hparams.positive_f32("rope_theta")
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
        assert!(llama.hparams.find(&["head_dim"]).is_some() && llama.experts.is_none());

        let mixtral = ModelConfig::from_json(&small("MixtralForCausalLM")).unwrap();
        assert_eq!(
            (mixtral.n_head_kv, mixtral.n_ctx, mixtral.rope_theta),
            (8, 131_072, 1e6)
        );
        assert_eq!((mixtral.experts, mixtral.rms_eps), (Some((8, 2)), 1e-5));
        assert!(mixtral.hparams.find(&["head_dim"]).is_none());
    }

    #[test]
    fn transformers_5_writes_rope_parameters() {
        let mut config = small("MixtralForCausalLM");
        config["rope_parameters"] = json!({"rope_theta": 10000.0, "rope_type": "default"});
        config["head_dim"] = json!(8);
        let config = ModelConfig::from_json(&config).unwrap();
        assert_eq!((config.rope_theta, config.head_dim), (1e4, 8));
        assert_eq!(config.rope_scaling, RopeScaling::None);
        assert!(config.hparams.find(&["head_dim"]).is_some());
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
                "is `GPT2LMHeadModel`, expected one that `convert --list-arch",
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
