//! `config.json` of the merged checkpoint, as mergekit-moe writes it: the base's, as a Mixtral.

use serde_json::{Map, Value as Json, json};

use super::{Layout, rope::Rope};
use crate::{model::ModelConfig, source::Dtype};

/// The config of a Mixtral of `n_expert` experts with the base's `config`, which is read from `json`.
/// With [`Layout::Separate`] in the words of transformers 4, with [`Layout::Fused`] in those of 5.
pub(super) fn mixtral(
    config: &ModelConfig,
    json: &Json,
    (n_expert, n_expert_used): (usize, u32),
    n_vocab: usize,
    dtype: Option<Dtype>,
    layout: Layout,
) -> Json {
    let mut out = Map::new();
    let mut put = |key: &str, value: Json| out.insert(key.into(), value);
    // As it stands in the base's, in its own digits; else the default of the base's class.
    let own = |key: &str, default: f32| match json.get(key) {
        Some(value) if !value.is_null() => value.clone(),
        _ => shortest(default),
    };
    put("architectures", json!(["MixtralForCausalLM"]));
    put("attention_dropout", json!(0.0));
    for kind in ["bos", "eos", "unk", "sep", "pad", "cls", "mask"] {
        let key = format!("{kind}_token_id");
        if let Some(id) = json.get(&key) {
            put(&key, id.clone());
        }
    }
    if layout == Layout::Fused
        && let Some(dtype) = dtype
    {
        put("dtype", json!(dtype.torch_name()));
    }
    put("head_dim", json!(config.head_dim));
    put("hidden_act", json!("silu"));
    put("hidden_size", json!(config.n_embd));
    put("initializer_range", own("initializer_range", 0.02));
    put("intermediate_size", json!(config.n_ff));
    put("max_position_embeddings", json!(config.n_ctx));
    put("model_type", json!("mixtral"));
    put("num_attention_heads", json!(config.n_head));
    put("num_experts_per_tok", json!(n_expert_used));
    put("num_hidden_layers", json!(config.n_layer));
    put("num_key_value_heads", json!(config.n_head_kv));
    put("num_local_experts", json!(n_expert));
    put("output_router_logits", json!(false));
    put("rms_norm_eps", own("rms_norm_eps", config.rms_eps));

    let rope = Rope::of(json);
    let is_scaled = rope.is_scaled();
    let Rope {
        theta,
        kind,
        mut scaling,
    } = rope;
    let theta = theta.unwrap_or_else(|| shortest(config.rope_theta));
    match layout {
        Layout::Separate => {
            put(
                "rope_scaling",
                match is_scaled {
                    false => Json::Null,
                    true => {
                        scaling.insert("rope_type".into(), kind);
                        Json::Object(scaling)
                    }
                },
            );
            put("rope_theta", theta);
        }
        Layout::Fused => {
            scaling.insert("rope_theta".into(), theta);
            scaling.insert("rope_type".into(), kind);
            put("rope_parameters", Json::Object(scaling));
        }
    }
    put("router_aux_loss_coef", json!(0.001));
    put("router_jitter_noise", json!(0.0));
    put("sliding_window", Json::Null);
    put("tie_word_embeddings", json!(config.tied));
    if layout == Layout::Separate
        && let Some(dtype) = dtype
    {
        put("torch_dtype", json!(dtype.torch_name()));
    }
    put("use_cache", json!(true));
    put("vocab_size", json!(n_vocab));
    Json::Object(out)
}

/// The number in the fewest digits that give it back.
fn shortest(x: f32) -> Json {
    let text = format!("{x:e}");
    text.parse::<f64>().map_or(Json::Null, |x| json!(x))
}

/// The format that a config.json says its weights are of.
pub(super) fn dtype_of(config: &Json) -> Option<Dtype> {
    ["dtype", "torch_dtype"]
        .iter()
        .find_map(|key| Dtype::from_torch_name(config.get(*key)?.as_str()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::architecture::Lengths;

    /// What counts of the config is the same in both wordings, and the base's.
    #[test]
    fn both_wordings_say_what_the_base_says() {
        let plain = json!({
            "architectures": ["MistralForCausalLM"], "hidden_size": 64, "num_hidden_layers": 2,
            "num_attention_heads": 8, "num_key_value_heads": 2, "sliding_window": 4096,
        });
        let with = |key: &str, value: Json| {
            let mut config = plain.clone();
            config[key] = value;
            config
        };
        let bases = [
            plain.clone(),
            with("rope_theta", json!(5e5)),
            with(
                "rope_parameters",
                json!({"rope_theta": 1e6, "rope_type": "default"}),
            ),
            with("rope_scaling", json!({"type": "linear", "factor": 2.0})),
            with(
                "rope_scaling",
                json!({"rope_type": "llama3", "factor": 8.0, "original_max_position_embeddings": 1024}),
            ),
            with("rms_norm_eps", json!(1e-5)),
            with("head_dim", json!(16)),
            with("tie_word_embeddings", json!(true)),
        ];
        for json in bases {
            let base = ModelConfig::from_json(&json).unwrap();
            for layout in [Layout::Separate, Layout::Fused] {
                let merged = mixtral(&base, &json, (4, 3), 100, Some(Dtype::Bf16), layout);
                assert_eq!(merged["sliding_window"], Json::Null);
                assert_eq!(dtype_of(&merged), Some(Dtype::Bf16));
                let merged = ModelConfig::from_json(&merged).unwrap();
                let mixtral = crate::model::families::named("Mixtral").unwrap();
                assert_eq!(merged.architecture, mixtral);
                assert_eq!((merged.experts, merged.n_vocab), (Some((4, 3)), 100));
                let of =
                    |c: &ModelConfig| (c.n_layer, c.lengths(), c.rms_eps, c.rope_theta, c.tied);
                let expected = Lengths {
                    vocab: Some(100),
                    experts: Some(4),
                    expert_ff: Some(base.n_ff.into()),
                    ..base.lengths()
                };
                assert_eq!(
                    of(&merged),
                    (
                        of(&base).0,
                        expected,
                        base.rms_eps,
                        base.rope_theta,
                        base.tied
                    ),
                    "{json}"
                );
                assert_eq!(merged.rope_scaling, base.rope_scaling, "{json}");
            }
        }
    }
}
