//! Errors of `src/model/vocabulary`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value as Json, json};
use swallow_gguf::model::vocabulary::{self, VocabularyError, VocabularyRequest};

use super::{Section, variants};

variants!(VocabularyError {
    NoTokenizer,
    File,
    List,
    Protobuf,
    Entry,
    Unsupported,
    UnknownPreTokenizer,
    NoPreTokenizer,
    TooManyTokens,
    VocabSize,
    DuplicateText,
    DuplicateId,
});

/// A file's name and what is in it.
type Named<'a> = (&'a str, &'a [u8]);

/// Reads a vocabulary of eight rows from a folder with these files.
fn read(list: &Section, case: usize, files: &[Named<'_>]) -> VocabularyError {
    let dir = list.dir().join(case.to_string());
    fs::create_dir_all(&dir).unwrap();
    for (name, bytes) in files {
        fs::write(dir.join(name), bytes).unwrap();
    }
    of(&dir, 8)
}

fn of(dir: &Path, vocab_size: usize) -> VocabularyError {
    with_pre(dir, vocab_size, None)
}

fn with_pre(dir: &Path, vocab_size: usize, pre: Option<&str>) -> VocabularyError {
    let request = VocabularyRequest {
        dir,
        vocab_size,
        config: &json!({}),
        policy: vocabulary::policy::LLAMA,
        chat_template: None,
        pre: pre.map(|name| name.parse().unwrap()),
    };
    vocabulary::read(&request).unwrap_err()
}

/// A byte-level tokenizer.json, changed by `edit`.
fn json_file(edit: impl FnOnce(&mut Json)) -> Vec<u8> {
    let mut json = json!({
        "added_tokens": [{"id": 3, "content": "<s>", "special": true}],
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false},
        "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": [["a", "b"]]},
    });
    edit(&mut json);
    json.to_string().into_bytes()
}

pub(super) fn errors(list: &mut Section) {
    list.want::<VocabularyError>();

    const POINTER: &[u8] =
        b"version https://git-lfs.github.com/spec/v1\noid sha256:4d\nsize 499723\n";
    let json = "tokenizer.json";
    let plain = json_file(|_| {});
    let utf_16: Vec<u8> = "\u{feff}{}"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    // A piece `ab` twice: field 1, of field 1 `ab`; and that it is BPE.
    let twice = b"\x0a\x04\x0a\x02ab\x0a\x04\x0a\x02ab\x12\x02\x18\x02";
    let unigram = b"\x0a\x04\x0a\x02ab\x12\x02\x18\x01";
    let nine: Vec<u8> = (b'a'..b'j')
        .flat_map(|letter| [0x0a, 0x03, 0x0a, 0x01, letter])
        .chain(*b"\x12\x02\x18\x02")
        .collect();
    let long_id = json_file(|json| json["added_tokens"][0]["id"] = json!(99));
    let same_id = json_file(|json| json["added_tokens"][0]["id"] = json!(2));
    let same_text = json_file(|json| json["added_tokens"][0]["content"] = json!("ab"));
    let wordpiece = json_file(|json| json["model"]["type"] = json!("WordPiece"));
    let split = json_file(|json| json["pre_tokenizer"] = json!({"type": "Whitespace"}));
    let suffix = json_file(|json| json["model"]["end_of_word_suffix"] = json!("</w>"));
    let wrong_id = json_file(|json| json["added_tokens"][0]["id"] = json!(-1));
    let fallback = json_file(|json| {
        json["model"]["byte_fallback"] = json!(true);
        json["pre_tokenizer"] = json!({"type": "Metaspace", "replacement": "▁"});
        json["model"]["merges"] = json!([["a", "c"]]);
    });
    let cases: &[(&str, &[Named<'_>])] = &[
        ("no tokenizer", &[]),
        (
            "another's tokenizer",
            &[("vocab.json", b"{}"), ("merges.txt", b"")],
        ),
        ("a tekken.json of another shape", &[("tekken.json", b"{}")]),
        (
            "a pointer for tokenizer.model",
            &[("tokenizer.model", POINTER)],
        ),
        ("a pointer for tokenizer.json", &[(json, POINTER)]),
        ("an empty tokenizer.json", &[(json, b"")]),
        (
            "a web page for tokenizer.json",
            &[(json, b"<!doctype html><title>x</title>")],
        ),
        ("a cut tokenizer.json", &[(json, &plain[..40])]),
        (
            "a tokenizer_config.json in UTF-16",
            &[(json, &plain), ("tokenizer_config.json", &utf_16)],
        ),
        (
            "a template that is no text",
            &[(json, &plain), ("chat_template.jinja", b"ab\xff")],
        ),
        ("a cut tokenizer.model", &[("tokenizer.model", &twice[..9])]),
        ("an empty tokenizer.model", &[("tokenizer.model", b"")]),
        ("an id that is none", &[(json, &wrong_id)]),
        (
            "an added token without an id",
            &[
                ("tokenizer.model", &nine[5..]),
                ("added_tokens.json", b"{\"<x>\": \"1\"}"),
            ],
        ),
        (
            "an entry of added_tokens_decoder without a text",
            &[
                (json, &plain),
                (
                    "tokenizer_config.json",
                    b"{\"added_tokens_decoder\": {\"3\": {}}}",
                ),
            ],
        ),
        ("a merge of no tokens", &[(json, &fallback)]),
        ("a Unigram model", &[("tokenizer.model", unigram)]),
        ("a WordPiece model", &[(json, &wordpiece)]),
        ("an unknown pre-tokenizer", &[(json, &split)]),
        ("a setting without a place in GGUF", &[(json, &suffix)]),
        ("more pieces than rows", &[("tokenizer.model", &nine)]),
        ("an id beyond the rows", &[(json, &long_id)]),
        ("a piece twice", &[("tokenizer.model", twice)]),
        (
            "an added token that is in the model too",
            &[(json, &same_text)],
        ),
        ("an id twice", &[(json, &same_id)]),
    ];
    for (i, (case, files)) in cases.iter().enumerate() {
        let error = read(list, i, files);
        list.add(case, error);
    }

    let dir = list.dir().join("0");
    fs::write(dir.join("tokenizer.model"), &nine[5..]).unwrap();
    list.add(
        "a pre-tokenizer for a SentencePiece model",
        with_pre(&dir, 8, Some("qwen2")),
    );
    fs::remove_file(dir.join("tokenizer.model")).unwrap();
    fs::write(dir.join(json), &plain).unwrap();
    list.add("an absurd vocab_size", of(&dir, usize::MAX));
    list.add(
        "a folder that cannot be listed",
        VocabularyError::List {
            path: PathBuf::from("DIR/additional_chat_templates"),
            error: std::io::ErrorKind::PermissionDenied.into(),
        },
    );
}
