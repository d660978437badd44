//! StarCoder 2: `Starcoder2ForCausalLM`.

use super::{super::vocabulary::policy, rows};
use crate::model::architecture::{
    Architecture,
    DefaultValue::{Bool, Float, Int},
    Dim::{Embd, Ff, Kv, Q},
    Row,
};

/// StarCoder 2.
pub(super) const STARCODER2: Architecture = Architecture {
    name: "Starcoder2",
    gguf: "starcoder2",
    classes: &["Starcoder2ForCausalLM"],
    model_type: "starcoder2",
    defaults: &[&[
        ("vocab_size", Int(49152)),
        ("hidden_size", Int(3072)),
        ("intermediate_size", Int(12288)),
        ("num_hidden_layers", Int(30)),
        ("num_attention_heads", Int(24)),
        ("num_key_value_heads", Int(2)),
        ("max_position_embeddings", Int(4096)),
        ("norm_epsilon", Float(1e-5)),
        ("rope_theta", Float(1e4)),
        ("use_bias", Bool(true)),
        ("tie_word_embeddings", Bool(true)),
    ]],
    tensors: &[
        rows::OUTER,
        rows::NORMS,
        rows::NORM_BIASES,
        rows::ATTENTION,
        FFN,
        BIASES,
    ],
    tokenizer: policy::STARCODER2,
    ..Architecture::COMMON
};

/// Up and down, without a gate.
const FFN: &[Row] = &[
    Row::of("mlp.c_fc.weight", "ffn_up.weight", &[Ff, Embd]),
    Row::of("mlp.c_proj.weight", "ffn_down.weight", &[Embd, Ff]),
];

const BIASES: &[Row] = &[
    Row::of("self_attn.q_proj.bias", "attn_q.bias", &[Q]).needed_if("use_bias"),
    Row::of("self_attn.k_proj.bias", "attn_k.bias", &[Kv]).needed_if("use_bias"),
    Row::of("self_attn.v_proj.bias", "attn_v.bias", &[Kv]).needed_if("use_bias"),
    Row::of("self_attn.o_proj.bias", "attn_output.bias", &[Embd]).needed_if("use_bias"),
    Row::of("mlp.c_fc.bias", "ffn_up.bias", &[Ff]).needed_if("use_bias"),
    Row::of("mlp.c_proj.bias", "ffn_down.bias", &[Embd]).needed_if("use_bias"),
];
