//! Scaling of rotary positions.

mod alpha;

use serde_json::Value;

use super::{
    architecture::{Architecture, Computed, KeyValue, Special},
    config::{ConfigError, ModelConfig, positive_f32},
};
use crate::gguf::{Value as GgufValue, shown};

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
    /// YaRN: as Llama 3's, with another ramp, and with attention that is scaled too.
    Yarn {
        /// Divides the long wavelengths' frequencies.
        factor: f32,
        /// The context before scaling.
        original_context: u32,
        /// What else config.json says.
        yarn: Yarn,
    },
    /// By the length of the text, which llama.cpp does not have.
    Dynamic,
    /// By a larger base of the rotary frequencies, whatever the length of the text.
    Alpha {
        /// How many times the context is stretched.
        alpha: f64,
    },
    /// By a list of factors for long texts and one for short ones, a number for each frequency.
    LongRope {
        /// For texts longer than the context before scaling.
        long: Vec<f32>,
        /// For others.
        short: Vec<f32>,
    },
}

/// What YaRN blends between, where config.json says so: each has a default of the runner's.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Yarn {
    /// How much of the frequencies is extrapolated.
    pub ext_factor: Option<f32>,
    /// Scales the attention.
    pub attn_factor: Option<f32>,
    /// Turns in the original context from which on frequencies are kept.
    pub beta_fast: Option<f32>,
    /// Turns below which they are divided by the factor.
    pub beta_slow: Option<f32>,
}

impl RopeScaling {
    /// Reads `rope_parameters` (transformers 5) or `rope_scaling` (transformers 4). `n_ctx` is the
    /// longest context the model was made for.
    ///
    /// # Errors
    /// When the type is one we do not know, or a parameter is missing or impossible.
    pub(super) fn from_json(
        config: &Value,
        n_ctx: u32,
        architecture: &Architecture,
    ) -> Result<Self, ConfigError> {
        let Some((place, rope)) = rope_object(config) else {
            return Ok(Self::None);
        };
        let Value::Object(keys) = rope else {
            return Err(ConfigError::value(place, rope, "an object"));
        };
        // transformers 5 can have a set for each kind of layer.
        if let Some((kind, _)) = keys.iter().find(|(_, value)| value.is_object()) {
            return Err(ConfigError::Value {
                key: place.into(),
                found: format!("a set for each kind of layer, `{}` among them", shown(kind)),
                expected: "one set for all layers".into(),
            });
        }
        let there = |key| keys.get(key).filter(|kind| !kind.is_null());
        let (key, kind) = match (there("rope_type"), there("type")) {
            // The versions of transformers do not agree which of them goes first.
            (Some(kind), Some(other)) if kind != other => {
                return Err(ConfigError::Value {
                    key: format!("{place}.rope_type"),
                    found: format!(
                        "{}, and `{place}.type` is {}",
                        shown(&kind.to_string()),
                        shown(&other.to_string())
                    ),
                    expected: "one of them, or both the same".into(),
                });
            }
            (Some(kind), _) => ("rope_type", kind),
            (None, Some(kind)) => ("type", kind),
            (None, None) => return Ok(Self::None),
        };
        let required = |key: &str| {
            number(rope, place, key)?.ok_or_else(|| {
                ConfigError::value(&format!("{place}.{key}"), &Value::Null, "a positive number")
            })
        };
        let original_context = |default: u32| {
            let key = "original_max_position_embeddings";
            let found = number(rope, place, key)?.or(positive_f32(config, key)?);
            Ok(found.map_or(default, |n| n as u32))
        };
        let name = kind.as_str().map(str::to_ascii_lowercase);
        let name = name.as_deref();
        if takes_only_factors(architecture) && !matches!(name, Some("default" | "longrope" | "su"))
        {
            let expected = "`longrope`, the only one that llama.cpp has for this model";
            return Err(ConfigError::value(
                &format!("{place}.{key}"),
                kind,
                expected,
            ));
        }
        match name {
            Some("default") => Ok(Self::None),
            Some("linear") => Ok(Self::Linear {
                factor: required("factor")?,
            }),
            Some("llama3") => Ok(Self::Llama3 {
                factor: number(rope, place, "factor")?.unwrap_or(8.0),
                low_freq_factor: number(rope, place, "low_freq_factor")?.unwrap_or(1.0),
                high_freq_factor: number(rope, place, "high_freq_factor")?.unwrap_or(4.0),
                original_context: original_context(8192)?,
            }),
            Some("yarn") => Ok(Self::Yarn {
                factor: required("factor")?,
                original_context: original_context(n_ctx)?,
                yarn: Yarn {
                    ext_factor: any_number(rope, place, "extrapolation_factor")?,
                    attn_factor: match any_number(rope, place, "attention_factor")? {
                        None => any_number(rope, place, "attn_factor")?,
                        factor => factor,
                    },
                    beta_fast: any_number(rope, place, "beta_fast")?,
                    beta_slow: any_number(rope, place, "beta_slow")?,
                },
            }),
            Some("dynamic") => match alpha::default_of(architecture) {
                Some(default) => Ok(Self::Alpha {
                    alpha: alpha::of(rope, place)?.unwrap_or(f64::from(default)),
                }),
                None => Ok(Self::Dynamic),
            },
            Some("longrope" | "su") if takes_factors(architecture) => Ok(Self::LongRope {
                long: numbers(rope, place, "long_factor")?,
                short: numbers(rope, place, "short_factor")?,
            }),
            _ => Err(ConfigError::Value {
                key: format!("{place}.{key}"),
                found: match kind {
                    Value::String(kind) => format!("`{}`", shown(kind)),
                    other => shown(&other.to_string()),
                },
                expected: "`default`, `linear`, `llama3`, `yarn` or `dynamic`".into(),
            }),
        }
    }

    /// What a user should know of what is written for it.
    pub fn note(&self) -> Option<String> {
        match self {
            Self::Dynamic => Some(
                "the rope scaling `dynamic` is left out, for llama.cpp has none that depends on the \
                 length of the text: beyond the context that the model was trained on, it will not do \
                 as well"
                    .into(),
            ),
            _ => None,
        }
    }

    /// The keys that stand between the head counts and `rope.freq_base`.
    pub(super) fn key_values(&self) -> Vec<(&'static str, GgufValue)> {
        let mut key_values = Vec::new();
        let mut add = |key: &'static str, value: GgufValue| key_values.push((key, value));
        match self {
            Self::None | Self::Llama3 { .. } | Self::Dynamic | Self::Alpha { .. } => {}
            Self::LongRope { .. } => add("rope.scaling.type", "longrope".into()),
            Self::Linear { factor } => {
                add("rope.scaling.type", "linear".into());
                add("rope.scaling.factor", (*factor).into());
            }
            Self::Yarn {
                factor,
                original_context,
                yarn,
            } => {
                add("rope.scaling.type", "yarn".into());
                add("rope.scaling.factor", (*factor).into());
                add(
                    "rope.scaling.original_context_length",
                    (*original_context).into(),
                );
                for (key, value) in [
                    ("rope.scaling.yarn_ext_factor", yarn.ext_factor),
                    ("rope.scaling.yarn_attn_factor", yarn.attn_factor),
                    ("rope.scaling.yarn_beta_fast", yarn.beta_fast),
                    ("rope.scaling.yarn_beta_slow", yarn.beta_slow),
                ] {
                    if let Some(value) = value {
                        add(key, value.into());
                    }
                }
            }
        }
        key_values
    }

    /// What attention is scaled by where there are factors for long and short texts, as the reference
    /// converter computes it for Phi 3; `None` where there are none.
    ///
    /// # Errors
    /// When the context before scaling is missing.
    pub(super) fn attention_factor(
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

/// `rope_factors_long.weight` and `rope_factors_short.weight`, where there are such factors.
///
/// # Errors
/// When they are not one for each rotary frequency.
pub(super) fn rope_factors(
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

/// Whether the architecture's models have lists of factors, and no keys for another scaling.
fn takes_only_factors(architecture: &Architecture) -> bool {
    let mut keys = architecture.keys.iter().copied().flatten();
    takes_factors(architecture)
        && !keys.any(|key| matches!(key.value, KeyValue::Special(Special::RopeScaling)))
}

/// Whether the architecture's models have lists of factors.
fn takes_factors(architecture: &Architecture) -> bool {
    architecture.computed.contains(&Computed::RopeFactors)
}

/// `rope_parameters` or `rope_scaling`, whichever is there, the former first.
pub(super) fn rope_object(config: &Value) -> Option<(&'static str, &Value)> {
    let there = |key: &'static str| {
        let value = config.get(key).filter(|value| !value.is_null());
        value.map(|value| (key, value))
    };
    there("rope_parameters").or_else(|| there("rope_scaling"))
}

/// A positive number of `rope`, which stands at `place`; `None` where the key is absent or null.
fn number(rope: &Value, place: &str, key: &str) -> Result<Option<f32>, ConfigError> {
    positive_f32(rope, key).map_err(|error| error.within(place))
}

/// The longest list of factors we read.
const MAX_FACTORS: usize = 1 << 12;

/// A list of numbers of `rope`.
fn numbers(rope: &Value, place: &str, key: &str) -> Result<Vec<f32>, ConfigError> {
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

/// As [`number`], and 0 or less may be meant.
fn any_number(rope: &Value, place: &str, key: &str) -> Result<Option<f32>, ConfigError> {
    match rope.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_f64().map(|x| x as f32).filter(|x| x.is_finite()) {
            Some(x) => Ok(Some(x)),
            None => {
                let key = format!("{place}.{key}");
                Err(ConfigError::value(&key, value, "a finite number"))
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::families;

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

    fn read(config: Value) -> Result<RopeScaling, String> {
        let llama = families::named("Llama").unwrap();
        RopeScaling::from_json(&config, 4096, llama).map_err(|error| error.to_string())
    }

    fn keys(config: Value) -> Vec<String> {
        let kv = read(config).unwrap().key_values();
        let shown = kv.iter().map(|(key, value)| format!("{key}={value:?}"));
        shown
            .map(|line| line.replace("rope.scaling.", ""))
            .collect()
    }

    #[test]
    fn yarn_is_written_in_both_spellings_and_with_all_it_may_have() {
        let expected = [
            "type=String(\"yarn\")",
            "factor=F32(16.0)",
            "original_context_length=U32(2048)",
        ];
        for config in [
            json!({"rope_scaling": {"type": "yarn", "factor": 16, "original_max_position_embeddings": 2048}}),
            json!({"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e4, "factor": 16.0, "original_max_position_embeddings": 2048}}),
            json!({"rope_scaling": {"rope_type": "YARN", "factor": 16.0}, "original_max_position_embeddings": 2048}),
        ] {
            assert_eq!(keys(config), expected);
        }
        let config = json!({"rope_scaling": {
            "beta_slow": 1, "beta_fast": 32, "attn_factor": 1.25, "extrapolation_factor": 0,
            "rope_type": "yarn", "factor": 2.0,
        }});
        assert_eq!(
            keys(config),
            [
                "type=String(\"yarn\")",
                "factor=F32(2.0)",
                // That of the model, where nothing else is said.
                "original_context_length=U32(4096)",
                "yarn_ext_factor=F32(0.0)",
                "yarn_attn_factor=F32(1.25)",
                "yarn_beta_fast=F32(32.0)",
                "yarn_beta_slow=F32(1.0)",
            ]
        );
    }

    #[test]
    fn dynamic_is_left_out_with_a_note() {
        let config = json!({"rope_scaling": {"type": "dynamic", "factor": 2.0}});
        assert_eq!(keys(config.clone()), [""; 0]);
        let note = read(config).unwrap().note().unwrap();
        assert!(note.contains("`dynamic` is left out"), "{note}");
        assert_eq!(RopeScaling::None.note(), None);
    }

    #[test]
    fn what_is_not_known_is_refused_by_name() {
        for (config, expected) in [
            (
                json!({"rope_scaling": {"type": "longrope", "short_factor": [1.0]}}),
                "`rope_scaling.type` is `longrope`, expected `default`, `linear`, `llama3`, `yarn` or `dynamic`",
            ),
            (
                json!({"rope_parameters": {"rope_type": 7}}),
                "`rope_parameters.rope_type` is 7, expected `default`",
            ),
            (
                json!({"rope_parameters": {"full_attention": {"rope_type": "default"}}}),
                "`rope_parameters` is a set for each kind of layer, `full_attention` among them, expected one set",
            ),
            (
                json!({"rope_scaling": {"type": "yarn"}}),
                "`rope_scaling.factor` is missing, expected a positive number",
            ),
            (
                json!({"rope_scaling": {"type": "yarn", "factor": "NaN"}}),
                "`rope_scaling.factor` is \"NaN\", expected a positive number",
            ),
            (
                json!({"rope_scaling": 4.0}),
                "`rope_scaling` is 4.0, expected an object",
            ),
        ] {
            let error = read(config).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
        for nothing in [
            json!({}),
            json!({"rope_scaling": null}),
            json!({"rope_scaling": {"type": "default"}}),
            json!({"rope_parameters": {"rope_theta": 1e4}}),
        ] {
            assert_eq!(read(nothing), Ok(RopeScaling::None));
        }
    }
}
