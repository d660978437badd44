//! What no table can say, each under its name.

use super::super::{
    ConfigError, ModelConfig,
    config::Hparams,
    rope::{RopeScaling, rope_factors},
};
use crate::gguf::{Array, Value};

/// Keys whose values are not one of config.json's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Special {
    /// The number of layers.
    BlockCount,
    /// How rotary positions are scaled.
    RopeScaling,
    /// The number of key and value heads, layer by layer.
    KvHeadsOfLayers,
    /// Number of experts, of those used, of groups, and how they are weighed.
    ExpertCounts,
    /// `partial_rotary_factor` of the width of a head.
    RotaryDimensions,
    /// Which layers see a window only: those that `layer_types` calls `sliding_attention`, without such a
    /// list all but every n-th. Nothing where there is no window.
    SlidingLayers(u32),
    /// `scale_depth` shared by the square root of the number of layers.
    ResidualScaleOfDepth,
    /// `hidden_size` over `dim_model_base`.
    LogitScaleOfWidth,
    /// The context before scaling, which Phi 3 always has.
    OriginalContext,
    /// How attention is scaled in a context that is stretched by two lists of factors.
    LongRopeAttention,
    /// The base of the rotary frequencies that `alpha` of a `dynamic` scaling raises once and for all, and the
    /// context it is good for; with what is taken for `alpha` where config.json has none.
    RopeAlpha(u32),
    /// The width of the shared experts where there are any, which the reference converter takes for
    /// `intermediate_size` shared by the key heads.
    SharedWidthOfHeads(&'static str),
}

/// A key behind the architecture's name, and its value.
type Pair = (&'static str, Value);

impl Special {
    /// The keys and their values.
    ///
    /// # Errors
    /// When config.json has a value that cannot be.
    pub(in crate::model) fn key_values(
        self,
        config: &ModelConfig,
    ) -> Result<Vec<Pair>, ConfigError> {
        let one = |key, value: Value| Ok(vec![(key, value)]);
        match self {
            Self::BlockCount => one("block_count", config.n_layer.into()),
            Self::RopeScaling => Ok(config.rope_scaling.key_values()),
            Self::KvHeadsOfLayers => {
                let heads = i32::try_from(config.n_head_kv).unwrap_or(i32::MAX);
                let heads = vec![heads; config.n_layer as usize];
                one("attention.head_count_kv", Array::I32(heads).into())
            }
            Self::ExpertCounts => match config.architecture.experts {
                Some(_) => expert_counts(&config.hparams),
                None => Ok(Vec::new()),
            },
            Self::RotaryDimensions => {
                let factor = config
                    .hparams
                    .f64(&["partial_rotary_factor", "rotary_pct"])?;
                let width = factor.unwrap_or(1.0) * f64::from(config.head_dim);
                one("rope.dimension_count", (width as u32).into())
            }
            Self::SlidingLayers(full_every) => {
                let hparams = &config.hparams;
                if hparams.find(&["sliding_window"]).is_none() {
                    return Ok(Vec::new());
                }
                let slides = sliding_layers(config, full_every)?;
                one(
                    "attention.sliding_window_pattern",
                    Array::Bool(slides).into(),
                )
            }
            Self::ResidualScaleOfDepth => {
                let scale = needed(&config.hparams, "scale_depth")?;
                let scale = scale / f64::from(config.n_layer).sqrt();
                one("residual_scale", (scale as f32).into())
            }
            Self::LogitScaleOfWidth => {
                let scale = f64::from(config.n_embd) / needed(&config.hparams, "dim_model_base")?;
                one("logit_scale", (scale as f32).into())
            }
            Self::OriginalContext => {
                let key = "original_max_position_embeddings";
                let context = config.hparams.positive(key)?;
                let context = context.ok_or(ConfigError::Missing { key })?;
                one("rope.scaling.original_context_length", context.into())
            }
            Self::LongRopeAttention => match config.rope_scaling.attention_factor(config)? {
                Some(factor) => one("rope.scaling.attn_factor", factor.into()),
                None => Ok(Vec::new()),
            },
            Self::RopeAlpha(_) => config.rope_scaling.raised_base(config),
            Self::SharedWidthOfHeads(count) => match config.hparams.is_set(count) {
                true => one(
                    "expert_shared_feed_forward_length",
                    (config.n_ff / config.n_head_kv).into(),
                ),
                false => Ok(Vec::new()),
            },
        }
    }
}

/// A positive number that must be there.
fn needed(hparams: &Hparams, key: &'static str) -> Result<f64, ConfigError> {
    match hparams.f64(&[key])? {
        Some(x) if x > 0.0 => Ok(x),
        Some(x) => Err(ConfigError::value(key, &x.into(), "a positive number")),
        None => Err(ConfigError::Missing { key }),
    }
}

/// Whether each of the layers sees a window only.
fn sliding_layers(config: &ModelConfig, full_every: u32) -> Result<Vec<bool>, ConfigError> {
    let hparams = &config.hparams;
    if let Some(kinds) = hparams.texts("layer_types")? {
        let is_sliding = |kind: &&str| *kind == "sliding_attention";
        return Ok(kinds.iter().map(is_sliding).collect());
    }
    let key = "sliding_window_pattern";
    let layers = 0..config.n_layer;
    // Letters that are begun anew, of which `L` is a window, `G` all.
    let letters = hparams.find(&[key]).and_then(|(_, value)| value.as_str());
    if let Some(letters) = letters.filter(|letters| !letters.is_empty()) {
        let is_local = letters.bytes().map(|letter| letter == b'L').cycle();
        return Ok(layers.zip(is_local).map(|(_, is_local)| is_local).collect());
    }
    let full_every = hparams.positive(key)?.unwrap_or(full_every);
    Ok(layers
        .map(|layer| !(layer + 1).is_multiple_of(full_every))
        .collect())
}

fn expert_counts(hparams: &Hparams) -> Result<Vec<Pair>, ConfigError> {
    let counts: [(&'static str, &[&'static str]); 4] = [
        (
            "expert_count",
            &["num_local_experts", "num_experts", "n_routed_experts"],
        ),
        (
            "expert_used_count",
            &[
                "num_experts_per_tok",
                "num_experts_per_token",
                "top_k_experts",
            ],
        ),
        ("expert_group_count", &["n_group"]),
        ("expert_group_used_count", &["topk_group"]),
    ];
    let mut pairs = Vec::new();
    for (key, from) in counts {
        if let Some(count) = hparams.u32(from)? {
            pairs.push((key, count.into()));
        }
    }
    let spellings = [
        "score_function",
        "scoring_func",
        "score_func",
        "moe_router_activation",
        "moe_router_activation_func",
        "expert_selection_fn",
    ];
    if let Some((key, found)) = hparams.find(&spellings) {
        // llama.cpp's numbers for them.
        let function: u32 = match found.as_str() {
            Some("softmax") => 1,
            Some("sigmoid") => 2,
            Some("sqrtsoftplus") => 4,
            _ => {
                let expected = "`softmax`, `sigmoid` or `sqrtsoftplus`";
                return Err(ConfigError::value(key, found, expected));
            }
        };
        pairs.push(("expert_gating_func", function.into()));
    }
    Ok(pairs)
}

/// Tensors that follow from config.json.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Computed {
    /// `rope_freqs.weight`: what Llama 3's scaling divides each rotary frequency by.
    RopeFrequencies,
    /// `rope_factors_long.weight` and `rope_factors_short.weight`: the lists of `longrope`.
    RopeFactors,
}

impl Computed {
    /// The tensors, all vectors.
    ///
    /// # Errors
    /// When a list is of the wrong length.
    pub(in crate::model) fn tensors(
        self,
        config: &ModelConfig,
    ) -> Result<Vec<(&'static str, Vec<f32>)>, ConfigError> {
        Ok(match self {
            Self::RopeFrequencies => {
                let scaling: &RopeScaling = &config.rope_scaling;
                let factors = scaling.frequency_factors(config.head_dim, config.rope_theta);
                let named = factors.map(|factors| ("rope_freqs.weight", factors));
                named.into_iter().collect()
            }
            Self::RopeFactors => rope_factors(config)?,
        })
    }
}
