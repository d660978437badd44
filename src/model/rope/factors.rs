//! Scaling by lists of factors, a number for each rotary frequency: Phi 3's and MiniCPM's.

use serde_json::Value;

use super::RopeScaling;
use crate::model::config::{ConfigError, ModelConfig};

impl RopeScaling {
    /// What attention is scaled by where there are factors for long and short texts, as the reference
    /// converter computes it for Phi 3; `None` where there are none.
    ///
    /// # Errors
    /// When the context before scaling is missing.
    pub(in crate::model) fn attention_factor(
        &self,
        config: &ModelConfig,
    ) -> Result<Option<f32>, ConfigError> {
        let Self::LongRope { .. } = self else {
            return Ok(None);
        };
        let key = "original_max_position_embeddings";
        let original = config.hparams.positive(key)?;
        let original = f64::from(original.ok_or(ConfigError::Missing { key })?);
        let scale = f64::from(config.n_ctx) / original;
        let factor = match scale > 1.0 && original > 1.0 {
            true => (1.0 + scale.ln() / original.ln()).sqrt(),
            false => 1.0,
        };
        Ok(Some(factor as f32))
    }
}

/// `rope_factors_long.weight` and `rope_factors_short.weight`, where there are such factors.
///
/// # Errors
/// When they are not one for each rotary frequency.
pub(in crate::model) fn rope_factors(
    config: &ModelConfig,
) -> Result<Vec<(&'static str, Vec<f32>)>, ConfigError> {
    let RopeScaling::LongRope { long, short } = &config.rope_scaling else {
        return Ok(Vec::new());
    };
    let rotary = config
        .hparams
        .f32(&["partial_rotary_factor"])?
        .unwrap_or(1.0);
    let frequencies = (rotary * config.head_dim as f32) as usize / 2;
    for (key, factors) in [("long_factor", long), ("short_factor", short)] {
        if factors.len() != frequencies {
            return Err(ConfigError::Value {
                key: format!("rope_scaling.{key}"),
                found: format!("a list of {}", factors.len()),
                expected: format!("one for each of {frequencies} rotary frequencies"),
            });
        }
    }
    Ok(vec![
        ("rope_factors_long.weight", long.clone()),
        ("rope_factors_short.weight", short.clone()),
    ])
}

/// The longest list of factors we read.
const MAX_FACTORS: usize = 1 << 12;

/// A list of numbers of `rope`.
pub(super) fn list(rope: &Value, place: &str, key: &str) -> Result<Vec<f32>, ConfigError> {
    let value = rope.get(key).unwrap_or(&Value::Null);
    let all = value.as_array().filter(|all| all.len() <= MAX_FACTORS);
    let numbers = all.and_then(|all| {
        let numbers = all.iter().map(|x| x.as_f64().map(|x| x as f32));
        numbers
            .map(|x| x.filter(|x| x.is_finite()))
            .collect::<Option<Vec<f32>>>()
    });
    numbers.ok_or_else(|| ConfigError::value(&format!("{place}.{key}"), value, "a list of numbers"))
}
