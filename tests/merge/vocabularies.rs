//! Parents with vocabularies that differ, and their union.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value as Json, json};
use swallow_gguf::{
    gguf::{Array, Gguf, Value},
    synthetic::{Sizes, Spec},
};

use super::{RANDOM, dense, merge, merged, recipe, require_same, write_checkpoint};
use crate::support::{checkpoint, converted, swallow_gguf, text};

/// A dense model of `n` pieces, the first 259 of which are special or bytes.
pub(super) fn with_vocabulary(n: usize, seed: u64) -> Spec {
    let spec = dense(seed);
    Spec {
        sizes: Sizes {
            vocab_size: n,
            ..spec.sizes
        },
        ..spec
    }
}

/// A parent of [`with_vocabulary`] with `rows` rows, more than its `n` pieces.
pub(super) fn with_rows(dir: &Path, name: &str, n: usize, rows: usize, seed: u64) -> PathBuf {
    let parent = checkpoint(dir, name, &with_vocabulary(rows, seed));
    let smaller = checkpoint(dir, "smaller", &with_vocabulary(n, seed));
    fs::rename(
        smaller.join("tokenizer.model"),
        parent.join("tokenizer.model"),
    )
    .unwrap();
    parent
}

/// Renames words of a parent's `tokenizer.model`, byte for byte as long.
pub(super) fn rename(parent: &Path, words: &[(&str, &str)]) {
    let path = parent.join("tokenizer.model");
    let mut model = fs::read(&path).unwrap();
    for (from, to) in words {
        assert_eq!(from.len(), to.len());
        let at = model.windows(from.len()).position(|w| w == from.as_bytes());
        let at = at.unwrap();
        model[at..at + to.len()].copy_from_slice(to.as_bytes());
    }
    fs::write(path, model).unwrap();
}

pub(super) fn texts(gguf: &Gguf) -> Vec<String> {
    match gguf.get("tokenizer.ggml.tokens") {
        Some(Value::Array(Array::String(texts))) => texts.iter().map(|t| t.to_string()).collect(),
        other => panic!("{other:?}"),
    }
}

/// Row `row` of a bf16 tensor of rows of 256.
pub(super) fn row(path: &Path, tensor: &str, row: usize) -> Vec<u8> {
    let gguf = Gguf::open(path).unwrap();
    let begin = (gguf.data_offset + gguf.tensor(tensor).unwrap().offset) as usize;
    fs::read(path).unwrap()[begin + row * 512..][..512].to_vec()
}

#[test]
fn words_that_differ_are_an_error_that_shows_the_first() {
    let dir = tempfile::tempdir().unwrap();
    checkpoint(dir.path(), "one", &with_vocabulary(300, 1));
    let two = checkpoint(dir.path(), "two", &with_vocabulary(300, 2));
    rename(&two, &[("▁w11", "▁x11"), ("▁w20", "▁x20")]);
    let run = merge(&recipe(dir.path(), RANDOM), &["--dry-run"]);
    assert_eq!(
        text(&run.stderr),
        "error: the vocabularies differ in 2 words, first in token 270, which is `▁w11` in the base `./one` and `▁x11` in `./two`: write `tokenizer_source: union` in the recipe to join them, or `tokenizer_source: base` to have the base's alone\n"
    );
    checkpoint(dir.path(), "two", &with_vocabulary(310, 2));
    let run = merge(&recipe(dir.path(), RANDOM), &["--dry-run"]);
    let error = text(&run.stderr);
    assert!(
        error.contains("in 10 words, first in token 300, which is none in the base `./one` and `▁w41` in `./two`"),
        "{error}"
    );
}

#[test]
fn a_union_of_sentencepiece_models_has_the_bases_ids_and_every_row_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let one = with_rows(dir.path(), "one", 300, 301, 1);
    let two = with_rows(dir.path(), "two", 310, 311, 2);
    let three = checkpoint(
        dir.path(),
        "three",
        &Spec {
            tied: true,
            ..with_vocabulary(305, 3)
        },
    );
    rename(
        &two,
        &[("▁w11", "▁x11"), ("▁w12", "▁x12"), ("▁w20", "▁x20")],
    );
    rename(&three, &[("▁w11", "▁y11"), ("▁w12", "▁x12")]);
    // An added token of the base, which has an id and no piece, and one of an expert.
    let added = |content: &str, id: &str| json!({"add_bos_token": true, "added_tokens_decoder": {id: {"content": content, "special": true}}});
    fs::write(
        one.join("tokenizer_config.json"),
        added("<|a|>", "300").to_string(),
    )
    .unwrap();
    fs::write(
        two.join("tokenizer_config.json"),
        added("<|b|>", "310").to_string(),
    )
    .unwrap();
    let yaml = "base_model: one
gate_mode: random
tokenizer_source: union
experts: [{source_model: two}, {source_model: three}]
";
    let path = recipe(dir.path(), yaml);
    let output = dir.path().join("out.gguf");
    let run = swallow_gguf()
        .args(["merge", "-t", "bf16", "-o"])
        .arg(&output)
        .arg(&path)
        .output()
        .unwrap();
    let notes = text(&run.stderr);
    assert!(run.status.success(), "{notes}");
    for note in [
        "note: tokenizer_source `union`, which mergekit-moe ignores: 301 tokens and their rows come from the base, 15 from experts\n",
        "note: 14 tokens and their rows come from `two`\n",
        "note: 1 token and its rows come from `three`\n",
    ] {
        assert!(notes.contains(note), "{notes}");
    }

    let gguf = Gguf::open(&output).unwrap();
    let tokens = texts(&gguf);
    let new: Vec<&str> = tokens[301..].iter().map(String::as_str).collect();
    assert_eq!(
        new,
        [
            "▁x11", "▁x12", "▁x20", "▁w41", "▁w42", "▁w43", "▁w44", "▁w45", "▁w46", "▁w47", "▁w48",
            "▁w49", "▁w50", "<|b|>", "▁y11"
        ]
    );
    assert_eq!(
        (tokens[270].as_str(), tokens[300].as_str()),
        ("▁w11", "<|a|>")
    );
    assert_eq!(gguf.get("llama.vocab_size"), Some(&316.into()));
    let Some(Value::Array(Array::I32(types))) = gguf.get("tokenizer.ggml.token_type") else {
        panic!("no types");
    };
    assert_eq!(
        (types[300], types[301], types[314], types[315]),
        (3, 1, 3, 1)
    );
    let Some(Value::Array(Array::F32(scores))) = gguf.get("tokenizer.ggml.scores") else {
        panic!("no scores");
    };
    assert_eq!(
        (scores[301], scores[304], scores[314]),
        (-11.0, -41.0, -1000.0)
    );

    // The rows: the base's, the expert's, and of a model without output matrix its embedding.
    let [of_one, of_two, of_three] = [&one, &two, &three].map(|parent| {
        let path = parent.with_extension("gguf");
        converted(parent, &path, &["-t", "bf16"]);
        path
    });
    for (tensor, of_three_tensor) in [
        ("token_embd.weight", "token_embd.weight"),
        ("output.weight", "token_embd.weight"),
    ] {
        for (id, parent, own, own_tensor) in [
            (0, &of_one, 0, tensor),
            (270, &of_one, 270, tensor),
            (300, &of_one, 300, tensor),
            (301, &of_two, 270, tensor),
            (302, &of_two, 271, tensor),
            (304, &of_two, 300, tensor),
            (314, &of_two, 310, tensor),
            (315, &of_three, 270, of_three_tensor),
        ] {
            let expected = row(parent, own_tensor, own);
            assert!(row(&output, tensor, id) == expected, "{tensor} {id}");
        }
    }
    require_same(&path, &["q4_k_m", "bf16"], &[]);
}

/// Rows that the base's embedding has beyond its tokens are used before there are more, and stay where
/// the union adds nothing.
#[test]
fn padding_rows_make_room() {
    let dir = tempfile::tempdir().unwrap();
    with_rows(dir.path(), "one", 300, 320, 1);
    checkpoint(dir.path(), "two", &with_vocabulary(310, 2));
    with_rows(dir.path(), "same", 300, 320, 1);
    let union = format!("{RANDOM}tokenizer_source: union\n");
    let vocab_size = |yaml: &str| {
        let output = dir.path().join("out.gguf");
        let path = recipe(dir.path(), yaml);
        merged(&path, &output, &["-t", "bf16", "--force"]);
        require_same(&path, &["bf16"], &[]);
        let gguf = Gguf::open(&output).unwrap();
        (texts(&gguf).len(), texts(&gguf)[305].clone())
    };
    assert_eq!(vocab_size(&union), (320, "▁w46".to_owned()));
    let same = union.replace("./two", "same");
    assert_eq!(vocab_size(&same), (320, "[PAD305]".to_owned()));
}

/// A byte-level tokenizer.json of the 256 bytes, `words` made by merges, and added tokens.
fn byte_level(parent: &Path, words: &[(&str, &str)], added: &[(&str, bool)]) {
    let mut vocab = serde_json::Map::new();
    let printable = (0..=255u32).filter(|b| matches!(b, 33..=126 | 161..=172 | 174..=255));
    let others = (0x100..).take(68);
    for c in printable.chain(others).filter_map(char::from_u32) {
        vocab.insert(c.to_string(), json!(vocab.len()));
    }
    for (left, right) in words {
        vocab.insert(format!("{left}{right}"), json!(vocab.len()));
    }
    let n = vocab.len();
    let added: Vec<Json> = added
        .iter()
        .enumerate()
        .map(|(i, (content, special))| json!({"id": n + i, "content": content, "special": special}))
        .collect();
    let tokenizer = json!({
        "added_tokens": added,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true},
        "model": {"type": "BPE", "vocab": vocab, "merges": words},
    });
    fs::remove_file(parent.join("tokenizer.model")).unwrap();
    fs::write(parent.join("tokenizer.json"), tokenizer.to_string()).unwrap();
}

#[test]
fn of_byte_level_vocabularies_added_tokens_are_joined_and_words_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let one = checkpoint(dir.path(), "one", &with_vocabulary(259, 1));
    let two = checkpoint(dir.path(), "two", &with_vocabulary(261, 2));
    let words = [("a", "b"), ("ab", "c")];
    byte_level(&one, &words, &[("<|end|>", true)]);
    byte_level(
        &two,
        &words,
        &[
            ("<|im_start|>", true),
            ("<|end|>", true),
            ("hello there", false),
        ],
    );
    let path = recipe(dir.path(), &format!("{RANDOM}tokenizer_source: union\n"));
    let output = dir.path().join("out.gguf");
    merged(&path, &output, &["-t", "bf16"]);
    let tokens = texts(&Gguf::open(&output).unwrap());
    assert_eq!(
        tokens[256..],
        ["ab", "abc", "<|end|>", "<|im_start|>", "hello there"]
    );
    let of_two = dir.path().join("two.gguf");
    converted(&two, &of_two, &["-t", "bf16"]);
    for (id, own) in [(259, 258), (260, 260)] {
        let tensor = "token_embd.weight";
        assert!(
            row(&output, tensor, id) == row(&of_two, tensor, own),
            "{id}"
        );
    }
    require_same(&path, &["q8_0"], &[]);

    fs::write(two.join("tokenizer.model"), "").unwrap();
    byte_level(
        &two,
        &[("a", "b"), ("b", "c"), ("ab", "c")],
        &[("<|end|>", true)],
    );
    let run = merge(&path, &["--dry-run"]);
    let error = text(&run.stderr);
    assert!(
        error.contains("the vocabularies of `./one` and `./two` have no union: token 257 of the expert, `bc`, is made by merges"),
        "{error}"
    );

    // A SentencePiece model and a byte-level vocabulary.
    checkpoint(dir.path(), "one", &with_vocabulary(300, 1));
    let run = merge(&path, &["--dry-run"]);
    let error = text(&run.stderr);
    assert!(
        error.contains("have no union: the base's is a SentencePiece model, the other byte-level"),
        "{error}"
    );
}

/// A pre-tokenizer that no description is recognized by, here and in the checkpoint that is written.
#[test]
fn a_pre_tokenizer_that_is_not_recognized_is_named_by_hand() {
    let dir = tempfile::tempdir().unwrap();
    for (name, seed, added) in [("one", 1, "<|end|>"), ("two", 2, "<|im_start|>")] {
        let parent = checkpoint(dir.path(), name, &with_vocabulary(259, seed));
        byte_level(&parent, &[("a", "b")], &[(added, true)]);
        let path = parent.join("tokenizer.json");
        let mut json: Json = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        json["pre_tokenizer"] = json!({"type": "WhitespaceSplit"});
        fs::write(&path, json.to_string()).unwrap();
    }
    let path = recipe(dir.path(), &format!("{RANDOM}tokenizer_source: union\n"));
    let output = dir.path().join("out.gguf");
    let run = merge(&path, &["--dry-run"]);
    let error = text(&run.stderr);
    assert!(
        error.contains(r#"{"type":"WhitespaceSplit"}"#) && error.contains("`--pre NAME`"),
        "{error}"
    );

    let args = ["-t", "bf16", "--pre", "olmo"];
    let bytes = merged(&path, &output, &args);
    let gguf = Gguf::open(&output).unwrap();
    assert_eq!(gguf.get_str("tokenizer.ggml.pre"), Some("olmo"));
    let folder = dir.path().join("merged");
    write_checkpoint(&path, &folder, &["--pre", "olmo"]);
    let of_folder = converted(&folder, &dir.path().join("of-folder.gguf"), &args);
    assert!(of_folder == bytes);
}

/// The tokenizer of a base with chat template and further files is copied as it is.
#[test]
fn a_shared_tokenizer_is_copied_with_its_template() {
    let dir = tempfile::tempdir().unwrap();
    let one = checkpoint(dir.path(), "one", &with_vocabulary(300, 1));
    checkpoint(dir.path(), "two", &with_vocabulary(300, 2));
    let template = "{% for m in messages %}{{ m.content }}{% endfor %}";
    let config = json!({"chat_template": template, "add_eos_token": false});
    fs::write(one.join("tokenizer_config.json"), config.to_string()).unwrap();
    fs::create_dir(one.join("additional_chat_templates")).unwrap();
    fs::write(one.join("additional_chat_templates/tool.jinja"), "x").unwrap();
    let path = recipe(dir.path(), RANDOM);
    require_same(&path, &["q8_0"], &[]);
    let folder = dir.path().join("merged");
    write_checkpoint(&path, &folder, &[]);
    for name in [
        "tokenizer.model",
        "tokenizer_config.json",
        "additional_chat_templates/tool.jinja",
    ] {
        let [a, b] = [&one, &folder].map(|dir| fs::read(dir.join(name)).unwrap());
        assert!(a == b, "{name}");
    }
    let output = dir.path().join("out.gguf");
    merged(&path, &output, &[]);
    let gguf = Gguf::open(&output).unwrap();
    assert_eq!(gguf.get("tokenizer.chat_template"), Some(&template.into()));
    merged(&path, &output, &["--force", "--chat-template", "chatml"]);
    let gguf = Gguf::open(&output).unwrap();
    assert_ne!(gguf.get("tokenizer.chat_template"), Some(&template.into()));
}

/// A tokenizer.json says what the special tokens are and whether one begins a text. The union leaves it
/// out, and says the same.
#[test]
fn what_a_left_out_tokenizer_json_said_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let one = checkpoint(dir.path(), "one", &with_vocabulary(300, 1));
    checkpoint(dir.path(), "two", &with_vocabulary(303, 2));
    let path = one.join("config.json");
    let mut config: Json = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    for key in ["bos_token_id", "eos_token_id"] {
        config.as_object_mut().unwrap().remove(key);
    }
    fs::write(&path, config.to_string()).unwrap();
    let special = |id: u32, content: &str| json!({"id": id, "content": content, "special": true});
    let tokenizer = json!({
        "added_tokens": [special(1, "<s>"), special(2, "</s>")],
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [
                {"SpecialToken": {"id": "<s>", "type_id": 0}},
                {"Sequence": {"id": "A", "type_id": 0}},
            ],
            "pair": [],
        },
    });
    fs::write(one.join("tokenizer.json"), tokenizer.to_string()).unwrap();
    let tokenizer_config = json!({"bos_token": "<s>", "eos_token": "</s>"});
    fs::write(
        one.join("tokenizer_config.json"),
        tokenizer_config.to_string(),
    )
    .unwrap();

    let path = recipe(dir.path(), &format!("{RANDOM}tokenizer_source: union\n"));
    require_same(&path, &["q8_0"], &[]);
    let [base, union] = ["base.gguf", "union.gguf"].map(|name| dir.path().join(name));
    converted(&one, &base, &["-t", "q8_0"]);
    merged(&path, &union, &["-t", "q8_0"]);
    let [base, union] = [&base, &union].map(|path| Gguf::open(path).unwrap());
    assert_eq!(texts(&union).len(), 303);
    let said = |gguf: &Gguf, key: &str| gguf.get(&format!("tokenizer.ggml.{key}")).cloned();
    for (key, value) in [
        ("bos_token_id", Some(1.into())),
        ("eos_token_id", Some(2.into())),
        ("add_bos_token", Some(true.into())),
        ("add_eos_token", None),
    ] {
        assert_eq!(said(&base, key), value, "{key}");
        assert_eq!(said(&union, key), value, "{key}");
    }
}

#[test]
fn what_has_no_union_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let one = checkpoint(dir.path(), "one", &with_vocabulary(300, 1));
    let two = checkpoint(dir.path(), "two", &with_vocabulary(264, 2));
    let path = recipe(dir.path(), &format!("{RANDOM}tokenizer_source: union\n"));

    // Words of a tokenizer.json alone: their scores are made up.
    let mut words: Vec<String> = ["<unk>", "<s>", "</s>"].map(str::to_owned).into();
    words.extend((0..256).map(|b| format!("<0x{b:02X}>")));
    words.extend(["▁", "a", "b", "ab", "▁ab"].map(str::to_owned));
    let vocab: serde_json::Map<String, Json> = words
        .iter()
        .enumerate()
        .map(|(id, word)| (word.clone(), json!(id)))
        .collect();
    let tokenizer = json!({
        "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
        "model": {
            "type": "BPE", "byte_fallback": true, "unk_token": "<unk>", "vocab": vocab,
            "merges": [["a", "b"], ["▁", "ab"]],
        },
    });
    fs::remove_file(two.join("tokenizer.model")).unwrap();
    fs::write(two.join("tokenizer.json"), tokenizer.to_string()).unwrap();
    let refused = |expected: &str| {
        let run = merge(&path, &["--dry-run"]);
        let error = text(&run.stderr);
        assert!(error.contains(expected), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    };
    refused(
        "the vocabularies of `./one` and `./two` have no union: `./two` has no `tokenizer.model`, and scores made from the merges of a `tokenizer.json` are not on another model's scale",
    );

    // A word of the expert is a piece of the base that an added token has taken the place of.
    checkpoint(dir.path(), "two", &with_vocabulary(300, 2));
    fs::remove_file(two.join("tokenizer.json")).unwrap();
    let config = json!({"added_tokens_decoder": {"299": {"content": "<|a|>", "special": true}}});
    fs::write(one.join("tokenizer_config.json"), config.to_string()).unwrap();
    refused(
        "the tokens 299 and 300 are both `▁w40`, expected different texts: llama.cpp does not load such a vocabulary",
    );
}

/// The base's tokenizer.json is left out of a union, and what it alone adds is not.
#[test]
fn tokens_that_only_the_bases_tokenizer_json_adds_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let one = with_rows(dir.path(), "one", 300, 302, 1);
    checkpoint(dir.path(), "two", &with_vocabulary(310, 2));
    let json = json!({"added_tokens": [
        {"id": 300, "content": "<|end|>", "special": true},
        {"id": 301, "content": "<tool>", "special": false},
    ]});
    fs::write(one.join("tokenizer.json"), json.to_string()).unwrap();
    let yaml = "base_model: one
gate_mode: random
tokenizer_source: union
experts: [{source_model: one}, {source_model: two}]
";
    let path = recipe(dir.path(), yaml);
    require_same(&path, &["q8_0"], &[]);
    let output = dir.path().join("out.gguf");
    merged(&path, &output, &["-t", "bf16"]);
    let gguf = Gguf::open(&output).unwrap();
    let texts = texts(&gguf);
    assert_eq!(texts.len(), 312);
    assert_eq!(texts[300..303], ["<|end|>", "<tool>", "▁w41"]);
    let Some(Value::Array(Array::I32(types))) = gguf.get("tokenizer.ggml.token_type") else {
        panic!("no types");
    };
    assert_eq!(types[299..303], [1, 3, 4, 1]);
}
