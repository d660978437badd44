//! The table: what each tensor is called in a checkpoint and in a GGUF, and its shape.

/// A length that config.json decides.
#[derive(Clone, Copy)]
pub(super) enum Dim {
    Embd,
    Ff,
    Q,
    Kv,
    Vocab,
    Expert,
}

impl Dim {
    /// What decides it, by the names of config.json.
    pub(super) fn keys(self) -> &'static str {
        match self {
            Self::Embd => "`hidden_size`",
            Self::Ff => "`intermediate_size`",
            Self::Q => "`num_attention_heads` times `head_dim`",
            Self::Kv => "`num_key_value_heads` times `head_dim`",
            Self::Vocab => "`vocab_size`",
            Self::Expert => "`num_local_experts`",
        }
    }
}

/// One line of the table: the checkpoint's name and shape, and the GGUF's name.
pub(super) struct Rule {
    pub(super) source: &'static str,
    pub(super) target: &'static str,
    pub(super) shape: &'static [Dim],
    pub(super) rotary: bool,
    pub(super) optional: bool,
}

const fn rule(source: &'static str, target: &'static str, shape: &'static [Dim]) -> Rule {
    Rule {
        source,
        target,
        shape,
        rotary: false,
        optional: false,
    }
}

impl Rule {
    const fn rotary(mut self) -> Self {
        self.rotary = true;
        self
    }

    const fn optional(mut self) -> Self {
        self.optional = true;
        self
    }
}

use Dim::{Embd, Expert, Ff, Kv, Q, Vocab};

/// Follows `model.`, or what stands in its place.
pub(super) const GLOBAL: &[Rule] = &[
    rule("embed_tokens.weight", "token_embd.weight", &[Vocab, Embd]),
    rule("norm.weight", "output_norm.weight", &[Embd]),
];

/// Absent where the output is the token embedding; written all the same where it is there.
pub(super) const OUTPUT: Rule = rule("lm_head.weight", "output.weight", &[Vocab, Embd]);

/// Follows `model.layers.N.` and `blk.N.`.
pub(super) const ATTENTION: &[Rule] = &[
    rule("input_layernorm.weight", "attn_norm.weight", &[Embd]),
    rule(
        "post_attention_layernorm.weight",
        "ffn_norm.weight",
        &[Embd],
    ),
    rule("self_attn.q_proj.weight", "attn_q.weight", &[Q, Embd]).rotary(),
    rule("self_attn.k_proj.weight", "attn_k.weight", &[Kv, Embd]).rotary(),
    rule("self_attn.v_proj.weight", "attn_v.weight", &[Kv, Embd]),
    rule("self_attn.o_proj.weight", "attn_output.weight", &[Embd, Q]),
    rule("self_attn.q_proj.bias", "attn_q.bias", &[Q])
        .rotary()
        .optional(),
    rule("self_attn.k_proj.bias", "attn_k.bias", &[Kv])
        .rotary()
        .optional(),
    rule("self_attn.v_proj.bias", "attn_v.bias", &[Kv]).optional(),
    rule("self_attn.o_proj.bias", "attn_output.bias", &[Embd]).optional(),
];

pub(super) const DENSE_FFN: &[Rule] = &[
    rule("mlp.gate_proj.weight", "ffn_gate.weight", &[Ff, Embd]),
    rule("mlp.up_proj.weight", "ffn_up.weight", &[Ff, Embd]),
    rule("mlp.down_proj.weight", "ffn_down.weight", &[Embd, Ff]),
    rule("mlp.gate_proj.bias", "ffn_gate.bias", &[Ff]).optional(),
    rule("mlp.up_proj.bias", "ffn_up.bias", &[Ff]).optional(),
    rule("mlp.down_proj.bias", "ffn_down.bias", &[Embd]).optional(),
];

/// The router, as mergekit and transformers 4 named it, and since transformers 5.
pub(super) const ROUTER: Rule = rule(
    "block_sparse_moe.gate.weight",
    "ffn_gate_inp.weight",
    &[Expert, Embd],
);
pub(super) const FUSED_ROUTER: Rule =
    rule("mlp.gate.weight", "ffn_gate_inp.weight", &[Expert, Embd]);

/// One tensor for each expert: `block_sparse_moe.experts.E.{w1,w2,w3}.weight`.
pub(super) const EXPERTS: &[Rule] = &[
    rule("w1", "ffn_gate_exps.weight", &[Ff, Embd]),
    rule("w2", "ffn_down_exps.weight", &[Embd, Ff]),
    rule("w3", "ffn_up_exps.weight", &[Ff, Embd]),
];
