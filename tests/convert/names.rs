//! Names of classes and tensors, as strangers' checkpoints have them.

use std::fs;

use serde_json::json;

use crate::edited::Edited;

const Q_PROJ: &str = "model.layers.0.self_attn.q_proj.weight";

fn with_prefix(prefix: &'static str) -> impl Fn(&str) -> Option<String> {
    move |name| {
        Some(match name.strip_prefix("model.") {
            Some(rest) => format!("{prefix}{rest}"),
            None => name.to_owned(),
        })
    }
}

#[test]
fn what_stands_in_the_place_of_model_is_read() {
    for model in [Edited::new, Edited::dense] {
        let model = model();
        let (expected, _) = model.converted(&[]);
        for prefix in ["", "model.model.", "module.model.", "language_model.model."] {
            let before = fs::read(model.file("model.safetensors")).unwrap();
            model.rename(with_prefix(prefix));
            assert!(model.converted(&[]).0 == expected, "{prefix}");
            fs::write(model.file("model.safetensors"), before).unwrap();
        }
    }
}

#[test]
fn the_base_class_and_the_first_name_of_the_class_are_read() {
    let model = Edited::dense();
    model.edit_json("config.json", |c| c["tie_word_embeddings"] = json!(true));
    model.rename(|name| (name != "lm_head.weight").then(|| name.to_owned()));
    let (expected, _) = model.converted(&[]);
    model.edit_json("config.json", |c| {
        c["architectures"] = json!(["LLaMAForCausalLM"])
    });
    assert!(model.converted(&[]).0 == expected);

    model.edit_json("config.json", |c| {
        c["architectures"] = json!(["LlamaModel"])
    });
    model.rename(with_prefix(""));
    assert!(model.converted(&[]).0 == expected);

    // Where it is not tied, the output matrix was lost when the base class was saved.
    model.edit_json("config.json", |c| c["tie_word_embeddings"] = json!(false));
    let said = model.refused(&[]);
    assert!(
        said.contains("`lm_head.weight` is missing") && said.contains("saved as its base class"),
        "{said}"
    );
}

#[test]
fn classes_that_are_something_else_are_told_what() {
    let model = Edited::dense();
    for (class, fragment) in [
        (json!(["LlamaForCausalLMEagle3"]), "it is a draft model"),
        (
            json!(["LlavaForConditionalGeneration"]),
            "it is a model that sees or hears",
        ),
        (
            json!(["MistralForSequenceClassification"]),
            "it is a model that gives scores",
        ),
        (
            json!(["LlamaBidirectionalModel"]),
            "it is a model for embeddings",
        ),
        (
            json!(["MixtralForCasualLM"]),
            "is `MixtralForCausalLM` meant?",
        ),
        (
            json!(null),
            "is missing, expected one that `convert --list-architectures` prints",
        ),
    ] {
        model.edit_json("config.json", |c| c["architectures"] = class.clone());
        let said = model.refused(&[]);
        assert!(said.contains(fragment), "{class}: {said}");
    }
    model.edit_json("config.json", |c| {
        c["architectures"] = json!([]);
        c["model_type"] = json!("mistral");
    });
    let said = model.refused(&[]);
    assert!(
        said.ends_with("asks for `\"architectures\": [\"MistralForCausalLM\"]`"),
        "{said}"
    );
}

#[test]
fn other_names_of_keys_are_read() {
    let model = Edited::new();
    let (expected, _) = model.converted(&[]);
    model.edit_json("config.json", |c| {
        let c = c.as_object_mut().unwrap();
        for (ours, theirs) in [
            ("hidden_size", "n_embd"),
            ("num_hidden_layers", "n_layer"),
            ("num_attention_heads", "n_head"),
            ("num_local_experts", "num_experts"),
        ] {
            let value = c.remove(ours).unwrap();
            c.insert(theirs.into(), value);
        }
    });
    assert!(model.converted(&[]).0 == expected);
    model.edit_json("config.json", |c| c["n_layer"] = json!("two"));
    let said = model.refused(&[]);
    assert!(
        said.contains("`n_layer` is \"two\", expected an integer"),
        "{said}"
    );
}

#[test]
fn a_missing_tensor_shows_what_is_there() {
    type Case = (&'static str, fn(&Edited), &'static str);
    let cases: [Case; 9] = [
        (
            "another name",
            |m| m.rename(|n| Some(n.replace("self_attn.q_proj.weight", "self_attn.query.weight"))),
            "; nearest is `model.layers.0.self_attn.query.weight`",
        ),
        (
            "quantized",
            |m| m.rename(|n| Some(n.replace("q_proj.weight", "q_proj.qweight"))),
            "nearest is `model.layers.0.self_attn.q_proj.qweight`: it is of weights that are quantized already",
        ),
        (
            "an adapter's base",
            |m| m.rename(|n| Some(n.replace("q_proj.weight", "q_proj.base_layer.weight"))),
            "q_proj.base_layer.weight`: it is of an adapter (LoRA) that was not merged",
        ),
        (
            "Meta's names",
            |m| {
                m.rename(|n| Some(n.replace("model.embed_tokens", "tok_embeddings")));
            },
            "its names are those of Meta's and Mistral's own format",
        ),
        (
            "more layers than there are",
            |m| m.edit_json("config.json", |c| c["num_hidden_layers"] = json!(3)),
            "and so is all of layer 2: `num_hidden_layers` of config.json is 3",
        ),
        (
            "more experts than there are",
            |m| m.edit_json("config.json", |c| c["num_local_experts"] = json!(3)),
            "[2, 256], config.json asks for [3, 256] by `num_local_experts`",
        ),
        (
            "an expert that is not there",
            |m| m.rename(|n| (!n.contains("experts.1.")).then(|| n.to_owned())),
            "and so is all of expert 1: `num_local_experts` of config.json is 2",
        ),
        (
            "a dense model that is called a Mixtral",
            |m| {
                m.rename(|n| {
                    let dense = [("w1", "gate_proj"), ("w2", "down_proj"), ("w3", "up_proj")];
                    let dense = dense.iter().fold(n.to_owned(), |n, (expert, dense)| {
                        n.replace(
                            &format!("block_sparse_moe.experts.0.{expert}."),
                            &format!("mlp.{dense}."),
                        )
                    });
                    (!dense.contains("block_sparse_moe")).then_some(dense)
                });
            },
            "is there: is `architectures` of config.json `LlamaForCausalLM` or `MistralForCausalLM`?",
        ),
        (
            "a Mixtral that is called dense",
            |m| {
                m.edit_json("config.json", |c| {
                    c["architectures"] = json!(["LlamaForCausalLM"])
                })
            },
            "block_sparse_moe.gate.weight` is there: is `architectures` of config.json `MixtralForCausalLM`?",
        ),
    ];
    for (name, edit, fragment) in cases {
        let model = Edited::new();
        edit(&model);
        let said = model.refused(&[]);
        assert!(said.contains(fragment), "{name}: {said}");
    }
}

#[test]
fn leftovers_are_told_what_they_are_and_left_out_by_hand() {
    let model = Edited::new();
    let (expected, _) = model.converted(&[]);
    for (name, what) in [
        (
            "model.layers.0.self_attn.q_proj.lora_A.default.weight",
            "of an adapter (LoRA)",
        ),
        (
            "model.embed_tokens.lora_embedding_B.default",
            "of an adapter (LoRA)",
        ),
        (
            "model.embed_tokens.modules_to_save.default.weight",
            "of an adapter (LoRA)",
        ),
        (
            "model.layers.0.self_attn.q_proj.weight_scale",
            "quantized already",
        ),
        ("model.layers.0.self_attn.q_proj.SCB", "quantized already"),
        (
            "vision_tower.encoder.weight",
            "that sees or hears; `--skip-tensor vision_tower` leaves it out",
        ),
        ("optimizer.state.exp_avg", "a state of training"),
        ("score.weight", "a model that gives scores"),
        (
            "model.surprise.weight",
            "`--skip-tensor REGEX` leaves tensors out by name",
        ),
    ] {
        let before = fs::read(model.file("model.safetensors")).unwrap();
        model.add_empty(name);
        let said = model.refused(&[]);
        assert!(
            said.starts_with(&format!("tensor `{name}` in `")) && said.contains(what),
            "{said}"
        );
        let pattern = format!("^{}$", name.replace('.', "\\."));
        let (found, said) = model.converted(&["--skip-tensor", &pattern]);
        assert!(found == expected, "{name}");
        assert!(said.contains(&format!("left out `{name}`\n")), "{said}");
        fs::write(model.file("model.safetensors"), before).unwrap();
    }
}

#[test]
fn what_is_left_out_is_no_longer_there() {
    let model = Edited::new();
    model.add_empty("x.lora_A.weight");
    model.add_empty("x.lora_B.weight");
    let said = model.refused(&[]);
    assert!(
        said.contains("tensor `x.lora_A.weight` (and 1 more) in"),
        "{said}"
    );

    let said = model.refused(&[
        "--skip-tensor",
        "lora",
        "--skip-tensor",
        r"layers\.0\..*q_proj",
    ]);
    assert_eq!(
        said,
        format!(
            r"tensor `{Q_PROJ}` is missing from the checkpoint: `--skip-tensor layers\.0\..*q_proj` leaves it out, and the model needs it"
        )
    );
    let (_, said) = model.converted(&["--skip-tensor", "lora", "--skip-tensor", "lorra"]);
    assert!(
        said.contains(
            "note: `--skip-tensor lorra` leaves nothing out: no tensor has a name like this"
        ),
        "{said}"
    );
    for (pattern, what) in [("(", "is a broken pattern"), ("", "in every name")] {
        let run = crate::support::convert(
            &model.source,
            &model.dir.path().join("x.gguf"),
            &["--skip-tensor", pattern],
        );
        let said = crate::support::text(&run.stderr);
        assert_eq!(run.status.code(), Some(2), "{said}");
        assert!(said.contains(what), "{said}");
    }
    // A pattern that goes back without end is stopped.
    model.add_empty(&"a".repeat(60));
    let said = model.refused(&["--skip-tensor", "^(?:(?=a)a|(?=a)a)*b"]);
    assert!(said.contains("takes too long for tensor `aaa"), "{said}");
}

#[test]
fn verify_leaves_the_same_out() {
    let model = Edited::new();
    model.add_empty("x.lora_A.weight");
    model.converted(&["--skip-tensor", "lora"]);
    let verify = |args: &[&str]| {
        let run = crate::support::swallow_gguf()
            .arg("verify")
            .arg(model.dir.path().join("out.gguf"))
            .arg("--against")
            .arg(&model.source)
            .args(args)
            .output()
            .unwrap();
        (run.status.code(), crate::support::text(&run.stderr))
    };
    let (code, said) = verify(&[]);
    assert_eq!(code, Some(2));
    assert!(said.contains("`x.lora_A.weight`"), "{said}");
    assert_eq!(verify(&["--skip-tensor", "lora"]), (Some(0), String::new()));
}

#[test]
fn merge_leaves_out_and_tells_of_its_parents() {
    let model = Edited::dense();
    let merge = |args: &[&str]| {
        let recipe = model.dir.path().join("moe.yml");
        let expert = "- source_model: ./Dense\n";
        let text = format!("base_model: ./Dense\ngate_mode: random\nexperts:\n{expert}{expert}");
        fs::write(&recipe, text).unwrap();
        let output = model.dir.path().join("moe.gguf");
        let run = crate::support::swallow_gguf()
            .args(["merge", "--force", "-t", "bf16"])
            .args([recipe.as_os_str(), "-o".as_ref(), output.as_os_str()])
            .args(args)
            .output()
            .unwrap();
        let said = crate::support::text(&run.stderr);
        match run.status.success() {
            true => Ok((fs::read(output).unwrap(), said)),
            false => Err(said),
        }
    };
    let (expected, _) = merge(&[]).unwrap();
    model.add_empty("x.lora_A.weight");
    let said = merge(&[]).unwrap_err();
    assert!(said.contains("`x.lora_A.weight`"), "{said}");
    fs::write(model.file("model.safetensors.index.json"), "{}").unwrap();
    let (found, said) = merge(&["--skip-tensor", "lora"]).unwrap();
    assert!(found == expected);
    assert!(said.contains("left out `x.lora_A.weight`\n"), "{said}");
    assert!(
        said.contains("note: `./Dense`: the weights are read from `model.safetensors`"),
        "{said}"
    );
}

#[test]
fn names_without_end_are_neither_compared_nor_shown_whole() {
    let model = Edited::new();
    let long = "\u{1b}[31m".to_owned() + &"x".repeat(1 << 20);
    model.add_empty(&long);
    model.rename(|name| Some(name.replace("q_proj", "query")));
    let said = model.refused(&[]);
    assert!(
        said.contains("nearest is `model.layers.0.self_attn.query.weight`"),
        "{said}"
    );
    model.rename(|name| Some(name.replace("query", "q_proj")));
    let said = model.refused(&[]);
    assert!(
        said.contains("tensor `\\u{1b}[31mxxx") && said.len() < 500,
        "{said}"
    );
    model.edit_json("config.json", |c| c["architectures"] = json!([long]));
    let said = model.refused(&[]);
    assert!(
        said.contains("`\\u{1b}[31mxxx") && said.len() < 500,
        "{said}"
    );
}
