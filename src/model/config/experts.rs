//! How many experts there are, and how wide those are that see every token.

use serde_json::Value;

use super::{ConfigError, Hparams};
use crate::model::architecture::{Architecture, Layers};

/// Number of experts and of those used for a token; `None` for a dense model.
pub(super) fn counts(
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
    let n_expert_used = hparams
        .u32(rule.used)?
        .ok_or(ConfigError::Missing { key: used_key })?;
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
pub(super) fn shared_width(
    architecture: &Architecture,
    hparams: &Hparams,
) -> Result<Option<u32>, ConfigError> {
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
