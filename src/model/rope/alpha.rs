//! Scaling by a larger base of the rotary frequencies, as Hunyuan's models have it: `alpha` says how many
//! times the context is stretched, once and for all.

use serde_json::Value;

use super::RopeScaling;
use crate::{
    gguf::Value as GgufValue,
    model::{
        architecture::{Architecture, KeyValue, Special},
        config::{ConfigError, ModelConfig},
    },
};

/// The context of models whose base is raised, before and afterwards.
const TRAINED_CONTEXT: u32 = 32 << 10;
const RAISED_CONTEXT: u32 = 256 << 10;

impl RopeScaling {
    /// The keys of a base that is raised: nothing where it is not.
    ///
    /// # Errors
    /// When the model is none of those whose longest context the reference converter knows.
    pub(in crate::model) fn raised_base(
        &self,
        config: &ModelConfig,
    ) -> Result<Vec<(&'static str, GgufValue)>, ConfigError> {
        let Self::Alpha { alpha } = *self else {
            return Ok(Vec::new());
        };
        let expect = |key: &str, found: Value, expected: &str| {
            let expected = format!("{expected}, as all models with rope scaling by `alpha` have");
            Err(ConfigError::value(key, &found, expected))
        };
        if config.rope_theta != 1e4 {
            return expect("rope_theta", config.rope_theta.into(), "10000");
        }
        if ![TRAINED_CONTEXT, RAISED_CONTEXT].contains(&config.n_ctx) {
            let (key, expected) = ("max_position_embeddings", "32768 or 262144");
            return expect(key, config.n_ctx.into(), expected);
        }
        if config.head_dim < 4 {
            return expect("head_dim", config.head_dim.into(), "64 or 128");
        }
        let width = f64::from(config.head_dim);
        let base = f64::from(config.rope_theta) * alpha.powf(width / (width - 2.0));
        Ok(vec![
            ("rope.freq_base", (base as f32).into()),
            ("rope.scaling.type", "none".into()),
            ("rope.scaling.factor", 1f32.into()),
            (
                "rope.scaling.original_context_length",
                RAISED_CONTEXT.into(),
            ),
            // config.json may still have the context before.
            ("context_length", RAISED_CONTEXT.into()),
        ])
    }
}

/// What the architecture takes for `alpha` where config.json has none; `None` where it takes none.
pub(super) fn default_of(architecture: &Architecture) -> Option<u32> {
    let mut keys = architecture.keys.iter().copied().flatten();
    keys.find_map(|key| match key.value {
        KeyValue::Special(Special::RopeAlpha(default)) => Some(default),
        _ => None,
    })
}

/// `alpha` of `rope`, which stands at `place`.
pub(super) fn of(rope: &Value, place: &str) -> Result<Option<f64>, ConfigError> {
    match rope.get("alpha") {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_f64().filter(|x| *x > 0.0 && *x <= 1e6) {
            Some(alpha) => Ok(Some(alpha)),
            None => {
                let expected = "a positive number up to 1000000";
                Err(ConfigError::value(
                    &format!("{place}.alpha"),
                    value,
                    expected,
                ))
            }
        },
    }
}
