//! Tokens that files add beside tokenizer.model or tokenizer.json, in every way there is.

use super::*;

/// The token of a file that adds it with an id, or names it.
fn special(id: u32, content: &str) -> Json {
    json!({"id": id, "content": content, "special": true})
}

/// tokenizer.json beside a tokenizer.model: the pieces stand there.
fn json_of(tokens: &[Json]) -> Json {
    json!({"added_tokens": tokens})
}

fn end(vocabulary: &Vocabulary, from: usize) -> Vec<(String, i32)> {
    let texts = vocabulary.texts();
    let pairs = texts.into_iter().zip(vocabulary.types().iter().copied());
    pairs.skip(from).collect()
}

fn pairs<const N: usize>(tokens: [(&str, i32); N]) -> Vec<(String, i32)> {
    tokens.map(|(text, ty)| (text.to_owned(), ty)).to_vec()
}

#[test]
fn tokens_that_only_tokenizer_json_adds_are_kept_and_told() {
    let json = json_of(&[
        special(1, "<s>"),
        special(9, "<|im_start|>"),
        special(10, "<|im_end|>"),
        json!({"id": 11, "content": "▁x", "special": false}),
        special(12, "<past>"),
    ]);
    let vocabulary = Folder::new()
        .with("tokenizer.model", small_model())
        .json("tokenizer.json", json)
        .json("tokenizer_config.json", json!({"eos_token": "<|im_end|>"}))
        .read(12)
        .unwrap();
    assert_eq!(
        end(&vocabulary, 8),
        pairs([("c", 5), ("<|im_start|>", 3), ("<|im_end|>", 3), (" x", 4)])
    );
    assert_eq!(vocabulary.scores()[9..], [-1000.0; 3]);
    assert_eq!(*vocabulary.get("ggml.eos_token_id"), Value::U32(10));
    assert_eq!(
        vocabulary.notes,
        [
            "the added token `<past>` is left out: its id 12 is past `vocab_size` 12",
            "kept, where llama.cpp's converter writes padding: `<|im_start|>` (9), `<|im_end|>` (10), `▁x` (11), which only tokenizer.json adds",
        ]
    );
}

#[test]
fn tokenizer_json_takes_no_token_from_another_file() {
    let json = json_of(&[special(4, "<x>"), special(9, "</s>"), special(10, "<y>")]);
    let vocabulary = Folder::new()
        .with("tokenizer.model", small_model())
        .json("tokenizer.json", json)
        .json("added_tokens.json", json!({"<z>": 10}))
        .read(11)
        .unwrap();
    assert_eq!(vocabulary.texts()[4], "ab");
    assert_eq!(end(&vocabulary, 9), pairs([("[PAD9]", 5), ("<z>", 4)]));
    assert_eq!(
        vocabulary.notes,
        [
            "tokenizer.json has `<x>` as token 4; written is `ab`, which the other files have",
            "tokenizer.json gives `</s>` the id 9; it is token 2 already and stays that",
            "tokenizer.json has `<y>` as token 10; written is `<z>`, which the other files have",
        ]
    );
}

/// A file that adds the token `<new>`, whatever its id.
fn ways() -> Vec<(&'static str, Json)> {
    let token = |id: u32| json!({id.to_string(): {"content": "<new>", "special": true}});
    vec![
        ("added_tokens.json", json!({"<new>": 9})),
        ("special_tokens_map.json", json!({"pad_token": "<new>"})),
        (
            "special_tokens_map.json",
            json!({"additional_special_tokens": [{"content": "<new>"}, "<s>"]}),
        ),
        (
            "tokenizer_config.json",
            json!({"additional_special_tokens": ["<new>"]}),
        ),
        (
            "tokenizer_config.json",
            json!({"cls_token": {"content": "<new>"}}),
        ),
        (
            "tokenizer_config.json",
            json!({"added_tokens_decoder": token(9)}),
        ),
        ("tokenizer.json", json_of(&[special(9, "<new>")])),
    ]
}

#[test]
fn one_token_in_any_two_files_is_there_once() {
    for (one, one_json) in ways() {
        for (two, two_json) in ways() {
            if one == two && one_json != two_json {
                continue;
            }
            let vocabulary = Folder::new()
                .with("tokenizer.model", small_model())
                .json(one, one_json.clone())
                .json(two, two_json)
                .read(11)
                .unwrap();
            let found = end(&vocabulary, 9);
            assert_eq!(found[0].0, "<new>", "{one} and {two}");
            assert_eq!(found[1], ("[PAD10]".to_owned(), 5), "{one} and {two}");
        }
    }
}

/// Beside a tokenizer.json alone, of either kind, with nine tokens.
#[test]
fn every_way_adds_to_a_tokenizer_json_too() {
    let words = ["<unk>", "<s>", "</s>", "▁", "Ġ", "a", "b", "ab", "▁a"];
    let vocab: Json = (0..9).map(|id| (words[id].to_owned(), json!(id))).collect();
    let of_kind = |byte_fallback: bool| {
        let mut json = json!({
            "added_tokens": [special(1, "<s>")],
            "model": {
                "type": "BPE", "vocab": vocab, "merges": [["a", "b"], ["▁", "a"]],
                "byte_fallback": byte_fallback,
            },
        });
        match byte_fallback {
            true => json["pre_tokenizer"] = json!({"type": "Metaspace", "replacement": "▁"}),
            false => {
                json["pre_tokenizer"] = json!({"type": "ByteLevel", "add_prefix_space": false});
            }
        }
        json
    };
    for byte_fallback in [true, false] {
        for (name, json) in ways() {
            let mut tokenizer = of_kind(byte_fallback);
            let mut folder = Folder::new();
            if name == "tokenizer.json" {
                tokenizer["added_tokens"] = json["added_tokens"].clone();
            } else {
                folder = folder.json(name, json);
            }
            let vocabulary = folder.json("tokenizer.json", tokenizer).read(11).unwrap();
            let found = end(&vocabulary, 9);
            assert_eq!(found[0].0, "<new>", "{byte_fallback} {name}");
            assert!([3, 4].contains(&found[0].1), "{byte_fallback} {name}");
            assert_eq!(found[1].1, 5, "{byte_fallback} {name}");
        }
    }
}

/// Once there is an `added_tokens_decoder`, the older files have no say in a tokenizer.json's tokens.
#[test]
fn old_files_have_no_say_beside_an_added_tokens_decoder() {
    let folder = Folder::new()
        .with("tokenizer.model", small_model())
        .json(
            "special_tokens_map.json",
            json!({"pad_token": "<a>", "additional_special_tokens": ["<b>"]}),
        )
        .json(
            "tokenizer_config.json",
            json!({"added_tokens_decoder": {}, "pad_token": "<c>"}),
        );
    let vocabulary = folder.read(12).unwrap();
    assert_eq!(
        end(&vocabulary, 9),
        pairs([("<c>", 3), ("[PAD10]", 5), ("[PAD11]", 5)])
    );
}
