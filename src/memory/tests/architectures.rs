//! What is different from architecture to architecture.

use super::*;

#[test]
fn layers_that_predict_further_on_are_not_read() {
    let (mut keys, tensors) = small();
    let of = |keys: &[(String, Value)]| demand(&Shape::new(keys, &tensors), &Usage::on_cpu(256));
    let whole = of(&keys);
    keys.push(("llama.nextn_predict_layers".to_owned(), 1u32.into()));
    let without = of(&keys);
    assert_eq!(without.weights, whole.weights - (Q + NORM + EXPERTS));
    assert_eq!(without.kv_cache, whole.kv_cache / 2);
    // A draft has no others.
    keys.retain(|(key, _)| key != "llama.block_count");
    keys.push(("llama.block_count".to_owned(), 1u32.into()));
    assert_eq!(of(&keys).weights, whole.weights);
}

#[test]
fn what_is_computed_is_as_wide_as_the_widest_place() {
    let compute = |architecture: &str, more: &[(&str, u32)]| {
        let (mut keys, tensors) = small();
        keys[0].1 = architecture.into();
        for (key, _) in &mut keys[1..] {
            *key = key.replace("llama", architecture);
        }
        for &(key, number) in more {
            let key = format!("{architecture}.{key}");
            keys.retain(|(k, _)| *k != key);
            keys.push((key, number.into()));
        }
        let usage = Usage::on_cpu(256);
        demand(&Shape::new(&keys, &tensors), &usage).compute
    };
    let floats = |width: u64| width * u64::from(Usage::UBATCH_CPU) * 4;
    // Two experts of 1024, three times: gate, up and their product.
    let experts = compute("llama", &[]);
    let narrow = [("expert_feed_forward_length", 256)];
    // What is left is a dense layer of 1024.
    assert_eq!(experts - compute("qwen2moe", &narrow), floats(3 * 1024));
    let shared = [narrow[0], ("expert_shared_feed_forward_length", 2048)];
    assert_eq!(compute("qwen2moe", &shared), experts);
    let shared = [narrow[0], ("expert_shared_count", 8)];
    assert_eq!(compute("deepseek2", &shared), experts);
    // Which tokens are seen, for layers with a window and for those without: two bytes for each pair.
    let window = [narrow[0], ("attention.sliding_window", 64)];
    assert_eq!(
        compute("cohere2", &window) - compute("cohere2", &narrow),
        256 * u64::from(Usage::UBATCH_CPU) * 2
    );
    // Heads that are wider than their share of the embedding: queries, and what is made of them.
    let wide = [narrow[0], ("attention.key_length", 2048)];
    assert_eq!(
        compute("qwen3moe", &wide) - compute("qwen3moe", &narrow),
        floats(2 * 4 * 2048) - floats(3 * 1024)
    );
}

/// Bytes of keys, values and states of a model of 4 layers of an architecture, 256 tokens.
fn kept(architecture: &str, more: &[(&str, u32)]) -> u64 {
    let common = [
        ("block_count", 4),
        ("embedding_length", 512),
        ("attention.head_count", 4),
        ("attention.head_count_kv", 2),
    ];
    let number =
        |&(key, value): &(&str, u32)| (format!("{architecture}.{key}"), Value::from(value));
    let mut keys = vec![("general.architecture".to_owned(), Value::from(architecture))];
    keys.extend(common.iter().chain(more).map(number));
    demand(&Shape::new(&keys, []), &Usage::on_cpu(256)).kv_cache
}

#[test]
fn architectures_keep_what_is_theirs() {
    // Keys and values of two heads of 128, 2 bytes each, 256 tokens.
    let layer = 2 * 2 * 128 * 2 * 256;
    assert_eq!(kept("llama", &[]), 4 * layer);
    // Heads that are not the embedding's share.
    let wide = [
        ("attention.key_length", 256),
        ("attention.value_length", 64),
    ];
    assert_eq!(kept("gemma3", &wide), 4 * 2 * (256 + 64) * 2 * 256);
    // One latent vector for key and value.
    let latent = [
        ("attention.key_length", 576),
        ("attention.value_length", 512),
        ("attention.key_length_mla", 192),
        ("attention.value_length_mla", 128),
    ];
    assert_eq!(kept("deepseek2", &latent), 4 * 2 * 576 * 2 * 256);
    // The last layers use another one's keys, or predict further tokens.
    assert_eq!(
        kept("gemma4", &[("attention.shared_kv_layers", 1)]),
        3 * layer
    );
    assert_eq!(kept("glm4moe", &[("nextn_predict_layers", 1)]), 3 * layer);
    // States do not grow with the context.
    let ssm = [
        ("ssm.conv_kernel", 4),
        ("ssm.inner_size", 1024),
        ("ssm.state_size", 16),
        ("ssm.group_count", 1),
    ];
    let state = 4 * (3 * (1024 + 2 * 16) + 1024 * 16);
    assert_eq!(kept("mamba2", &ssm), 4 * state);
    let every_fourth = [&ssm[..], &[("full_attention_interval", 4)]].concat();
    assert_eq!(kept("qwen3next", &every_fourth), layer + 4 * state);
    let predicting = [&every_fourth[..], &[("nextn_predict_layers", 1)]].concat();
    assert_eq!(kept("qwen3next", &predicting), 3 * state);
    let shift = [("wkv.head_size", 64), ("token_shift_count", 2)];
    assert_eq!(kept("rwkv7", &shift), 4 * 4 * 512 * (2 + 64));
    assert_eq!(
        kept("lfm2", &[("shortconv.l_cache", 3)]),
        4 * (layer + 4 * 512 * 2)
    );
}
