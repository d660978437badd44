//! What is not told, because it fits.

use super::*;

#[test]
fn what_fits_is_not_told() {
    let llama = Model::llama;
    let none = [""; 0];
    assert_eq!(llama().found(), none);
    for (what, model) in [
        ("a number for each layer", {
            let heads = Array::I32(vec![4, 4]);
            llama().with("llama.attention.head_count", heads)
        }),
        (
            "no key and value heads of its own",
            llama()
                .without("llama.attention.head_count_kv")
                .with_tensor("blk.0.attn_k.weight", &[32, 32])
                .with_tensor("blk.1.attn_k.weight", &[32, 32])
                .with_tensor("blk.0.attn_v.weight", &[32, 32])
                .with_tensor("blk.1.attn_v.weight", &[32, 32]),
        ),
        (
            "queries, keys and values in one",
            llama()
                .without_tensors("blk.1.attn_q")
                .without_tensors("blk.1.attn_k")
                .without_tensors("blk.1.attn_v")
                .with_tensor("blk.1.attn_qkv.weight", &[32, 64]),
        ),
        (
            "experts without a gate",
            llama().without_tensors("ffn_gate_exps"),
        ),
        (
            "no token",
            llama().with("tokenizer.ggml.eos_token_id", u32::MAX),
        ),
        (
            "no vocabulary",
            llama()
                .with("tokenizer.ggml.model", "none")
                .without("tokenizer.ggml.tokens")
                .with("llama.vocab_size", 5u32),
        ),
        ("a vocabulary alone", {
            let mut model = llama().without("llama.block_count");
            model.tensors.clear();
            model
        }),
        (
            "the first part of a split model",
            llama()
                .without_tensors("blk.1")
                .without_tensors("output")
                .with("split.no", Value::U16(0))
                .with("split.count", Value::U16(2)),
        ),
        (
            "a later part",
            Model {
                key_values: vec![("split.no".into(), Value::U16(1))],
                tensors: vec![("blk.1.attn_q.weight".into(), vec![1])],
            },
        ),
        (
            "an adapter",
            llama()
                .with("general.type", "adapter")
                .without_tensors("norm"),
        ),
        (
            "a projector",
            Model {
                key_values: vec![
                    ("general.architecture".into(), "clip".into()),
                    ("clip.vision.block_count".into(), 1u32.into()),
                ],
                tensors: vec![("v.blk.0.attn_q.weight".into(), vec![1])],
            },
        ),
        (
            "of another program",
            Model {
                key_values: vec![
                    ("general.architecture".into(), "flux".into()),
                    ("flux.width".into(), 1u32.into()),
                ],
                tensors: vec![("blk.0.attn_q.weight".into(), vec![1])],
            },
        ),
        (
            "without a word",
            Model {
                key_values: KeyValues::new(),
                tensors: vec![("a".into(), vec![1])],
            },
        ),
        (
            "layers that predict tokens further on, and were left out",
            llama()
                .of("glm4moe")
                .with("glm4moe.block_count", 3u32)
                .with("glm4moe.nextn_predict_layers", 1u32),
        ),
        (
            "layers that predict tokens further on, and are there",
            llama()
                .of("glm4moe")
                .with("glm4moe.block_count", 3u32)
                .with("glm4moe.nextn_predict_layers", 1u32)
                .with_tensor("blk.2.attn_norm.weight", &[32])
                .with_tensor("blk.2.nextn.eh_proj.weight", &[64, 32]),
        ),
        (
            "a dense layer first, then shared experts and groups of experts",
            llama()
                .of("deepseek2")
                .with("deepseek2.expert_count", 4u32)
                .with("deepseek2.leading_dense_block_count", 1u32)
                .with("deepseek2.expert_shared_count", 1u32)
                .with("deepseek2.expert_group_count", 2u32)
                .with("deepseek2.expert_group_used_count", 1u32)
                .with(
                    "deepseek2.expert_feed_forward_length",
                    Array::I32(vec![0, 16]),
                )
                .with("deepseek2.expert_weights_scale", 2.5f32)
                .with("deepseek2.expert_weights_norm", true)
                .without_tensors("ffn_gate_inp")
                .without_tensors("_exps")
                .with_tensor("blk.0.ffn_down.weight", &[48, 32])
                .with_tensor("blk.1.ffn_gate_inp.weight", &[32, 4])
                .with_tensor("blk.1.exp_probs_b.bias", &[4])
                .with_tensor("blk.1.ffn_gate_up_exps.weight", &[32, 32, 4])
                .with_tensor("blk.1.ffn_down_exps.weight", &[16, 32, 4])
                .with_tensor("blk.1.ffn_down_shexp.weight", &[16, 32]),
        ),
        (
            "one group of all experts",
            llama()
                .of("glm4moe")
                .with("glm4moe.expert_group_count", 1u32),
        ),
        (
            "layers that do nothing",
            llama()
                .of("deci")
                .with("deci.block_count", 3u32)
                .with("deci.attention.head_count", Array::I32(vec![4, 4, 0]))
                .with("deci.attention.head_count_kv", Array::I32(vec![2, 2, 0]))
                .with("deci.feed_forward_length", Array::I32(vec![48, 48, 0])),
        ),
        (
            "layers that do not attend",
            llama()
                .of("lfm2")
                .with("lfm2.attention.head_count_kv", Array::I32(vec![0, 2])),
        ),
        (
            "heads of a width of their own",
            llama()
                .of("qwen3")
                .with("qwen3.attention.head_count", 6u32)
                .with("qwen3.attention.key_length", 128u32)
                .with("qwen3.rope.dimension_count", 64u32),
        ),
    ] {
        assert_eq!(model.found(), none, "{what}");
    }
}
