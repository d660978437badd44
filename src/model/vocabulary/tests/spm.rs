//! SentencePiece vocabularies, from both files.

use super::*;

#[test]
fn pieces_keep_their_scores_and_the_rest_is_padding() {
    let folder = Folder::new().with("tokenizer.model", small_model());
    let vocabulary = folder.read(11).unwrap();
    assert_eq!(
        vocabulary.keys(),
        [
            "tokenizer.ggml.model",
            "tokenizer.ggml.pre",
            "tokenizer.ggml.tokens",
            "tokenizer.ggml.scores",
            "tokenizer.ggml.token_type"
        ]
    );
    assert_eq!(*vocabulary.get("ggml.model"), Value::from("llama"));
    assert_eq!(*vocabulary.get("ggml.pre"), Value::from("default"));
    assert_eq!(
        vocabulary.texts(),
        [
            "<unk>", "<s>", "</s>", "<0x0A>", "ab", "▁", "a", "b", "c", "[PAD9]", "[PAD10]"
        ]
    );
    assert_eq!(vocabulary.types(), [2, 3, 3, 6, 1, 1, 1, 1, 5, 5, 5]);
    assert_eq!(
        vocabulary.scores()[4..],
        [-0.0, -1.0, -2.0, -3.0, -4.0, -10000.0, -10000.0]
    );
    assert!(vocabulary.scores()[4].is_sign_negative());
}

#[test]
fn added_tokens_overrule_pieces_and_the_config_overrules_added_tokens() {
    let decoder = json!({
        "2": {"content": "</s>", "special": true},
        "10": {"content": "<|end|>", "special": false},
        "11": {"content": "▁two▁words", "special": false},
        "12": {"content": "far"},
    });
    let vocabulary = Folder::new()
        .with("tokenizer.model", small_model())
        .json(
            "added_tokens.json",
            json!({"<x>": 9, "<y>": 10, "▁z": 8, "far": 4_000_000_000_u32}),
        )
        .json(
            "tokenizer_config.json",
            json!({"added_tokens_decoder": decoder}),
        )
        .read(12)
        .unwrap();
    assert_eq!(
        vocabulary.texts()[7..],
        ["b", "▁z", "<x>", "<|end|>", " two words"]
    );
    assert_eq!(vocabulary.types(), [2, 3, 3, 6, 1, 1, 1, 1, 4, 4, 3, 4]);
    assert_eq!(vocabulary.scores()[8..], [-1000.0; 4]);
    assert_eq!(vocabulary.scores()[1..3], [0.0, -1000.0]);
    assert_eq!(
        vocabulary.notes,
        [
            "the added token `far` is left out: its id 4000000000 is past `vocab_size` 12",
            "token 10 is `<|end|>`, not `<y>`",
            "the added token `far` is left out: its id 12 is past `vocab_size` 12",
        ]
    );
}

#[test]
fn only_bpe_models_are_taken() {
    let with_type = |model_type: Option<i32>| {
        let mut model = model(&[("a", 0.0, PieceType::Normal)]);
        model.trainer_spec = Some(TrainerSpec {
            model_type,
            byte_fallback: None,
        });
        Folder::new().with("tokenizer.model", model.encode_to_vec())
    };
    assert!(with_type(Some(2)).read(1).is_ok());
    // Unigram is the default of the format.
    for (model_type, name) in [
        (None, "a SentencePiece Unigram model"),
        (Some(1), "a SentencePiece Unigram model"),
        (Some(3), "a SentencePiece Word model"),
        (Some(4), "a SentencePiece Char model"),
        (Some(9), "a SentencePiece model of the unknown type 9"),
    ] {
        assert_eq!(
            with_type(model_type).error(1),
            format!(
                "`DIR/tokenizer.model`: {name} cannot be converted, expected a SentencePiece BPE model"
            )
        );
    }
}

#[test]
fn models_that_would_break_a_loader_are_refused() {
    let folder = |pieces: &[(&str, f32, PieceType)]| {
        Folder::new().with("tokenizer.model", model(pieces).encode_to_vec())
    };
    let a = ("a", 0.0, PieceType::Normal);
    assert_eq!(
        folder(&[a, ("b", 0.0, PieceType::Normal), a]).error(3),
        "`DIR/tokenizer.model`: the tokens 0 and 2 are both `a`, expected different texts: llama.cpp does not load such a vocabulary"
    );
    assert_eq!(
        folder(&[a, ("", 0.0, PieceType::Normal)]).error(3),
        "`DIR/tokenizer.model`: piece 1: expected a text, found none"
    );
    assert_eq!(
        folder(&[]).error(3),
        "`DIR/tokenizer.model`: pieces: expected at least one, found none"
    );
    assert_eq!(
        Folder::new()
            .with("tokenizer.model", small_model())
            .error(8),
        "`DIR/tokenizer.model` has ids up to 8, and the embedding has rows up to 7: is `vocab_size` of config.json, 8, that of this tokenizer?"
    );
    assert_eq!(
        folder(&[a])
            .json("added_tokens.json", json!({"a": 1}))
            .error(2),
        "`DIR/tokenizer.model`: the tokens 0 and 1 are both `a`, expected different texts: llama.cpp does not load such a vocabulary"
    );
}

/// tokenizer.json of a SentencePiece vocabulary. The order of merges is not that of the ids.
fn spm_json() -> Json {
    json!({
        "added_tokens": [
            {"id": 0, "content": "<unk>", "special": true},
            {"id": 1, "content": "<s>", "special": true},
        ],
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": "▁"},
            {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
        ]},
        "pre_tokenizer": null,
        "model": {
            "type": "BPE", "unk_token": "<unk>", "byte_fallback": true,
            "vocab": {
                "<unk>": 0, "<s>": 1, "<0x0A>": 2, "abc": 3, "ab": 4, "▁ab": 5, "a": 6, "b": 7, "c": 8, "▁": 9
            },
            "merges": ["a b", "ab c", "▁ ab"],
        },
    })
}

#[test]
fn scores_from_merges_fall_with_the_first_merge_that_makes_a_token() {
    let mut json = spm_json();
    json["model"]["vocab"]["▁a"] = 10.into();
    json["model"]["vocab"]["bc"] = 11.into();
    json["model"]["merges"] = json!(["a b", "ab c", "▁ ab", "▁a b", "a bc"]);
    let vocabulary = Folder::new()
        .json("tokenizer.json", json.clone())
        .read(13)
        .unwrap();
    assert_eq!(vocabulary.texts()[9..], ["▁", "▁a", "bc", "[PAD12]"]);
    assert_eq!(vocabulary.types(), [2, 3, 6, 1, 1, 1, 1, 1, 1, 1, 1, 1, 5]);
    assert_eq!(
        vocabulary.scores(),
        [
            0.0, 0.0, 0.0, -1.0, 0.0, -2.0, -3.0, -4.0, -5.0, -6.0, -7.0, -8.0, -10000.0
        ]
    );
    // Merges as pairs are the same merges.
    json["model"]["merges"] = json!([
        ["a", "b"],
        ["ab", "c"],
        ["▁", "ab"],
        ["▁a", "b"],
        ["a", "bc"]
    ]);
    let pairs = Folder::new().json("tokenizer.json", json).read(13).unwrap();
    assert_eq!(pairs.key_values, vocabulary.key_values);
}

#[test]
fn tokens_that_no_merge_makes_are_told() {
    let mut json = spm_json();
    assert_eq!(
        Folder::new()
            .json("tokenizer.json", json.clone())
            .read(10)
            .unwrap()
            .notes,
        [""; 0]
    );
    json["model"]["merges"] = json!(["a b"]);
    assert_eq!(
        Folder::new()
            .json("tokenizer.json", json)
            .read(10)
            .unwrap()
            .notes,
        [
            "tokenizer.json has no merge for 2 of its tokens (`abc` and so on): llama.cpp's tokenizer may use them, others do not"
        ]
    );
}

#[test]
fn merges_must_be_of_tokens() {
    let with_merges = |merges: Json| {
        let mut json = spm_json();
        json["model"]["merges"] = merges;
        Folder::new().json("tokenizer.json", json).error(10)
    };
    let expected = "expected two tokens of the vocabulary that join to a third";
    for (merge, found) in [
        (json!("a b c"), "another number of them"),
        (json!("a x"), "`x`, which is none"),
        (json!(["b", "a"]), "`ba`, which is none"),
    ] {
        assert_eq!(
            with_merges(json!(["a b", merge])),
            format!("`DIR/tokenizer.json`: merge 1: {expected}, found {found}")
        );
    }
    assert!(with_merges(json!([["a"]])).contains("a merge, written `\"a b\"` or `[\"a\", \"b\"]`"));
}

#[test]
fn the_space_before_a_text_follows_tokenizer_json() {
    let prefix = |normalizer: Json, pre_tokenizer: Json| {
        let mut json = spm_json();
        json["normalizer"] = normalizer;
        json["pre_tokenizer"] = pre_tokenizer;
        let vocabulary = Folder::new().json("tokenizer.json", json).read(10);
        let first = vocabulary.map(|vocabulary| vocabulary.key_values[0].clone());
        first.map(|(key, value)| key.ends_with("add_space_prefix").then_some(value))
    };
    let replace = json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"});
    let metaspace = |rest: Json| {
        let mut json = json!({"type": "Metaspace", "replacement": "▁"});
        json.as_object_mut()
            .unwrap()
            .extend(rest.as_object().unwrap().clone());
        json
    };
    let none = Some(Value::from(false));
    assert_eq!(prefix(replace, Json::Null).unwrap(), none);
    let never = json!({"prepend_scheme": "never", "split": false});
    assert_eq!(prefix(Json::Null, metaspace(never)).unwrap(), none);
    let always = json!({"prepend_scheme": "always"});
    assert_eq!(prefix(Json::Null, metaspace(always)).unwrap(), None);
    assert_eq!(
        prefix(Json::Null, metaspace(json!({"add_prefix_space": false}))).unwrap(),
        none
    );
    // What is not SentencePiece's way of splitting is refused.
    for (normalizer, pre_tokenizer) in [
        (Json::Null, Json::Null),
        (json!({"type": "Lowercase"}), metaspace(json!({}))),
        (Json::Null, json!({"type": "Whitespace"})),
    ] {
        let error = prefix(normalizer, pre_tokenizer).unwrap_err();
        assert!(
            matches!(error, VocabularyError::Unsupported { .. }),
            "{error}"
        );
    }
}

#[test]
fn ids_of_tokenizer_json_may_have_gaps_but_not_clash() {
    let with = |change: fn(&mut Json)| {
        let mut json = spm_json();
        change(&mut json);
        Folder::new().json("tokenizer.json", json)
    };
    let gap = with(|json| json["model"]["vocab"]["d"] = 11.into())
        .read(12)
        .unwrap();
    assert_eq!(gap.texts()[9..], ["▁", "[PAD10]", "d"]);
    let larger = |last: u32| {
        format!(
            " has ids up to {last}, and the embedding has rows up to 11: is `vocab_size` of config.json, 12, that of this tokenizer?"
        )
    };
    for (folder, error) in [
        (
            with(|json| json["model"]["vocab"]["d"] = 8.into()),
            ": the id 8 is given to `c` and to `d`, expected one of them".to_owned(),
        ),
        (
            with(|json| json["model"]["vocab"]["d"] = 12.into()),
            larger(12),
        ),
        (
            with(|json| json["model"]["vocab"]["d"] = u32::MAX.into()),
            larger(u32::MAX),
        ),
        (
            with(|json| json["added_tokens"][1] = json!({"id": 8, "content": "<s>"})),
            ": the tokens 1 and 8 are both `<s>`, expected different texts: llama.cpp does not load such a vocabulary".to_owned(),
        ),
        (
            with(|json| json["added_tokens"][1] = json!({"id": 8, "content": "<t>"})),
            ": the id 8 is given to `c` and to `<t>`, expected one of them".to_owned(),
        ),
    ] {
        assert_eq!(folder.error(12), format!("`DIR/tokenizer.json`{error}"));
    }
}
