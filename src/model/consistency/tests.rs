use super::*;

mod fits;
mod vocabulary;

/// A header that fits itself, to be spoilt.
#[derive(Clone)]
struct Model {
    key_values: KeyValues,
    tensors: Vec<(String, Vec<u64>)>,
}

impl Model {
    /// A Llama of two layers of two experts.
    fn llama() -> Self {
        let number = |key: &str, n: u32| (format!("llama.{key}"), Value::U32(n));
        let tokens = ["<unk>", "<s>", "</s>", "a", "b"];
        let tokens = tokens.map(Into::into).to_vec();
        let key_values: KeyValues = vec![
            ("general.architecture".into(), "llama".into()),
            number("block_count", 2),
            number("context_length", 64),
            number("embedding_length", 32),
            number("feed_forward_length", 48),
            number("attention.head_count", 4),
            number("attention.head_count_kv", 2),
            number("rope.dimension_count", 8),
            number("expert_count", 2),
            number("expert_used_count", 2),
            ("llama.rope.freq_base".into(), 1e4f32.into()),
            (
                "llama.attention.layer_norm_rms_epsilon".into(),
                1e-5f32.into(),
            ),
            ("tokenizer.ggml.model".into(), "llama".into()),
            ("tokenizer.ggml.tokens".into(), Array::String(tokens).into()),
            (
                "tokenizer.ggml.scores".into(),
                Array::F32(vec![0.0; 5]).into(),
            ),
            (
                "tokenizer.ggml.token_type".into(),
                Array::I32(vec![1; 5]).into(),
            ),
            ("tokenizer.ggml.eos_token_id".into(), 2u32.into()),
            ("tokenizer.ggml.add_bos_token".into(), true.into()),
            ("tokenizer.chat_template".into(), "{{ messages }}".into()),
        ];
        let mut tensors: Vec<(String, Vec<u64>)> = vec![
            ("token_embd.weight".into(), vec![32, 5]),
            ("output_norm.weight".into(), vec![32]),
        ];
        for layer in 0..2 {
            for (name, dims) in [
                ("attn_norm", &[32][..]),
                ("attn_q", &[32, 32]),
                ("attn_k", &[32, 16]),
                ("attn_v", &[32, 16]),
                ("attn_output", &[32, 32]),
                ("ffn_norm", &[32]),
                ("ffn_gate_inp", &[32, 2]),
                ("ffn_gate_exps", &[32, 48, 2]),
                ("ffn_up_exps", &[32, 48, 2]),
                ("ffn_down_exps", &[48, 32, 2]),
            ] {
                tensors.push((format!("blk.{layer}.{name}.weight"), dims.to_vec()));
            }
        }
        Self {
            key_values,
            tensors,
        }
    }

    fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.key_values.retain(|(k, _)| k != key);
        self.key_values.push((key.into(), value.into()));
        self
    }

    fn without(mut self, key: &str) -> Self {
        self.key_values.retain(|(k, _)| k != key);
        self
    }

    fn without_tensors(mut self, part: &str) -> Self {
        self.tensors.retain(|(name, _)| !name.contains(part));
        self
    }

    fn with_tensor(mut self, name: &str, dims: &[u64]) -> Self {
        self.tensors.retain(|(n, _)| n != name);
        self.tensors.push((name.into(), dims.to_vec()));
        self
    }

    /// The same under the name of another architecture.
    fn of(mut self, architecture: &str) -> Self {
        for (key, _) in &mut self.key_values {
            if let Some(rest) = key.strip_prefix("llama.") {
                *key = format!("{architecture}.{rest}");
            }
        }
        self.with("general.architecture", architecture)
    }

    fn found(&self) -> Vec<String> {
        let tensors = self.tensors.iter();
        let tensors = tensors.map(|(name, dims)| (name.as_str(), dims.as_slice()));
        let found = check(&self.key_values, tensors);
        found.iter().map(ToString::to_string).collect()
    }
}

#[test]
fn numbers_are_held_against_each_other() {
    let key = |key: &str, value: Value| Model::llama().with(key, value);
    let number = |name: &str, n: u32| key(name, n.into());
    let four_experts = || {
        let model = Model::llama().of("glm4moe").without_tensors("_exps");
        let model = model.without_tensors("ffn_gate_inp");
        model.with("glm4moe.expert_count", 4u32)
    };
    for (model, expected) in [
        (
            Model::llama().without("general.architecture"),
            "`general.architecture` is missing, expected the name of one that llama.cpp runs",
        ),
        // The keys of another architecture than the one that is named.
        (
            Model::llama().with("general.architecture", "smollm9"),
            "`smollm9.context_length` is missing, expected a number",
        ),
        (
            Model::llama().without("llama.context_length"),
            "`llama.context_length` is missing, expected a number",
        ),
        (
            Model::llama().without("llama.block_count"),
            "`llama.block_count` is missing, expected a number",
        ),
        (
            number("llama.block_count", 0),
            "`llama.block_count` is 0, expected 1 to 512",
        ),
        (
            key("llama.block_count", "2".into()),
            "`llama.block_count` is of type str, expected u32",
        ),
        (
            number("llama.expert_used_count", 3),
            "`llama.expert_used_count` is 3, expected 1 to 2 (`llama.expert_count`)",
        ),
        (
            number("llama.expert_used_count", 0),
            "`llama.expert_used_count` is 0, expected 1 to 2 (`llama.expert_count`)",
        ),
        (
            Model::llama().without("llama.expert_used_count"),
            "`llama.expert_used_count` is missing, expected 1 to 2 (`llama.expert_count`)",
        ),
        (
            number("llama.expert_count", 2000),
            "`llama.expert_count` is 2000, expected 0 to 1024",
        ),
        (
            key("llama.attention.head_count", Array::I32(vec![4; 3]).into()),
            "`llama.attention.head_count` is an array of 3 numbers, expected 2 (`llama.block_count`)",
        ),
        (
            key("llama.feed_forward_length", Array::F32(vec![1.0; 2]).into()),
            "`llama.feed_forward_length` is an array of f32, expected one of u32 or i32",
        ),
        (
            number("llama.attention.head_count", 5),
            "`llama.attention.head_count` is 5, expected a divisor of 32 (`llama.embedding_length`)",
        ),
        (
            number("llama.attention.head_count_kv", 3),
            "`llama.attention.head_count_kv` is 3, expected a divisor of 4 \
             (`llama.attention.head_count`)",
        ),
        (
            number("llama.rope.dimension_count", 4),
            "`llama.rope.dimension_count` is 4, expected 8",
        ),
        (
            number("llama.rope.freq_base", 10_000),
            "`llama.rope.freq_base` is of type u32, expected f32",
        ),
        (
            Model::llama().without("llama.attention.layer_norm_rms_epsilon"),
            "`llama.attention.layer_norm_rms_epsilon` is missing, expected f32",
        ),
        (
            number("llama.leading_dense_block_count", 3),
            "`llama.leading_dense_block_count` is 3, expected 0 to 2",
        ),
        (
            number("llama.expert_group_count", 2),
            "`llama.expert_group_count` is 2, expected 0 to 1",
        ),
        (
            four_experts().with("glm4moe.expert_group_count", 3u32),
            "`glm4moe.expert_group_count` is 3, expected a divisor of 4 (`glm4moe.expert_count`)",
        ),
        (
            four_experts().with("glm4moe.expert_group_count", 2u32),
            "`glm4moe.expert_group_used_count` is missing, expected at least 1 of 2 groups",
        ),
        (
            four_experts()
                .with("glm4moe.expert_group_count", 2u32)
                .with("glm4moe.expert_group_used_count", 2u32),
            "`glm4moe.expert_group_used_count` is 2, expected 1",
        ),
        (
            key(
                "llama.expert_feed_forward_length",
                Array::I32(vec![8; 3]).into(),
            ),
            "`llama.expert_feed_forward_length` is an array of 3 numbers, expected 2 \
             (`llama.block_count`)",
        ),
        (
            number("llama.expert_weights_norm", 1),
            "`llama.expert_weights_norm` is of type u32, expected bool",
        ),
        (
            key("llama.attention.sliding_window", Value::I32(8)),
            "`llama.attention.sliding_window` is of type i32, expected u32",
        ),
        (
            number("llama.nextn_predict_layers", 3),
            "`llama.nextn_predict_layers` is 3, expected 0 to 2",
        ),
    ] {
        let found = model.found();
        assert_eq!(
            found.first().map(String::as_str),
            Some(expected),
            "{found:#?}"
        );
    }
}

#[test]
fn tensors_are_held_against_the_numbers() {
    let number = |name: &str, n: u32| Model::llama().with(name, n);
    for (model, expected) in [
        (
            number("llama.block_count", 1),
            &["`llama.block_count` is 1, expected at least 2: there is `blk.1.attn_k.weight`"][..],
        ),
        (
            number("llama.block_count", 4),
            &["`llama.block_count` is 4, expected 2"],
        ),
        (
            Model::llama().without_tensors("blk.0"),
            &["`llama.block_count` is 2, expected tensors for as many layers: `blk.0` has none"],
        ),
        (
            Model::llama().without_tensors("blk."),
            &["`llama.block_count` is 2, expected tensors for them: there is no `blk.0`"],
        ),
        (
            number("llama.expert_count", 3),
            &["`llama.expert_count` is 3, expected 2, the experts of \
               `blk.0.ffn_down_exps.weight`"],
        ),
        (
            Model::llama()
                .without("llama.expert_count")
                .without("llama.expert_used_count"),
            &[
                "`llama.expert_count` is missing, expected 2, the experts of \
               `blk.0.ffn_down_exps.weight`",
            ],
        ),
        (
            Model::llama().with_tensor("blk.1.ffn_gate_inp.weight", &[32, 4]),
            &["`llama.expert_count` is 2, expected 4, the experts of \
               `blk.1.ffn_gate_inp.weight`"],
        ),
        (
            Model::llama().without_tensors("blk.1.ffn_norm"),
            &["`blk.1.ffn_norm.weight` is missing, expected it of shape [32]"],
        ),
        (
            Model::llama().with_tensor("token_embd.weight", &[32, 6]),
            &["`token_embd.weight` is of shape [32, 6], expected [32, 5]"],
        ),
        (
            Model::llama().with_tensor("output.weight", &[32, 4]),
            &["`output.weight` is of shape [32, 4], expected [32, 5]"],
        ),
        (
            Model::llama().with_tensor("blk.0.attn_v.weight", &[32, 8]),
            &["`blk.0.attn_v.weight` is of shape [32, 8], expected [32, 16]"],
        ),
        (
            number("llama.feed_forward_length", 64).without_tensors("blk.0.ffn_up"),
            &[
                "`blk.0.ffn_gate_exps.weight` is of shape [32, 48, 2], expected [32, 64, 2]",
                "`blk.0.ffn_down_exps.weight` is of shape [48, 32, 2], expected [64, 32, 2]",
                "`blk.0.ffn_up_exps.weight` is missing, expected it of shape [32, 64, 2]",
                "`blk.1.ffn_gate_exps.weight` is of shape [32, 48, 2], expected [32, 64, 2]",
                "`blk.1.ffn_down_exps.weight` is of shape [48, 32, 2], expected [64, 32, 2]",
                "`blk.1.ffn_up_exps.weight` is of shape [32, 48, 2], expected [32, 64, 2]",
            ],
        ),
        (
            Model::llama()
                .of("glm4moe")
                .with_tensor("blk.1.exp_probs_b.bias", &[3]),
            &["`glm4moe.expert_count` is 2, expected 3, the experts of `blk.1.exp_probs_b.bias`"],
        ),
        (
            Model::llama()
                .of("glm4moe")
                .with("glm4moe.nextn_predict_layers", 1u32),
            &["`blk.1.nextn.eh_proj.weight` is missing, expected it of shape [64, 32]"],
        ),
        (
            Model::llama()
                .of("glm4moe")
                .with("glm4moe.nextn_predict_layers", 1u32)
                .with_tensor("blk.1.nextn.eh_proj.weight", &[32, 32]),
            &["`blk.1.nextn.eh_proj.weight` is of shape [32, 32], expected [64, 32]"],
        ),
        // What holds for all architectures.
        (
            Model::llama()
                .of("dbrx")
                .with_tensor("token_embd.weight", &[32, 6])
                .with_tensor("output_norm.weight", &[16])
                .with_tensor("blk.7.x.weight", &[1]),
            &[
                "`dbrx.block_count` is 2, expected at least 8: there is `blk.7.x.weight`",
                "`token_embd.weight` is of shape [32, 6], expected [32, 5]",
                "`output_norm.weight` is of shape [16], expected [32]",
            ],
        ),
    ] {
        assert_eq!(model.found(), expected);
    }
}
