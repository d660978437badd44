//! Byte-level vocabularies.

use super::*;

pub(super) fn byte_level(use_regex: bool) -> Json {
    json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": use_regex})
}

pub(super) fn bpe_json(pre_tokenizer: Json) -> Json {
    json!({
        "added_tokens": [{"id": 4, "content": "<|end|>", "special": true}],
        "normalizer": null,
        "pre_tokenizer": pre_tokenizer,
        "model": {
            "type": "BPE", "byte_fallback": false, "ignore_merges": false,
            "vocab": {"a": 0, "b": 1, "ab": 2, "Ġa": 3},
            "merges": ["a b", "Ġ a"],
        },
    })
}

#[test]
fn tokens_merges_and_keys_are_in_the_order_of_the_converter() {
    let mut json = bpe_json(byte_level(true));
    json["added_tokens"] = json!([
        {"id": 4, "content": "<|end|>", "special": false},
        {"id": 5, "content": "two words", "special": false, "normalized": true},
        {"id": 6, "content": "ĠĠ", "special": false, "normalized": false},
        {"id": 7, "content": "a▁b", "special": true, "normalized": true},
    ]);
    json["model"]["merges"] = json!([["a", "b"], ["Ġ", "a b"]]);
    let vocabulary = Folder::new()
        .json("tokenizer.json", json)
        .json(
            "tokenizer_config.json",
            json!({"add_prefix_space": false, "bos_token": "<|end|>"}),
        )
        .read_with(10, json!({"eos_token_id": 4}))
        .unwrap();
    assert_eq!(
        vocabulary.keys(),
        [
            "tokenizer.ggml.add_space_prefix",
            "tokenizer.ggml.model",
            "tokenizer.ggml.pre",
            "tokenizer.ggml.tokens",
            "tokenizer.ggml.token_type",
            "tokenizer.ggml.merges",
            "tokenizer.ggml.bos_token_id",
            "tokenizer.ggml.eos_token_id"
        ]
    );
    assert_eq!(*vocabulary.get("ggml.model"), Value::from("gpt2"));
    assert_eq!(
        vocabulary.texts(),
        [
            "a",
            "b",
            "ab",
            "Ġa",
            "<|end|>",
            "two words",
            "  ",
            "a▁b",
            "[PAD8]",
            "[PAD9]"
        ]
    );
    assert_eq!(vocabulary.types(), [1, 1, 1, 1, 3, 4, 4, 3, 5, 5]);
    assert_eq!(strings(vocabulary.get("ggml.merges")), ["a b", "Ġ aĠb"]);
}

#[test]
fn the_config_overrules_and_extends_the_added_tokens() {
    let config = json!({
        "added_tokens_decoder": {
            "4": {"content": "<|end|>", "special": false, "normalized": true},
            "9": {"content": "<new>", "special": false, "normalized": true},
        },
        "pad_token": {"content": "<pad!>"},
        "mask_token": "ab",
    });
    let vocabulary = Folder::new()
        .json("tokenizer.json", bpe_json(byte_level(true)))
        .json("tokenizer_config.json", config)
        .read(7)
        .unwrap();
    // New tokens get the next free ids, and a special token that is in the model keeps its own.
    assert_eq!(
        vocabulary.texts(),
        ["a", "b", "ab", "Ġa", "<|end|>", "<new>", "<pad!>"]
    );
    assert_eq!(vocabulary.types(), [1, 1, 3, 1, 3, 4, 3]);
}

#[test]
fn a_vocabulary_without_merges_takes_those_of_merges_txt() {
    let mut json = bpe_json(byte_level(true));
    json["model"]["merges"] = json!([]);
    let merges = "#version: 0.2\r\na b\r\n\r\nthree of them\n  Ġ   a \n";
    let vocabulary = Folder::new()
        .json("tokenizer.json", json)
        .with("merges.txt", merges)
        .read(5)
        .unwrap();
    assert_eq!(strings(vocabulary.get("ggml.merges")), ["a b", "Ġ a"]);
}

#[test]
fn other_models_are_refused_by_name() {
    let unigram = json!({"model": {"type": "Unigram", "unk_id": 0, "vocab": [["a", -1.5]]}});
    assert_eq!(
        Folder::new().json("tokenizer.json", unigram).error(5),
        "`DIR/tokenizer.json`: a Unigram model cannot be converted, expected a BPE model"
    );
    let mut json = bpe_json(byte_level(true));
    json["model"]["end_of_word_suffix"] = "</w>".into();
    assert_eq!(
        Folder::new().json("tokenizer.json", json).error(5),
        "`DIR/tokenizer.json`: a BPE model with `end_of_word_suffix` `</w>` cannot be converted, expected one without"
    );
    let mut json = bpe_json(byte_level(true));
    json["normalizer"] = json!({"type": "Lowercase"});
    assert!(
        Folder::new()
            .json("tokenizer.json", json)
            .error(5)
            .contains("the normalizer `{\"type\":\"Lowercase\"}`")
    );
}
