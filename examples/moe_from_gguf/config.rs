//! `config.json` and the model card.

use anyhow::{Context, ensure};
use serde_json::{Value as Json, json};
use swallow_gguf::gguf::{Array, Gguf, Value, escape};

use crate::Dtype;

/// The hyper-parameters of a dense Llama model.
pub(crate) struct Config {
    pub(crate) n_layer: u64,
    pub(crate) n_embd: u64,
    pub(crate) n_ff: u64,
    pub(crate) n_head: u64,
    pub(crate) n_head_kv: u64,
    pub(crate) head_dim: u64,
    n_vocab: u64,
    n_ctx: u64,
    rope_theta: f32,
    rms_eps: f32,
    tied: bool,
    bos: Option<u64>,
    eos: Option<u64>,
    pad: Option<u64>,
}

impl Config {
    /// Reads the hyper-parameters from the key-values, and the vocabulary's size from the
    /// embedding.
    pub(crate) fn of(gguf: &Gguf) -> anyhow::Result<Self> {
        let architecture = gguf.get_str("general.architecture").unwrap_or("none");
        ensure!(
            architecture == "llama",
            "architecture `{architecture}`, expected `llama`"
        );
        let experts = gguf.get_u64("llama.expert_count").unwrap_or(0);
        ensure!(
            experts == 0,
            "it has {experts} experts already, expected a dense model"
        );
        let scaled = gguf
            .get_str("llama.rope.scaling.type")
            .is_some_and(|kind| kind != "none")
            || gguf.tensor("rope_freqs.weight").is_some();
        ensure!(
            !scaled,
            "its rope scaling is not carried over by this example"
        );

        let number = |key: &str| {
            gguf.get_u64(key)
                .with_context(|| format!("the key `{key}` is no positive integer"))
        };
        let float = |key: &str| gguf.get_f32(key);
        let (n_embd, n_head) = (
            number("llama.embedding_length")?,
            number("llama.attention.head_count")?,
        );
        ensure!(n_head > 0, "the key `llama.attention.head_count` is 0");
        let embedding = gguf
            .tensor("token_embd.weight")
            .context("no tensor `token_embd.weight`")?;
        let id = |name: &str| gguf.get_u64(&format!("tokenizer.ggml.{name}_token_id"));
        Ok(Self {
            n_layer: number("llama.block_count")?,
            n_embd,
            n_ff: number("llama.feed_forward_length")?,
            n_head,
            n_head_kv: gguf
                .get_u64("llama.attention.head_count_kv")
                .unwrap_or(n_head),
            head_dim: gguf
                .get_u64("llama.attention.key_length")
                .unwrap_or(n_embd / n_head),
            n_vocab: embedding.rows(),
            n_ctx: number("llama.context_length")?,
            rope_theta: float("llama.rope.freq_base").unwrap_or(10_000.0),
            rms_eps: float("llama.attention.layer_norm_rms_epsilon")
                .context("the key `llama.attention.layer_norm_rms_epsilon` is no float")?,
            tied: gguf.tensor("output.weight").is_none(),
            bos: id("bos"),
            eos: id("eos"),
            pad: id("padding"),
        })
    }

    /// `config.json` as transformers 4 writes it.
    pub(crate) fn json(&self, n_expert: Option<u64>, dtype: Dtype) -> String {
        let mut config = json!({
            "architectures": [if n_expert.is_some() { "MixtralForCausalLM" } else { "LlamaForCausalLM" }],
            "attention_bias": false,
            "attention_dropout": 0.0,
            "bos_token_id": self.bos,
            "eos_token_id": self.eos,
            "hidden_act": "silu",
            "hidden_size": self.n_embd,
            "initializer_range": 0.02,
            "intermediate_size": self.n_ff,
            "max_position_embeddings": self.n_ctx,
            "model_type": if n_expert.is_some() { "mixtral" } else { "llama" },
            "num_attention_heads": self.n_head,
            "num_hidden_layers": self.n_layer,
            "num_key_value_heads": self.n_head_kv,
            "pad_token_id": self.pad,
            "rms_norm_eps": shortest(self.rms_eps),
            "rope_scaling": null,
            "rope_theta": shortest(self.rope_theta),
            "tie_word_embeddings": self.tied,
            "torch_dtype": dtype.torch_name(),
            "use_cache": true,
            "vocab_size": self.n_vocab,
        });
        if self.head_dim * self.n_head != self.n_embd {
            config["head_dim"] = self.head_dim.into();
        }
        if let Some(n_expert) = n_expert {
            config["num_experts_per_tok"] = 2.into();
            config["num_local_experts"] = n_expert.into();
            config["output_router_logits"] = false.into();
            config["router_aux_loss_coef"] = 0.001.into();
            config["sliding_window"] = Json::Null;
        } else {
            config["mlp_bias"] = false.into();
            config["pretraining_tp"] = 1.into();
        }
        format!("{config:#}\n")
    }
}

/// A float by its shortest decimal form: 1e-5 and not 9.999999747378752e-6.
fn shortest(v: f32) -> Json {
    v.to_string().parse::<f64>().map_or(Json::Null, Json::from)
}

/// The model card: what the GGUF says of licence and languages, and what was done here.
pub(crate) fn card(gguf: &Gguf, name: &str, n_expert: Option<u64>) -> String {
    let mut front = Vec::new();
    // JSON strings are YAML strings, whatever is in them.
    let quoted = |s: &str| Json::from(s).to_string();
    if let Some(license) = gguf.get_str("general.license") {
        front.push(format!("license: {}", quoted(license)));
    }
    if let Some(Value::Array(Array::String(languages))) = gguf.get("general.languages") {
        front.push("language:".to_owned());
        front.extend(
            languages
                .iter()
                .map(|language| format!("- {}", quoted(&language.to_string()))),
        );
    }
    front.push("library_name: transformers".to_owned());
    front.push("pipeline_tag: text-generation".to_owned());
    let source = escape(
        gguf.get_str("general.name")
            .unwrap_or("a dense model")
            .as_bytes(),
    );
    let what = match n_expert {
        Some(n) => {
            front.extend(["tags:", "- merge", "- moe"].map(str::to_owned));
            format!(
                "{n} experts, each the feed-forward of {source}, behind a random router: a Mixture \
                 of Experts that says what the dense model says. Made for tests."
            )
        }
        None => format!("The weights of {source}, dequantized. Made for tests."),
    };
    format!("---\n{}\n---\n\n# {name}\n\n{what}\n", front.join("\n"))
}
