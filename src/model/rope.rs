//! Scaling of rotary positions.

use serde_json::Value;

use super::config::{ConfigError, positive_f32};
use crate::gguf::KeyValues;

/// How a model stretches its rotary embeddings beyond the context it was first trained on.
#[derive(Clone, Debug, PartialEq)]
pub enum RopeScaling {
    /// Not at all.
    None,
    /// Every position is divided by the factor.
    Linear {
        /// The factor.
        factor: f32,
    },
    /// Llama 3's: long wavelengths are divided by the factor, short ones kept, with a ramp between.
    Llama3 {
        /// Divides the long wavelengths' frequencies.
        factor: f32,
        /// Wavelengths above `original_context / low` are long.
        low_freq_factor: f32,
        /// Wavelengths below `original_context / high` are short.
        high_freq_factor: f32,
        /// The context before scaling.
        original_context: u32,
    },
}

impl RopeScaling {
    /// Reads `rope_parameters` (transformers 5) or `rope_scaling` (transformers 4).
    ///
    /// # Errors
    /// When the type is one we do not know, or a parameter is missing or impossible.
    pub(super) fn from_json(config: &Value) -> Result<Self, ConfigError> {
        let (place, rope) = match (config.get("rope_parameters"), config.get("rope_scaling")) {
            (Some(rope), _) if !rope.is_null() => ("rope_parameters", rope),
            (_, Some(rope)) if !rope.is_null() => ("rope_scaling", rope),
            _ => return Ok(Self::None),
        };
        let Some(kind) = rope.get("rope_type").or_else(|| rope.get("type")) else {
            return Ok(Self::None);
        };
        let required = |key: &str| {
            positive_f32(rope, key)?.ok_or_else(|| {
                ConfigError::value(&format!("{place}.{key}"), &Value::Null, "a positive number")
            })
        };
        let original_context = || {
            let key = "original_max_position_embeddings";
            let found = positive_f32(rope, key)?.or(positive_f32(config, key)?);
            Ok(found.map_or(8192, |n| n as u32))
        };
        match kind.as_str().map(str::to_ascii_lowercase).as_deref() {
            Some("default") => Ok(Self::None),
            Some("linear") => Ok(Self::Linear {
                factor: required("factor")?,
            }),
            Some("llama3") => Ok(Self::Llama3 {
                factor: positive_f32(rope, "factor")?.unwrap_or(8.0),
                low_freq_factor: positive_f32(rope, "low_freq_factor")?.unwrap_or(1.0),
                high_freq_factor: positive_f32(rope, "high_freq_factor")?.unwrap_or(4.0),
                original_context: original_context()?,
            }),
            _ => {
                let expected = "`default`, `linear` or `llama3`";
                Err(ConfigError::Value {
                    key: format!("{place}.rope_type"),
                    found: format!("`{}`", kind.as_str().unwrap_or("not a string")),
                    expected: expected.into(),
                })
            }
        }
    }

    /// Adds the keys that stand between the head counts and `rope.freq_base`.
    pub(super) fn add_key_values(&self, key_values: &mut KeyValues) {
        if let Self::Linear { factor } = *self {
            key_values.push(("llama.rope.scaling.type".into(), "linear".into()));
            key_values.push(("llama.rope.scaling.factor".into(), factor.into()));
        }
    }

    /// What llama.cpp divides each rotary frequency by: `head_dim / 2` values, for Llama 3's
    /// scaling only, which has no keys of its own but the tensor `rope_freqs.weight`.
    ///
    /// The formula is transformers' `_compute_llama3_parameters`, in f32 step by step as the
    /// reference converter evaluates it.
    pub fn frequency_factors(&self, head_dim: u32, rope_theta: f32) -> Option<Vec<f32>> {
        let Self::Llama3 {
            factor,
            low_freq_factor,
            high_freq_factor,
            original_context,
        } = *self
        else {
            return None;
        };
        let context = original_context as f32;
        let longest_short = (f64::from(original_context) / f64::from(high_freq_factor)) as f32;
        let shortest_long = (f64::from(original_context) / f64::from(low_freq_factor)) as f32;
        let factors = (0..head_dim / 2).map(|i| {
            let exponent = (2 * i) as f32 / head_dim as f32;
            // A power rounded once, from f64, is what a careful f32 power gives.
            let frequency = 1.0 / (f64::from(rope_theta).powf(f64::from(exponent)) as f32);
            let wavelength = std::f32::consts::TAU / frequency;
            if wavelength < longest_short {
                1.0
            } else if wavelength > shortest_long {
                factor
            } else {
                let smooth =
                    (context / wavelength - low_freq_factor) / (high_freq_factor - low_freq_factor);
                1.0 / ((1.0 - smooth) / factor + smooth)
            }
        });
        Some(factors.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn llama3_keeps_short_waves_and_divides_long_ones() {
        let scaling = RopeScaling::Llama3 {
            factor: 8.0,
            low_freq_factor: 1.0,
            high_freq_factor: 4.0,
            original_context: 8192,
        };
        let factors = scaling.frequency_factors(128, 5e5).unwrap();
        assert_eq!(factors.len(), 64);
        assert_eq!((factors[0], factors[63]), (1.0, 8.0));
        assert!(factors.windows(2).all(|w| w[0] <= w[1]));
        assert!(factors.iter().any(|&f| f > 1.0 && f < 8.0));
        assert_eq!(RopeScaling::None.frequency_factors(128, 1e4), None);
    }
}
