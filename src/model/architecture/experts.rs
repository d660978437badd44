//! What a family says of its experts.

use super::super::{ConfigError, config::Hparams};

/// Where config.json says how many experts there are, how wide, and in which layers.
#[derive(Clone, Copy, Debug)]
pub struct Experts {
    /// Keys of their number.
    pub count: &'static [&'static str],
    /// Keys of how many are used for a token.
    pub used: &'static [&'static str],
    /// Keys of the width of one.
    pub ff: &'static [&'static str],
    /// Keys whose product is the width of the shared experts together; empty where there are none.
    pub shared_ff: &'static [&'static [&'static str]],
    /// The layers that have them.
    pub layers: MoeLayers,
}

/// Which layers are Mixtures of Experts; the others are dense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MoeLayers {
    /// All.
    All,
    /// All from the one that this key says.
    From(&'static str),
    /// Every `decoder_sparse_step`-th, but for those in `mlp_only_layers`.
    SparseStep,
    /// Those from `moe_layer_start_index` to `moe_layer_end_index` that `moe_layer_interval` divides,
    /// counted from 1.
    Interval,
}

impl MoeLayers {
    /// The keys of config.json that say so.
    pub(in crate::model) fn keys(&self) -> &[&'static str] {
        match self {
            Self::All => &[],
            Self::From(key) => std::slice::from_ref(key),
            Self::SparseStep => &["decoder_sparse_step", "mlp_only_layers"],
            Self::Interval => &[
                "moe_layer_start_index",
                "moe_layer_end_index",
                "moe_layer_interval",
            ],
        }
    }

    /// Whether each of the layers is a Mixture of Experts.
    ///
    /// # Errors
    /// When a key is of the wrong type.
    pub(in crate::model) fn of(
        self,
        hparams: &Hparams,
        n_layer: u32,
    ) -> Result<Vec<bool>, ConfigError> {
        let number = |key: &'static str| hparams.u32(&[key]);
        let layers = 0..n_layer;
        Ok(match self {
            Self::All => layers.map(|_| true).collect(),
            Self::From(key) => {
                let first = number(key)?.unwrap_or(0);
                layers.map(|layer| layer >= first).collect()
            }
            Self::SparseStep => {
                let step = number("decoder_sparse_step")?.unwrap_or(1).max(1);
                let dense = hparams.u32s("mlp_only_layers")?.unwrap_or_default();
                let is_moe =
                    |layer: u32| (layer + 1).is_multiple_of(step) && !dense.contains(&layer);
                layers.map(is_moe).collect()
            }
            Self::Interval => {
                let first = number("moe_layer_start_index")?.unwrap_or(0);
                // -1 is the last layer.
                let last = number("moe_layer_end_index").unwrap_or(None);
                let last = last.unwrap_or(n_layer - 1);
                let step = number("moe_layer_interval")?.unwrap_or(1).max(1);
                let is_moe = |layer: u32| {
                    (first..=last).contains(&layer) && (layer + 1).is_multiple_of(step)
                };
                layers.map(is_moe).collect()
            }
        })
    }
}
