use serde_json::json;

use super::*;

fn small(class: &str) -> Value {
    json!({
        "architectures": [class],
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 8,
    })
}

#[test]
fn missing_keys_take_the_defaults_of_the_class() {
    let llama = ModelConfig::from_json(&small("LlamaForCausalLM")).unwrap();
    assert_eq!(
        (llama.n_head_kv, llama.n_ctx, llama.rope_theta),
        (8, 2048, 1e4)
    );
    assert!(llama.hparams.find(&["head_dim"]).is_some() && llama.experts.is_none());

    let mixtral = ModelConfig::from_json(&small("MixtralForCausalLM")).unwrap();
    assert_eq!(
        (mixtral.n_head_kv, mixtral.n_ctx, mixtral.rope_theta),
        (8, 131_072, 1e6)
    );
    assert_eq!((mixtral.experts, mixtral.rms_eps), (Some((8, 2)), 1e-5));
    assert!(mixtral.hparams.find(&["head_dim"]).is_none());
}

#[test]
fn transformers_5_writes_rope_parameters() {
    let mut config = small("MixtralForCausalLM");
    config["rope_parameters"] = json!({"rope_theta": 10000.0, "rope_type": "default"});
    config["head_dim"] = json!(8);
    let config = ModelConfig::from_json(&config).unwrap();
    assert_eq!((config.rope_theta, config.head_dim), (1e4, 8));
    assert_eq!(config.rope_scaling, RopeScaling::None);
    assert!(config.hparams.find(&["head_dim"]).is_some());
}

#[test]
fn impossible_values_are_named() {
    let cases = [
        (
            "hidden_size",
            json!(0),
            "`hidden_size` is 0, expected an integer from 1",
        ),
        ("hidden_size", json!("64"), "`hidden_size` is \"64\""),
        (
            "num_key_value_heads",
            json!(3),
            "expected a divisor of num_attention_heads, 8",
        ),
        ("head_dim", json!(7), "expected an even number"),
        (
            "num_experts_per_tok",
            json!(9),
            "at most num_local_experts, 8",
        ),
        ("rms_norm_eps", json!(-1.0), "expected a positive number"),
        (
            "num_hidden_layers",
            json!(1u64 << 40),
            "expected an integer from 1",
        ),
        (
            "architectures",
            json!(["GPT2LMHeadModel"]),
            "is `GPT2LMHeadModel`, expected one that `convert --list-arch",
        ),
        ("architectures", json!([]), "is missing"),
        (
            "quantization_config",
            json!({"quant_method": "gptq"}),
            "names `gptq`",
        ),
        (
            "rope_scaling",
            json!({"type": "longrope", "factor": 2.0}),
            "`longrope`",
        ),
    ];
    for (key, value, fragment) in cases {
        let mut config = small("MixtralForCausalLM");
        config[key] = value;
        let error = ModelConfig::from_json(&config).unwrap_err().to_string();
        assert!(error.contains(fragment), "{key}: {error}");
    }
}
