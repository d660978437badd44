//! Recipes and parents that are refused, each by name.

use std::fs;

use serde_json::{Value as Json, json};
use swallow_gguf::synthetic::{Sizes, Spec};

use super::{RANDOM, dense, merge, parents, recipe};
use crate::support::{checkpoint, small_moe, text};

#[test]
fn what_is_no_recipe_is_refused_by_name() {
    let dir = parents(dense);
    let experts = "experts: [{source_model: one}, {source_model: two}]\n";
    let with = |rest: &str| format!("base_model: one\n{experts}{rest}");
    let expert = |expert: &str| {
        format!("base_model: one\ngate_mode: random\nexperts: [{{source_model: one}}, {expert}]\n")
    };
    let cases: Vec<(&str, String, &str)> = vec![
        ("nothing", String::new(), "is empty, expected `base_model` and `experts`"),
        ("comments", "# base_model: one\n---\n".into(), "is empty, expected `base_model` and `experts`"),
        ("a list", "- a\n".into(), "`the recipe` is a list, expected keys with values"),
        ("no YAML", "a: [1".into(), "is no YAML: "),
        ("a key twice", with("gate_mode: random\ngate_mode: random\n"), "is no YAML: duplicate"),
        (
            "a slip",
            with("gate_mod: random\n"),
            "unknown key `gate_mod`, did you mean `gate_mode`?",
        ),
        (
            "a slip in an expert",
            expert("{source_mdoel: two}"),
            "unknown key `experts[1].source_mdoel`, did you mean `source_model`?",
        ),
        (
            "something else",
            with("zzz: 1\n"),
            "unknown key `zzz`, expected one of base_model, experts, gate_mode, dtype, experts_per_token, tokenizer_source, architecture, shared_experts",
        ),
        (
            "a key that is no text",
            with("1: 2\n"),
            "unknown key ``1``, expected one of",
        ),
        (
            "shared experts",
            with("gate_mode: random\nshared_experts: {source_model: one}\n"),
            "`shared_experts` is a mapping, expected a list of one expert",
        ),
        (
            "mergekit-yaml",
            "merge_method: slerp\nmodels: []\n".into(),
            "is a recipe of mergekit-yaml (`merge_method: slerp`), which makes a dense model, expected one of mergekit-moe with `experts`: run `mergekit-yaml`, and convert its output or name it in a recipe",
        ),
        (
            "mergekit-yaml without a method",
            "slices: []\ndtype: float16\n".into(),
            "is a recipe of mergekit-yaml (it has `slices`)",
        ),
        (
            "a key of mergekit-yaml",
            with("gate_mode: random\nmerge_method: slerp\n"),
            "`merge_method` is not taken: it is of mergekit-yaml's recipes, and mergekit-moe ignores it; take it out",
        ),
        ("out_dtype", with("out_dtype: float16\n"), "`out_dtype` is not taken: write `dtype`"),
        ("another name", with("num_experts_per_tok: 2\n"), "`num_experts_per_tok` is not taken: write `experts_per_token`"),
        ("an option", with("chat_template: chatml\n"), "`chat_template` is not taken: give it as `--chat-template`"),
        ("an expert's other name", expert("{model: two}"), "`experts[1].model` is not taken: write `source_model`"),
        ("no base", experts.into(), "`base_model` is missing, expected a model: a folder, or `hf:ORG/NAME`"),
        ("an empty base", format!("base_model: ''\n{experts}"), "`base_model` is ``, expected a model"),
        ("a base that is a list", format!("base_model: [a]\n{experts}"), "`base_model` is a list, expected a model"),
        ("a base of no model", format!("base_model: {{revision: a}}\n{experts}"), "`base_model.path` is missing, expected a model"),
        ("a base of something else", format!("base_model: {{modle: a}}\n{experts}"), "unknown key `base_model.modle`, did you mean `model`?"),
        ("an adapter", format!("base_model: {{model: a, lora: b}}\n{experts}"), "`base_model.lora` is not taken: merge the adapter into the model first"),
        ("a class", format!("base_model: {{model: a, override_architecture: b}}\n{experts}"), "`base_model.override_architecture` is not taken: the class is that of the model's config.json"),
        ("no experts", "base_model: one\n".into(), "`experts` is missing, expected a list of 1 to 256 experts"),
        ("an empty list", "base_model: one\nexperts: []\n".into(), "`experts` is an empty list, expected a list of 1 to 256"),
        ("an expert that is a name", "base_model: one\nexperts: [one]\n".into(), "`experts[0]` is `one`, expected keys with values"),
        ("an expert without a model", expert("{noise_scale: 1}"), "`experts[1].source_model` is missing"),
        ("another gate mode", with("gate_mode: cheap\n"), "`gate_mode` is `cheap`, expected one of random, uniform_random, cheap_embed, hidden, hidden_avg, hidden_last"),
        ("another dtype", with("gate_mode: random\ndtype: int8\n"), "`dtype` is `int8`, expected `bfloat16`, `float16` or `float32`"),
        ("another architecture", with("gate_mode: random\narchitecture: gpt\n"), "`architecture` is `gpt`, expected `mixtral`, `qwen2` or `qwen3`"),
        ("another tokenizer", with("gate_mode: random\ntokenizer_source: two\n"), "`tokenizer_source` is `two`, expected `base` or `union`"),
        ("too many per token", with("gate_mode: random\nexperts_per_token: 3\n"), "`experts_per_token` is `3`, expected a number from 1 to 2, the number of experts"),
        ("none per token", with("gate_mode: random\nexperts_per_token: 0\n"), "`experts_per_token` is `0`, expected a number from 1 to 2"),
        ("one expert, two per token", "base_model: one\ngate_mode: random\nexperts: [{source_model: one}]\n".into(), "`experts_per_token` is missing, and so 2, expected a number from 1 to 1"),
        ("less than no noise", expert("{source_model: one, noise_scale: -0.1}"), "`experts[1].noise_scale` is `-0.1`, expected a number, 0 or more"),
        ("noise without end", expert("{source_model: one, noise_scale: .inf}"), "`experts[1].noise_scale` is `.inf`, expected a number"),
        ("a scale that is none", expert("{source_model: one, residual_scale: [1]}"), "`experts[1].residual_scale` is a list, expected a number"),
        ("no prompts", with("gate_mode: hidden\n"), "`experts[0].positive_prompts` is missing, expected prompts for this expert"),
        (
            "the same prompts",
            "base_model: one\nexperts: [{source_model: one, positive_prompts: [a]}, {source_model: two, positive_prompts: [a]}]\n".into(),
            "`positive_prompts` is the same for all experts, expected prompts that tell them apart",
        ),
        ("prompts that are no list", expert("{source_model: one, positive_prompts: a}"), "`experts[1].positive_prompts` is `a`, expected a list of texts, `- …` each"),
        ("a prompt that is a mapping", expert("{source_model: one, positive_prompts: [a, {Q: b}]}"), "`experts[1].positive_prompts[1]` is a mapping, expected a text; one with a colon, or of digits, stands in quotes"),
        ("a prompt that is a number", expert("{source_model: one, negative_prompts: [42]}"), "`experts[1].negative_prompts[0]` is `42`, expected a text"),
("a long text", format!("base_model: one\nexperts: {}\n", "x".repeat(1000)), "xxx…`, expected a list"),
    ];
    for (name, yaml, expected) in cases {
        let run = merge(&recipe(dir.path(), &yaml), &["--dry-run"]);
        let error = text(&run.stderr);
        assert_eq!(run.status.code(), Some(1), "{name}");
        assert!(error.contains(expected), "{name}: {error}");
        assert_eq!(error.lines().count(), 1, "{name}: {error}");
        assert!(error.contains("my-moe.yml"), "{name}: {error}");
    }
}

/// What mergekit takes is taken, in its own ways of writing it.
#[test]
fn recipes_of_mergekit_are_taken() {
    let dir = parents(dense);
    for yaml in [
        RANDOM.to_owned(),
        format!("{RANDOM}shared_experts: null\narchitecture: Mixtral\ntokenizer_source: base\n"),
        RANDOM.replace("bfloat16", "torch.bfloat16"),
        RANDOM.replace("bfloat16", "bf16"),
        RANDOM.replace("base_model: ./one", "base_model: {model: {path: ./one, revision: null}, lora: null}"),
        RANDOM.replace("source_model: one", "source_model: {model: one}"),
        RANDOM.replace("source_model: one", "source_model: \" one \""),
        format!("{RANDOM}experts_per_token: \"2\"\n"),
        format!("{RANDOM}experts_per_token: 2.0\n"),
        format!("{RANDOM}tokenizer_source: model:./one\n"),
        format!("{RANDOM}tokenizer_source: ./one\n"),
        "base_model: one\ngate_mode: random\nexperts:\n- &e\n  source_model: one\n  positive_prompts:\n  - a\n- <<: *e\n  source_model: two\n".into(),
    ] {
        let run = merge(&recipe(dir.path(), &yaml), &["--dry-run"]);
        assert!(run.status.success(), "{yaml}\n{}", text(&run.stderr));
    }
}

#[test]
fn parents_that_do_not_fit_are_refused_by_name() {
    type Change = Box<dyn Fn(&mut Json)>;
    let set = |key: &'static str, value: Json| -> Change {
        Box::new(move |config: &mut Json| config[key] = value.clone())
    };
    let cases: [(Change, &str); 4] = [
        (
            set("hidden_act", json!("gelu")),
            "parent `./two`: config.json: `hidden_act` is `gelu`, expected `silu`, which is a Mixtral's",
        ),
        (
            set("num_attention_heads", json!(16)),
            "parent `./two`: tensor `model.layers.0.self_attn.k_proj.weight`",
        ),
        (
            set("architectures", json!(["GPT2LMHeadModel"])),
            "parent `./two`: config.json: `architectures` is `GPT2LMHeadModel`",
        ),
        (
            set("quantization_config", json!({"quant_method": "gptq"})),
            "parent `./two`: config.json: the weights are quantized already",
        ),
    ];
    for (change, expected) in cases {
        let dir = parents(dense);
        let path = dir.path().join("two/config.json");
        let mut config: Json = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        change(&mut config);
        fs::write(&path, config.to_string()).unwrap();
        let yaml = RANDOM.replace("source_model: one", "source_model: ./one");
        let run = merge(&recipe(dir.path(), &yaml), &["--dry-run"]);
        let error = text(&run.stderr);
        assert!(error.contains(expected), "{expected}: {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }

    let dir = parents(dense);
    let other = |name: &str, change: &dyn Fn(&mut Sizes)| {
        let mut spec = dense(4);
        change(&mut spec.sizes);
        checkpoint(dir.path(), name, &spec);
    };
    other("deeper", &|sizes| sizes.num_hidden_layers = 3);
    other("wider", &|sizes| sizes.intermediate_size = 768);
    other("heads", &|sizes| sizes.num_key_value_heads = 4);
    checkpoint(dir.path(), "moe", &Spec { ..small_moe() });
    for (second, expected) in [
        (
            "deeper",
            "`num_hidden_layers` is 2 in the base `./one` and 3 in `deeper`, expected an expert of the base's shape: its feed-forward networks are to stand among the base's layers",
        ),
        (
            "wider",
            "`intermediate_size` is 512 in the base `./one` and 768 in `wider`",
        ),
        (
            "heads",
            "`num_key_value_heads` is 2 in the base `./one` and 4 in `heads`",
        ),
        ("moe", "parent `moe` is a Mixture of Experts itself"),
        ("one+lora", "`one+lora` names a model and a LoRA adapter"),
    ] {
        let yaml = RANDOM.replace("./two", second);
        let run = merge(&recipe(dir.path(), &yaml), &["--dry-run"]);
        let error = text(&run.stderr);
        assert!(error.contains(expected), "{second}: {error}");
    }
}

#[test]
fn options_that_do_not_go_together_are_refused() {
    let dir = parents(dense);
    let path = recipe(dir.path(), RANDOM);
    for (args, expected) in [
        (
            &["--write-safetensors", "x", "-t", "q8_0"][..],
            "cannot be used with",
        ),
        (
            &["--write-safetensors", "x", "-o", "y"],
            "cannot be used with",
        ),
        (&["--layout", "fused"], "--write-safetensors"),
        (
            &["--experts-per-token", "3"],
            "`--experts-per-token` is `3`, expected a number from 1 to 2",
        ),
        (&["--seed", "x"], "invalid value"),
    ] {
        let run = merge(&path, args);
        let error = text(&run.stderr);
        assert!(
            !run.status.success() && error.contains(expected),
            "{args:?}: {error}"
        );
    }
}
