//! Experts that were trained with other settings or tokens than the base: the merged model has the
//! base's, and it is said.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value as Json, json};
use swallow_gguf::{gguf::Gguf, synthetic::Spec};

use super::{
    RANDOM, dense, merged, parents, recipe, require_same,
    vocabularies::{rename, row, texts, with_rows, with_vocabulary},
    write_checkpoint,
};
use crate::{
    edited::Folder,
    support::{checkpoint, converted, swallow_gguf, text},
};

/// Sets keys of a parent's config.json.
fn configure(parent: &Path, changes: &Json) {
    let source = parent.to_owned();
    Folder { source }.edit_json("config.json", |config| {
        for (key, value) in changes.as_object().unwrap() {
            config[key] = value.clone();
        }
    });
}

/// Merges `path` to `output` in bf16 and gives the notes.
fn notes(path: &Path, output: &Path) -> Vec<String> {
    let run = swallow_gguf()
        .args(["merge", "-t", "bf16", "--force", "-o"])
        .arg(output)
        .arg(path)
        .output()
        .unwrap();
    let told = text(&run.stderr);
    assert!(run.status.success(), "{told}");
    let notes = told.lines().filter_map(|line| line.strip_prefix("note: "));
    notes.map(str::to_owned).collect()
}

/// Every key that the base's own file has of the model and its tokenizer is the same in the merged one.
fn require_bases_keys(merged: &Path, base: &Path) {
    let of_base = merged.with_extension("base.gguf");
    converted(base, &of_base, &["-t", "bf16", "--force"]);
    let [merged, base] = [merged, &of_base].map(|path| Gguf::open(path).unwrap());
    for (key, value) in &base.key_values {
        if key.starts_with("llama.") || key.starts_with("tokenizer.") {
            assert!(merged.get(key) == Some(value), "{key}");
        }
    }
}

#[test]
fn settings_that_differ_are_the_bases_and_noted() {
    let llama3 = json!({
        "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 1024,
    });
    let mistral = json!({"architectures": ["MistralForCausalLM"], "sliding_window": null});
    let cases = [
        (
            json!({}),
            json!({"rope_theta": 1e6}),
            &[
                "`rope_theta` is 10000 in the base `./one`, 1000000 in `./two`: the merged model has the base's, as mergekit-moe does it",
            ][..],
        ),
        (
            json!({"rope_parameters": {"rope_theta": 5e5, "rope_type": "default"}}),
            json!({}),
            &[
                "`rope_theta` is 500000 in the base `./one`, 10000 in `./two`: the merged model has the base's, as mergekit-moe does it",
            ],
        ),
        (
            json!({"rope_scaling": llama3}),
            json!({"rms_norm_eps": 1e-6, "max_position_embeddings": 65536}),
            &[
                "`rope_scaling` is `llama3 (factor 8, high_freq_factor 4, low_freq_factor 1, original_max_position_embeddings 1024)` in the base `./one`, none in `./two`: the merged model has the base's, as mergekit-moe does it",
                "`rms_norm_eps` is 1e-5 in the base `./one`, 1e-6 in `./two`: the merged model has the base's, as mergekit-moe does it",
                "`max_position_embeddings` is 4096 in the base `./one`, 65536 in `./two`: the merged model has the base's, as mergekit-moe does it",
            ],
        ),
        // A scaling that only the base's attention would need to understand.
        (
            json!({}),
            json!({"rope_scaling": {"type": "of-tomorrow", "factor": 2.0}}),
            &[
                "`rope_scaling` is none in the base `./one`, `of-tomorrow (factor 2)` in `./two`: the merged model has the base's, as mergekit-moe does it",
            ],
        ),
        // The same in other words.
        (
            json!({"rope_scaling": {"type": "linear", "factor": 2.0}}),
            json!({"rope_theta": null, "rope_parameters": {"factor": 2, "rope_type": "linear", "rope_theta": 10000}}),
            &[],
        ),
        (
            mistral,
            json!({"architectures": ["MistralForCausalLM"], "sliding_window": 4096}),
            &[
                "`sliding_window` is none in the base `./one`, 4096 in `./two`: the merged model has none, as mergekit-moe does it",
            ],
        ),
    ];
    for (of_base, of_expert, expected) in cases {
        let dir = parents(dense);
        let [one, two] = ["one", "two"].map(|name| dir.path().join(name));
        configure(&one, &of_base);
        configure(&two, &of_expert);
        let path = recipe(dir.path(), RANDOM);
        let output = dir.path().join("out.gguf");
        assert_eq!(notes(&path, &output), expected, "{of_base} {of_expert}");
        require_bases_keys(&output, &one);
        require_same(&path, &["q4_k_m"], &[]);
    }
}

/// One line for each setting, however many experts differ.
#[test]
fn a_note_names_every_expert_that_differs() {
    let dir = parents(dense);
    for (name, theta) in [("two", 1e6), ("three", 5e5)] {
        configure(&dir.path().join(name), &json!({"rope_theta": theta}));
    }
    let path = recipe(dir.path(), &format!("{RANDOM}  - source_model: three\n"));
    assert_eq!(
        notes(&path, &dir.path().join("out.gguf")),
        [
            "`rope_theta` is 10000 in the base `./one`, 1000000 in `./two`, 500000 in `three`: the merged model has the base's, as mergekit-moe does it"
        ]
    );
}

/// A parent whose tokenizer_config.json adds tokens behind its pieces, from `first` on.
fn with_added(dir: &Path, name: &str, rows: usize, added: &[(usize, &str)], seed: u64) -> PathBuf {
    let parent = with_rows(dir, name, 300, rows, seed);
    let decoder: serde_json::Map<String, Json> = added
        .iter()
        .map(|(id, content)| (id.to_string(), json!({"content": content, "special": true})))
        .collect();
    let config = json!({"added_tokens_decoder": decoder});
    fs::write(parent.join("tokenizer_config.json"), config.to_string()).unwrap();
    parent
}

/// Tokens that fine-tuned models of one family have more, fewer or others, and rows for padding.
#[test]
fn added_tokens_and_padding_are_the_bases_and_noted() {
    type Parent<'a> = (usize, &'a [(usize, &'a str)]);
    let chat: &[(usize, &str)] = &[(300, "<|im_end|>"), (301, "<|im_start|>")];
    let cases: [(Parent<'_>, Parent<'_>, &str); 7] = [
        (
            (300, &[]),
            (302, chat),
            "2 tokens of its own are left out (`<|im_end|>`, `<|im_start|>`); its embedding has 302 rows, the base's 300; `tokenizer_source: union` keeps what is left out",
        ),
        (
            (300, &[]),
            (301, &[(300, "[PAD]")]),
            "1 token of its own is left out (`[PAD]`); its embedding has 301 rows, the base's 300; `tokenizer_source: union` keeps what is left out",
        ),
        (
            (302, chat),
            (300, &[]),
            "it does not know 2 tokens of the base (`<|im_end|>`, `<|im_start|>`); its embedding has 300 rows, the base's 302",
        ),
        // Others under the base's ids.
        (
            (302, &[(300, "<|end_of_turn|>"), (301, "<|pad_0|>")]),
            (302, chat),
            "2 tokens of its own are left out (`<|im_end|>`, `<|im_start|>`); it does not know 2 tokens of the base (`<|end_of_turn|>`, `<|pad_0|>`); `tokenizer_source: union` keeps what is left out",
        ),
        (
            (302, chat),
            (302, &[(300, "<|im_start|>"), (301, "<|im_end|>")]),
            "2 tokens have other ids in it",
        ),
        // Padded to a multiple of 64.
        (
            (300, &[]),
            (320, &[]),
            "its embedding has 320 rows, the base's 300",
        ),
        (
            (320, &[]),
            (302, chat),
            "2 tokens of its own are left out (`<|im_end|>`, `<|im_start|>`); its embedding has 302 rows, the base's 320; `tokenizer_source: union` keeps what is left out",
        ),
    ];
    for ((base_rows, of_base), (rows, of_expert), expected) in cases {
        let dir = tempfile::tempdir().unwrap();
        let one = with_added(dir.path(), "one", base_rows, of_base, 1);
        with_added(dir.path(), "two", rows, of_expert, 2);
        for source in ["", "tokenizer_source: base\n"] {
            let path = recipe(dir.path(), &format!("{RANDOM}{source}"));
            let output = dir.path().join("out.gguf");
            assert_eq!(
                notes(&path, &output),
                [format!(
                    "the vocabulary is the base's, and that of `./two` another: {expected}"
                )]
            );
            require_bases_keys(&output, &one);
            let of_base = dir.path().join("out.base.gguf");
            for tensor in ["token_embd.weight", "output.weight"] {
                let rows = Gguf::open(&output).unwrap().tensor(tensor).unwrap().rows();
                assert_eq!(rows, base_rows as u64, "{tensor}");
                for at in [0, base_rows - 1] {
                    assert!(row(&output, tensor, at) == row(&of_base, tensor, at));
                }
            }
            require_same(&path, &["q4_k_m"], &[]);
        }
    }
}

/// Where the recipe says so itself, other words are a note, too.
#[test]
fn words_are_the_bases_where_the_recipe_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let one = checkpoint(dir.path(), "one", &with_vocabulary(300, 1));
    let two = checkpoint(dir.path(), "two", &with_vocabulary(303, 2));
    rename(&two, &[("▁w11", "▁x11"), ("▁w20", "▁x20")]);
    let path = recipe(dir.path(), &format!("{RANDOM}tokenizer_source: base\n"));
    let output = dir.path().join("out.gguf");
    assert_eq!(
        notes(&path, &output),
        [
            "the vocabulary is the base's, and that of `./two` another: 5 words differ, the first at id 270; 5 tokens of its own are left out (`▁x11`, `▁x20`, `▁w41`, …); it does not know 2 tokens of the base (`▁w11`, `▁w20`); its embedding has 303 rows, the base's 300; `tokenizer_source: union` keeps what is left out"
        ]
    );
    assert_eq!(texts(&Gguf::open(&output).unwrap())[270], "▁w11");
    require_bases_keys(&output, &one);
    require_same(&path, &["q8_0"], &[]);
}

/// Nothing of an expert's tokenizer is needed; a base without one is refused.
#[test]
fn an_expert_without_a_tokenizer_is_taken_and_noted() {
    let dir = parents(dense);
    fs::remove_file(dir.path().join("two/tokenizer.model")).unwrap();
    let path = recipe(dir.path(), RANDOM);
    let output = dir.path().join("out.gguf");
    let told = notes(&path, &output);
    let [note] = &told[..] else {
        panic!("{told:?}");
    };
    assert!(
        note.starts_with("the vocabulary is the base's; that of `./two` cannot be read and was not held against it: no tokenizer in `"),
        "{note}"
    );
    require_same(&path, &["q8_0"], &[]);
    for yaml in [
        RANDOM.replace("base_model: ./one", "base_model: ./two"),
        format!("{RANDOM}tokenizer_source: union\n"),
    ] {
        let run = super::merge(&recipe(dir.path(), &yaml), &["--dry-run"]);
        let error = text(&run.stderr);
        assert!(
            error.starts_with("error: parent `./two`: no tokenizer in `"),
            "{error}"
        );
    }
}

/// The config.json of a checkpoint that is written holds the base's values.
#[test]
fn a_written_config_holds_the_bases_values() {
    let dir = parents(dense);
    let [one, two] = ["one", "two"].map(|name| dir.path().join(name));
    let of_base =
        json!({"rope_theta": 1e6, "rms_norm_eps": 2e-5, "max_position_embeddings": 32768});
    configure(&one, &of_base);
    configure(
        &two,
        &json!({"rope_scaling": {"type": "linear", "factor": 2.0}}),
    );
    let folder = dir.path().join("merged");
    write_checkpoint(&recipe(dir.path(), RANDOM), &folder, &[]);
    let config: Json =
        serde_json::from_slice(&fs::read(folder.join("config.json")).unwrap()).unwrap();
    for (key, value) in of_base.as_object().unwrap() {
        assert_eq!(config[key], *value, "{key}");
    }
    assert_eq!(config["rope_scaling"], Json::Null);
    let output = dir.path().join("out.gguf");
    merged(&recipe(dir.path(), RANDOM), &output, &[]);
    require_bases_keys(&output, &one);
}

/// Parents whose tensors are named as strangers name them: the same merge, and the checkpoint that is
/// written has a Mixtral's own names.
#[test]
fn parents_under_other_names_make_the_same_merge() {
    let dir = parents(|seed| Spec {
        shards: 1,
        ..dense(seed)
    });
    let yarn = json!({"rope_scaling": {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 1024}});
    configure(&dir.path().join("one"), &yarn);
    let yaml = "base_model: ./one
gate_mode: cheap_embed
dtype: bfloat16
experts:
  - {source_model: one, positive_prompts: [a]}
  - {source_model: ./two, positive_prompts: [b]}
";
    let path = recipe(dir.path(), yaml);
    let output = dir.path().join("out.gguf");
    let expected = merged(&path, &output, &[]);
    require_bases_keys(&output, &dir.path().join("one"));
    for (parent, prefix) in [("one", ""), ("two", "model.model.")] {
        let source = dir.path().join(parent);
        Folder { source }.rename(|name| {
            let rest = name.strip_prefix("model.");
            Some(rest.map_or(name.to_owned(), |rest| format!("{prefix}{rest}")))
        });
    }
    assert!(merged(&path, &output, &["--force"]) == expected);
    require_same(&path, &["q4_k_m"], &[]);
}
