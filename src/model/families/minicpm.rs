//! MiniCPM: `MiniCPMForCausalLM`.

use super::{super::vocabulary::policy, rows};
use crate::model::architecture::{Architecture, BASE, Computed, DefaultValue::Bool, Key, Special};

/// MiniCPM 1 and 4, dense. Its class comes with the checkpoint; of its defaults only that of the output
/// matrix counts.
pub(super) const MINICPM: Architecture = Architecture {
    name: "MiniCPM",
    gguf: "minicpm",
    classes: &["MiniCPMForCausalLM"],
    model_type: "minicpm",
    defaults: &[&[("tie_word_embeddings", Bool(true))]],
    tensors: &[
        rows::OUTER,
        rows::NORMS,
        rows::ROTARY_PROJECTIONS,
        rows::FFN,
    ],
    computed: &[Computed::RopeFactors],
    keys: &[BASE, KEYS],
    tokenizer: policy::SPM,
    ..Architecture::COMMON
};

const KEYS: &[Key] = &[
    Key::f32("embedding_scale", &["scale_emb"]).needed(),
    Key::special(Special::ResidualScaleOfDepth),
    Key::special(Special::LogitScaleOfWidth),
];
