//! Scaling of rotary positions.

mod alpha;
mod factors;
mod llama3;

pub(super) use factors::rope_factors;

use serde_json::Value;

use super::{
    architecture::{Architecture, Computed, KeyValue, Special},
    config::{ConfigError, positive_f32},
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
        let taken = taken_by(architecture);
        let unknown = || ConfigError::Value {
            key: format!("{place}.{key}"),
            found: match kind {
                Value::String(kind) => format!("`{}`", shown(kind)),
                other => shown(&other.to_string()),
            },
            expected: match &taken[..] {
                [one] => format!(
                    "`{one}`: llama.cpp has no scaling for a {}",
                    architecture.name
                ),
                [rest @ .., last] => format!("`{}` or `{last}`", rest.join("`, `")),
                [] => String::new(),
            },
        };
        // Its name in the first models that had it.
        let name = match name.as_deref() {
            Some("su") => Some("longrope"),
            name => name,
        };
        if !name.is_some_and(|name| taken.contains(&name)) {
            return Err(unknown());
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
            Some("longrope") => Ok(Self::LongRope {
                long: factors::list(rope, place, "long_factor")?,
                short: factors::list(rope, place, "short_factor")?,
            }),
            _ => Err(unknown()),
        }
    }

    /// Its name in config.json.
    pub fn name(&self) -> &'static str {
        match self {
            Self::None => "default",
            Self::Linear { .. } => "linear",
            Self::Llama3 { .. } => "llama3",
            Self::Yarn { .. } => "yarn",
            Self::Dynamic | Self::Alpha { .. } => "dynamic",
            Self::LongRope { .. } => "longrope",
        }
    }

    /// Whether an architecture has keys or a tensor for it.
    pub fn is_taken_by(&self, architecture: &Architecture) -> bool {
        taken_by(architecture).contains(&self.name())
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
}

/// The scalings that an architecture has keys or a tensor for, by config.json's names. Others would be
/// lost, and the model another one.
fn taken_by(architecture: &Architecture) -> Vec<&'static str> {
    let mut keys = architecture.keys.iter().copied().flatten();
    let has_keys = keys.any(|key| matches!(key.value, KeyValue::Special(Special::RopeScaling)));
    let computes = |computed| architecture.computed.contains(&computed);
    let mut taken = vec!["default"];
    taken.extend(has_keys.then_some("linear"));
    taken.extend(computes(Computed::RopeFrequencies).then_some("llama3"));
    taken.extend(has_keys.then_some("yarn"));
    taken.extend(has_keys.then_some("dynamic"));
    taken.extend(computes(Computed::RopeFactors).then_some("longrope"));
    taken
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
mod tests;
