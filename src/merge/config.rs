//! `config.json` of the merged checkpoint, as mergekit-moe writes it: the base's, as one of a mixture.

use serde_json::{Map, Value as Json, json};

use super::{Layout, output::Output, rope::Rope};
use crate::{model::ModelConfig, source::Dtype};

/// What decides about a merged config.json.
pub(super) struct Merged<'a> {
    pub(super) output: Output,
    /// The base's config.
    pub(super) base: &'a ModelConfig,
    /// What it was read from.
    pub(super) json: &'a Json,
    /// `(experts, experts used for each token)`.
    pub(super) experts: (usize, u32),
    pub(super) n_vocab: usize,
    pub(super) dtype: Option<Dtype>,
}

impl Merged<'_> {
    /// The config, with [`Layout::Separate`] in the words of transformers 4, with [`Layout::Fused`] in those
    /// of 5.
    pub(super) fn config(&self, layout: Layout) -> Json {
        let (base, json) = (self.base, self.json);
        let architecture = self.output.architecture();
        let mut out = Map::new();
        let mut put = |key: &str, value: Json| out.insert(key.into(), value);
        // As it stands in the base's, in its own digits; else the default of the base's class.
        let own = |key: &str, default: f32| match json.get(key) {
            Some(value) if !value.is_null() => value.clone(),
            _ => shortest(default),
        };
        put("architectures", json!([architecture.classes[0]]));
        put("attention_dropout", json!(0.0));
        for kind in ["bos", "eos", "unk", "sep", "pad", "cls", "mask"] {
            let key = format!("{kind}_token_id");
            if let Some(id) = json.get(&key) {
                put(&key, id.clone());
            }
        }
        if let Some(dtype) = self.dtype {
            let key = match layout {
                Layout::Separate => "torch_dtype",
                Layout::Fused => "dtype",
            };
            put(key, json!(dtype.torch_name()));
        }
        put("hidden_act", json!("silu"));
        put("hidden_size", json!(base.n_embd));
        put("initializer_range", own("initializer_range", 0.02));
        put("intermediate_size", json!(base.n_ff));
        put("max_position_embeddings", json!(base.n_ctx));
        put("model_type", json!(architecture.model_type));
        put("num_attention_heads", json!(base.n_head));
        put("num_experts_per_tok", json!(self.experts.1));
        put("num_hidden_layers", json!(base.n_layer));
        put("num_key_value_heads", json!(base.n_head_kv));
        put("output_router_logits", json!(false));
        put("rms_norm_eps", own("rms_norm_eps", base.rms_eps));

        let rope = Rope::of(json);
        let is_scaled = rope.is_scaled();
        let Rope {
            theta,
            kind,
            mut scaling,
        } = rope;
        let theta = theta.unwrap_or_else(|| shortest(base.rope_theta));
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
        put("tie_word_embeddings", json!(base.tied));
        put("use_cache", json!(true));
        put("vocab_size", json!(self.n_vocab));
        for (key, value) in self.of_output(layout) {
            put(key, value);
        }
        Json::Object(out)
    }

    /// The keys that only this output has, and those of which each has its own.
    fn of_output(&self, layout: Layout) -> Vec<(&'static str, Json)> {
        let base = self.base;
        let n_expert = json!(self.experts.0);
        let head_dim = ("head_dim", json!(base.head_dim));
        let of_base = |key: &'static str| Some((key, self.json.get(key)?.clone()));
        // Both Qwens: mixtures in every layer, each expert as wide as a parent's network.
        let sparse = [
            ("decoder_sparse_step", json!(1)),
            ("mlp_only_layers", json!([])),
            ("moe_intermediate_size", json!(base.n_ff)),
            ("norm_topk_prob", json!(true)),
        ];
        let mut keys = Vec::new();
        match self.output {
            Output::Mixtral => keys.extend([
                head_dim,
                ("num_local_experts", n_expert),
                ("router_jitter_noise", json!(0.0)),
                ("sliding_window", Json::Null),
            ]),
            Output::Qwen2Moe => {
                // Only where the base has one that does not follow from the number of heads: the class
                // has no such key of its own.
                let is_own = self.json.get("head_dim").is_some_and(|d| !d.is_null());
                keys.extend(is_own.then_some(head_dim));
                keys.extend(sparse);
                keys.extend(of_base("max_window_layers"));
                keys.extend([
                    (
                        "layer_types",
                        json!(vec!["full_attention"; base.n_layer as usize]),
                    ),
                    ("num_experts", n_expert),
                    ("qkv_bias", json!(true)),
                    ("shared_expert_intermediate_size", json!(base.n_ff)),
                    ("sliding_window", Json::Null),
                    ("use_sliding_window", json!(false)),
                ]);
            }
            Output::Qwen3Moe => {
                keys.push(head_dim);
                keys.extend(sparse);
                let count = match layout {
                    Layout::Separate => "num_experts",
                    Layout::Fused => "num_local_experts",
                };
                keys.push((count, n_expert));
                let of_window = ["layer_types", "max_window_layers", "use_sliding_window"];
                keys.extend(of_window.into_iter().filter_map(of_base));
                // Without its switch a width counts for nothing.
                let is_on = self.json.get("use_sliding_window") == Some(&json!(true));
                let window = of_base("sliding_window").filter(|_| is_on);
                keys.push(window.unwrap_or(("sliding_window", Json::Null)));
                keys.push(("attention_bias", json!(false)));
            }
        }
        keys
    }
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
        for (output, class) in [
            (Output::Mixtral, "MistralForCausalLM"),
            (Output::Qwen2Moe, "Qwen2ForCausalLM"),
            (Output::Qwen2Moe, "LlamaForCausalLM"),
            (Output::Qwen3Moe, "Qwen3ForCausalLM"),
        ] {
            both_wordings_say(output, class);
        }
    }

    fn both_wordings_say(output: Output, class: &str) {
        let plain = json!({
            "architectures": [class], "hidden_size": 64, "num_hidden_layers": 2,
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
            // Not all families have all scalings; a merge refuses what is not the output's.
            let Ok(base) = ModelConfig::from_json(&json) else {
                let is_llama = json["architectures"][0] == "LlamaForCausalLM";
                assert!(!is_llama && json["rope_scaling"]["rope_type"] == "llama3");
                continue;
            };
            if !base.rope_scaling.is_taken_by(output.architecture()) {
                assert_eq!(base.rope_scaling.name(), "llama3");
                continue;
            }
            for layout in [Layout::Separate, Layout::Fused] {
                let merged = Merged {
                    output,
                    base: &base,
                    json: &json,
                    experts: (4, 3),
                    n_vocab: 100,
                    dtype: Some(Dtype::Bf16),
                };
                let merged = merged.config(layout);
                assert_eq!(merged["sliding_window"], Json::Null);
                assert_eq!(dtype_of(&merged), Some(Dtype::Bf16));
                let merged = ModelConfig::from_json(&merged).unwrap();
                assert_eq!(merged.architecture, output.architecture());
                assert_eq!((merged.experts, merged.n_vocab), (Some((4, 3)), 100));
                let of =
                    |c: &ModelConfig| (c.n_layer, c.lengths(), c.rms_eps, c.rope_theta, c.tied);
                let expected = Lengths {
                    vocab: Some(100),
                    experts: Some(4),
                    expert_ff: Some(base.n_ff.into()),
                    shared_ff: output.has_shared_expert().then_some(base.n_ff.into()),
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
