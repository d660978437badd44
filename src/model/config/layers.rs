//! What each of the layers is.

use super::{ConfigError, Hparams, ModelConfig};
use crate::{
    gguf::shown,
    model::architecture::{Architecture, Layers, Row},
};

impl ModelConfig {
    /// Whether a layer has the tensor of a row.
    pub(in crate::model) fn has_row(&self, row: &Row, layer: u32) -> bool {
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
}

/// Fails where the list of the layers' kinds is too short or too long, or names one that is unknown.
pub(super) fn check_types(
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
