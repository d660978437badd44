//! SmolLM 3: `SmolLM3ForCausalLM`.

use super::{super::vocabulary::policy, llama::LLAMA};
use crate::model::architecture::{
    Architecture,
    DefaultValue::{Bool, Float, HeadsIfNull, Int},
};

/// SmolLM 3. Which layers are without positions is fixed in llama.cpp: every fourth.
pub(super) const SMOLLM3: Architecture = Architecture {
    name: "SmolLM3",
    gguf: "smollm3",
    classes: &["SmolLM3ForCausalLM"],
    model_type: "smollm3",
    defaults: &[&[
        ("vocab_size", Int(128_256)),
        ("hidden_size", Int(2048)),
        ("intermediate_size", Int(11008)),
        ("num_hidden_layers", Int(36)),
        ("num_attention_heads", Int(16)),
        ("num_key_value_heads", HeadsIfNull),
        ("num_key_value_heads", Int(4)),
        ("max_position_embeddings", Int(32768)),
        ("rms_norm_eps", Float(1e-6)),
        ("rope_theta", Float(2e6)),
        ("tie_word_embeddings", Bool(true)),
    ]],
    tokenizer: policy::SMOLLM3,
    ..LLAMA
};
