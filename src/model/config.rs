//! `config.json` → hyper-parameters, with the defaults of the model class where a key is missing.
//!
//! Both spellings are read: transformers 4 (`rope_theta`, `rope_scaling`, `torch_dtype`) and
//! transformers 5 (`rope_parameters`, `dtype`).

mod class;
mod error;
mod experts;
mod hparams;
mod layers;
mod lengths;

use class::architecture;
pub use error::ConfigError;
pub use hparams::Hparams;
pub(super) use hparams::positive_f32;
use serde_json::Value;

use super::{
    architecture::Architecture,
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

impl ModelConfig {
    /// Reads the hyper-parameters from a parsed config.json.
    ///
    /// # Errors
    /// When the class is not one of ours, or a value is missing, of the wrong type or impossible.
    pub fn from_json(config: &Value) -> Result<Self, ConfigError> {
        let architecture = architecture(config)?;
        refuse_quantized(config)?;
        let hparams = Hparams::new(config, architecture);

        let needed = |key: &'static str| hparams.positive(key)?.ok_or(ConfigError::Missing { key });
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
        layers::check_types(architecture, &hparams, n_layer)?;

        let experts = experts::counts(architecture, &hparams)?;
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
            n_ff_shared: experts::shared_width(architecture, &hparams)?,
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

fn rope_theta(config: &Value, hparams: &Hparams) -> Result<Option<f32>, ConfigError> {
    if let Some((place, rope)) = rope_object(config)
        && let Some(theta) =
            positive_f32(rope, "rope_theta").map_err(|error| error.within(place))?
    {
        return Ok(Some(theta));
    }
    hparams.positive_f32("rope_theta")
}

#[cfg(test)]
mod tests;
