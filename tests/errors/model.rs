//! Errors of `src/model`.

use std::fs;

use serde_json::json;
use swallow_gguf::{
    gguf::{Array, KeyValues},
    model::{
        ConfigError, KeyOverride, ModelConfig, OverrideError, SkipPattern, TensorError,
        chat_template::{self, ChatTemplateError},
        key_override,
        tensors::{self, BrokenSkipPattern},
    },
    source::Checkpoint,
};

use super::{Section, Variants, families, variants};
use crate::edited::Folder;

variants!(ConfigError {
    Architecture,
    Value,
    Missing,
    MissingLength,
    Quantized,
});

variants!(TensorError {
    Missing,
    Unknown,
    Shape,
    Type,
    SlowPattern,
    Half,
    NotZero,
    Read,
} hands_on {
    Config,
});

variants!(OverrideError {
    Malformed,
    Value,
    Layout,
    Array,
    Inconsistent,
});

variants!(ChatTemplateError {
    Unknown,
    File,
    Jinja,
});

impl Variants for BrokenSkipPattern {
    const NAME: &'static str = "BrokenSkipPattern";
    const ALL: &'static [&'static str] = &["it"];

    fn variant(&self) -> &'static str {
        "it"
    }
}

pub(super) fn errors(list: &mut Section) {
    configs(list);
    names(list);
    families::errors(list);
    skip_patterns(list);
    overrides(list);
    templates(list);
}

fn configs(list: &mut Section) {
    list.want::<ConfigError>();
    let good = json!({
        "architectures": ["MixtralForCausalLM"],
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 8,
    });
    for (case, key, value) in [
        ("another class", "architectures", json!(["GPT2LMHeadModel"])),
        (
            "a slip in the class",
            "architectures",
            json!(["MixtralForCasualLM"]),
        ),
        (
            "a class that sees",
            "architectures",
            json!(["LlavaForConditionalGeneration"]),
        ),
        ("no class", "architectures", json!([])),
        ("no width", "hidden_size", json!(null)),
        ("no number", "hidden_size", json!("64")),
        ("far too large", "num_hidden_layers", json!(1u64 << 40)),
        ("a NaN of Python's", "rms_norm_eps", json!("NaN")),
        ("heads that do not divide", "num_key_value_heads", json!(3)),
        ("an odd width of heads", "head_dim", json!(7)),
        (
            "more experts than there are",
            "num_experts_per_tok",
            json!(9),
        ),
        ("tied is no word", "tie_word_embeddings", json!("yes")),
        (
            "quantized",
            "quantization_config",
            json!({"quant_method": "gptq"}),
        ),
        (
            "another rope scaling",
            "rope_scaling",
            json!({"type": "longrope"}),
        ),
        (
            "two rope scalings",
            "rope_scaling",
            json!({"type": "linear", "rope_type": "yarn"}),
        ),
        (
            "yarn without a factor",
            "rope_scaling",
            json!({"type": "yarn"}),
        ),
        (
            "a scaling for each kind of layer",
            "rope_parameters",
            json!({"full_attention": {"rope_type": "default"}}),
        ),
    ] {
        let mut config = good.clone();
        config[key] = value;
        list.add(case, ModelConfig::from_json(&config).unwrap_err());
    }
    for (case, config) in [
        ("a type and no class", json!({"model_type": "mixtral"})),
        ("a type of others", json!({"model_type": "gpt2"})),
        (
            "an answer of a server",
            json!({"error": "Repository not found"}),
        ),
    ] {
        list.add(case, ModelConfig::from_json(&config).unwrap_err());
    }
}

const Q_PROJ: &str = "model.layers.0.self_attn.q_proj.weight";

fn names(list: &mut Section) {
    list.want::<TensorError>();
    let dir = list.dir().join("names");
    type Edit = fn(&Folder);
    let cases: [(&str, Edit); 15] = [
        ("no output matrix", |m| {
            m.rename(|n| (n != "lm_head.weight").then(|| n.to_owned()));
        }),
        ("a tensor under another name", |m| {
            m.rename(|n| Some(n.replace("q_proj.weight", "query.weight")));
        }),
        ("quantized weights", |m| {
            m.rename(|n| Some(n.replace("q_proj.weight", "q_proj.qweight")));
        }),
        ("an adapter around weights", |m| {
            m.rename(|n| Some(n.replace("q_proj.weight", "q_proj.base_layer.weight")));
        }),
        ("Meta's names", |m| {
            m.rename(|n| Some(n.replace("model.embed_tokens", "tok_embeddings")));
        }),
        ("another model's names", |m| {
            m.rename(|n| Some(n.replace("model.embed_tokens", "transformer.wte")));
        }),
        ("too many layers", |m| {
            m.edit_json("config.json", |c| c["num_hidden_layers"] = json!(3));
        }),
        ("an expert missing", |m| {
            m.rename(|n| (!n.contains("experts.1.")).then(|| n.to_owned()));
        }),
        ("no router", |m| {
            m.rename(|n| (!n.ends_with("moe.gate.weight")).then(|| n.to_owned()));
        }),
        ("a Mixtral that is called dense", |m| {
            m.edit_json("config.json", |c| {
                c["architectures"] = json!(["LlamaForCausalLM"])
            });
        }),
        ("an adapter beside weights", |m| {
            m.add_empty("model.layers.0.self_attn.q_proj.lora_A.default.weight");
            m.add_empty("model.layers.0.self_attn.q_proj.lora_B.default.weight");
        }),
        ("eyes", |m| m.add_empty("vision_tower.patch_embed.weight")),
        ("a stranger", |m| m.add_empty("model.surprise.weight")),
        ("another vocabulary", |m| {
            m.edit_json("config.json", |c| c["vocab_size"] = json!(301));
        }),
        ("another type", |m| {
            m.edit_header(|h| h[Q_PROJ]["dtype"] = json!("I16"));
        }),
    ];
    for (case, edit) in cases {
        let model = Folder::moe(&dir, "Moe");
        edit(&model);
        list.add(case, mapped(&model, &[]));
        fs::remove_dir_all(model.source).unwrap();
    }
    let model = Folder::moe(&dir, "Moe");
    list.add("left out, and needed", mapped(&model, &["q_proj"]));
    model.add_empty(&"a".repeat(60));
    list.add("a slow pattern", mapped(&model, &["^(?:(?=a)a|(?=a)a)*b"]));
}

/// What is said of the tensors of `model` without those that are left out.
fn mapped(model: &Folder, skip: &[&str]) -> TensorError {
    let mut checkpoint = Checkpoint::open(&model.source).unwrap();
    let config = ModelConfig::from_json(&checkpoint.config).unwrap();
    let skip: Vec<SkipPattern> = skip
        .iter()
        .map(|pattern| pattern.parse().unwrap())
        .collect();
    match tensors::leave_out(&mut checkpoint, &skip) {
        Ok(()) => tensors::map(&config, &checkpoint).unwrap_err(),
        Err(error) => error,
    }
}

fn skip_patterns(list: &mut Section) {
    list.want::<BrokenSkipPattern>();
    for (case, pattern) in [("a broken pattern", "lora_("), ("no pattern", "")] {
        list.add(case, pattern.parse::<SkipPattern>().unwrap_err());
    }
}

fn overrides(list: &mut Section) {
    list.want::<OverrideError>();
    for (case, given) in [
        ("no value", "llama.context_length"),
        ("no type", "llama.context_length=4096"),
        ("no such type", "llama.context_length=u32:4096"),
        ("no number", "llama.context_length=int:many"),
        ("no truth", "tokenizer.ggml.add_bos_token=bool:yes"),
        ("what the file is laid out by", "general.alignment=int:64"),
    ] {
        list.add(case, given.parse::<KeyOverride>().unwrap_err());
    }
    let mut key_values: KeyValues = vec![("a".into(), Array::U32(vec![1, 2]).into())];
    let given = "a=int:5".parse::<KeyOverride>().unwrap();
    list.add(
        "an array",
        key_override::apply(&[given], &mut key_values).unwrap_err(),
    );
    let key_values: KeyValues = vec![
        ("general.architecture".into(), "llama".into()),
        ("llama.context_length".into(), 4096u32.into()),
        ("llama.embedding_length".into(), 64u32.into()),
        ("llama.block_count".into(), 2u32.into()),
        ("llama.expert_count".into(), 2u32.into()),
        ("llama.expert_used_count".into(), 2u32.into()),
    ];
    let tensors = [("token_embd.weight", &[64u64, 300][..])];
    for (case, given) in [
        (
            "more experts than there are",
            "llama.expert_used_count=int:3",
        ),
        ("a text for a number", "llama.context_length=str:long"),
    ] {
        let given = given.parse::<KeyOverride>().unwrap();
        let mut key_values = key_values.clone();
        let tensors = tensors.iter().copied();
        let error = key_override::apply_fitting(&[given], &mut key_values, tensors);
        list.add(case, error.unwrap_err());
    }
}

fn templates(list: &mut Section) {
    list.want::<ChatTemplateError>();
    let dir = list.dir().join("templates");
    fs::create_dir(&dir).unwrap();
    let path = dir.join("mine.jinja");
    let load = |path: &std::path::Path| chat_template::load(path.to_str().unwrap()).unwrap_err();
    list.add(
        "no such template",
        chat_template::load("alpaca").unwrap_err(),
    );
    list.add("a slip", chat_template::load("lama-2").unwrap_err());
    list.add("a folder", load(&dir));
    for (case, bytes) in [
        ("no Jinja", &b"{% if"[..]),
        ("not UTF-8", b"ab\xff"),
        ("UTF-16", b"\xff\xfea\0b\0"),
        (
            "a pointer",
            b"version https://git-lfs.github.com/spec/v1\nsize 9\n",
        ),
    ] {
        fs::write(&path, bytes).unwrap();
        list.add(case, load(&path));
    }
    fs::write(&path, vec![b' '; (1 << 20) + 1]).unwrap();
    list.add("far too large", load(&path));
}
