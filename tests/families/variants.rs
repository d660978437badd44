//! The same models as other programs save them, and what llama.cpp's converter does not take: they become the
//! same files.

use std::process::Stdio;

use serde_json::{Value as Json, json};
use swallow_gguf::{file_type::FileType, gguf::Gguf};

use super::{Golden, golden::digests, tokenizer, write_edited};
use crate::support::{convert, swallow_gguf, text};

/// A recipe that is changed becomes the file that it becomes as it is.
fn check(name: &str, edit: impl FnOnce(&mut Json)) {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join(name);
    write_edited(&source, name, edit);
    let output = dir.path().join("out.gguf");
    let run = convert(&source, &output, &["-t", "bf16"]);
    assert!(run.status.success(), "{}", text(&run.stderr));
    let golden = Golden::read(name);
    assert_eq!(digests(&output), golden.digests(FileType::BF16));
}

#[test]
fn biases_that_are_zero_are_left_out() {
    check("cohere2", |recipe| {
        let tensors = recipe["tensors"].as_array_mut().unwrap();
        for (name, dtype) in [("q", "BF16"), ("o", "F32")] {
            let name = format!("model.layers.{{l}}.self_attn.{name}_proj.bias");
            tensors.push(json!([name, [256], {"fill": -0.0, "dtype": dtype}]));
        }
    });
}

#[test]
fn all_of_a_head_is_rotated_where_nothing_else_is_said() {
    check("cohere2", |recipe| {
        let config = recipe["config"].as_object_mut().unwrap();
        assert_eq!(config.remove("rotary_pct"), Some(json!(1.0)));
    });
}

/// As transformers saves it, with a number of key heads that does not count.
#[test]
fn one_key_head_serves_all_queries_whatever_is_said() {
    check("falcon_rw", |recipe| {
        let config = recipe["config"].as_object_mut().unwrap();
        let heads = config.remove("n_head").unwrap();
        let layers = config.remove("n_layer").unwrap();
        config.insert("num_kv_heads".into(), heads.clone());
        config.insert("num_attention_heads".into(), heads);
        config.insert("num_hidden_layers".into(), layers);
        config.insert("architectures".into(), json!(["FalconForCausalLM"]));
        config.insert("model_type".into(), json!("falcon"));
        config.insert("new_decoder_architecture".into(), json!(false));
    });
}

/// As Falcon 40B first came.
#[test]
fn groups_of_heads_have_older_names() {
    check("falcon", |recipe| {
        let config = recipe["config"].as_object_mut().unwrap();
        for (name, older) in [
            ("num_attention_heads", "n_head"),
            ("num_hidden_layers", "n_layer"),
            ("num_kv_heads", "n_head_kv"),
        ] {
            let value = config.remove(name).unwrap();
            config.insert(older.into(), value);
        }
        config.remove("multi_query");
        config.remove("new_decoder_architecture");
        config.insert("architectures".into(), json!(["RWForCausalLM"]));
    });
}

/// The oldest name of scaling by two lists, and what the class takes for keys that are not there.
#[test]
fn phi_3_as_it_first_came() {
    check("phi3", |recipe| {
        let config = recipe["config"].as_object_mut().unwrap();
        config["rope_scaling"]["type"] = json!("su");
        for (key, default) in [
            ("original_max_position_embeddings", json!(4096)),
            ("num_key_value_heads", json!(8)),
            ("rms_norm_eps", json!(1e-5)),
            ("rope_theta", json!(1e4)),
        ] {
            assert_eq!(config.remove(key), Some(default));
        }
    });
}

#[test]
fn phi_s_experts_under_the_name_of_transformers() {
    check("phimoe", |recipe| {
        recipe["config"]["architectures"] = json!(["PhimoeForCausalLM"]);
    });
}

/// Without the layer that guesses a second token, and with the last layer of experts told otherwise.
#[test]
fn ernie_s_experts_as_transformers_saves_them() {
    check("ernie4_5_moe", |recipe| {
        recipe["config"]["moe_layer_end_index"] = json!(-1);
        let tensors = recipe["tensors"].as_array_mut().unwrap();
        tensors.retain(|tensor| !tensor[0].as_str().unwrap().contains("mtp_"));
    });
}

#[test]
fn hunyuan_s_experts_with_numbers_for_all_layers() {
    check("hunyuan_moe", |recipe| {
        let config = recipe["config"].as_object_mut().unwrap();
        for key in ["moe_intermediate_size", "moe_topk", "num_shared_expert"] {
            config[key] = config[key][0].clone();
        }
        config["num_experts"] = json!([4, 4, 4]);
    });
}

/// Which layers see a window is told by a list, by letters, by a number, or by the class.
#[test]
fn exaone_4_tells_windows_in_four_ways() {
    for pattern in [Some(json!("LLLG")), Some(json!(4)), None] {
        check("exaone4_window", |recipe| {
            let config = recipe["config"].as_object_mut().unwrap();
            config.remove("layer_types").unwrap();
            match pattern {
                Some(pattern) => config["sliding_window_pattern"] = pattern,
                None => {
                    config.remove("sliding_window_pattern").unwrap();
                    assert_eq!(config.remove("sliding_window"), Some(json!(4096)));
                }
            }
        });
    }
}

/// A checkpoint as Mistral's own library has it: all of a tokenizer is in `tekken.json`.
fn tekken_alone(recipe: &mut Json) {
    let special = [
        "<unk>",
        "<s>",
        "</s>",
        "[INST]",
        "[/INST]",
        "[AVAILABLE_TOOLS]",
        "<pad>",
        "<SPECIAL_20>",
    ];
    let n_merges = recipe["tokenizer"]["bpe"]["merges"].as_u64().unwrap();
    let pattern =
        recipe["tokenizer"]["bpe"]["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"].take();
    let ranks = tokenizer::ranks(n_merges as usize);
    let vocab = ranks.lines().map(|line| {
        let (bytes, rank) = line.split_once(' ').unwrap();
        json!({"rank": rank.parse::<u32>().unwrap(), "token_bytes": bytes, "token_str": null})
    });
    let vocab: Vec<_> = vocab.collect();
    let list = special.iter().enumerate();
    let list: Vec<_> = list
        .map(|(rank, text)| json!({"rank": rank, "token_str": text, "is_control": true}))
        .collect();
    let tekken = json!({
        "config": {
            "pattern": pattern,
            "num_vocab_tokens": vocab.len(),
            "default_vocab_size": special.len() + vocab.len(),
            "default_num_special_tokens": special.len(),
            "version": "v3",
        },
        "vocab": vocab,
        "special_tokens": list,
    });
    recipe["tokenizer"] = json!({"ranks": {"file": "tekken.json", "merges": n_merges}});
    recipe["files"] = json!({"tekken.json": tekken});
}

#[test]
fn what_tekken_json_alone_names_for_a_template_is_the_prompt_of_a_chat() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("mistral");
    write_edited(&source, "mistral_tekken", tekken_alone);
    let model = dir.path().join("mistral.gguf");
    let run = convert(&source, &model, &["-t", "bf16"]);
    assert!(run.status.success(), "{}", text(&run.stderr));
    let template = Gguf::open(&model)
        .unwrap()
        .get_str("tokenizer.chat_template")
        .map(ToString::to_string);
    assert_eq!(template.as_deref(), Some("mistral-v3-tekken"));
    let greedy = |args: &[&str]| {
        let mut run = swallow_gguf();
        run.env("XDG_STATE_HOME", dir.path()).arg("run").args(args);
        run.args(["-t", "1", "-c", "128", "--temp", "0", "-n", "8", "-m"]);
        let output = run.arg(&model).stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    let said = greedy(&["-p", "brown fox"]);
    assert_eq!(said, greedy(&["--raw", "-p", "[INST]brown fox[/INST]"]));
    assert_ne!(said, greedy(&["--raw", "-p", "mistral-v3-tekken"]));
}
