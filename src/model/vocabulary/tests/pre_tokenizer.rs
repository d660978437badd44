//! Descriptions of pre-tokenizers, and the names that are written for them.

use super::{
    byte_level::{bpe_json, byte_level},
    *,
};
use crate::model::vocabulary::PreTokenizer;

const LLAMA_3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

fn split(pattern: &str, behavior: &str, invert: bool) -> Json {
    json!({"type": "Split", "pattern": {"Regex": pattern}, "behavior": behavior, "invert": invert})
}

fn isolated(pattern: &str) -> Json {
    split(pattern, "Isolated", false)
}

fn sequence<const N: usize>(steps: [Json; N]) -> Json {
    json!({"type": "Sequence", "pretokenizers": steps.as_slice()})
}

/// Splitting by `pattern` alone.
fn words(pattern: &str) -> Json {
    sequence([isolated(pattern), byte_level(false)])
}

fn digits(individual: bool) -> Json {
    json!({"type": "Digits", "individual_digits": individual})
}

/// What is read of a tokenizer with this description, changed by `edit`, in a family that has the names
/// `preferred`.
fn read_by(
    description: Json,
    preferred: &'static [&'static str],
    asked_for: Option<&str>,
    edit: impl FnOnce(&mut Json),
) -> Result<Vocabulary, VocabularyError> {
    let mut json = bpe_json(description);
    edit(&mut json);
    let folder = Folder::new().json("tokenizer.json", json);
    read(&VocabularyRequest {
        dir: folder.path(),
        vocab_size: 160_000,
        config: &json!({}),
        policy: policy::BPE.with_pre(preferred),
        chat_template: None,
        pre: asked_for.map(|name| name.parse().expect("a name")),
    })
}

fn name(vocabulary: &Vocabulary) -> &str {
    vocabulary.get("ggml.pre").as_str().expect("a name")
}

/// The name for a description, where nothing else has a say.
fn plain_name(description: Json) -> String {
    let vocabulary = read_by(description, &[], None, |_| {}).expect("a known description");
    name(&vocabulary).to_owned()
}

#[test]
fn the_pre_tokenizer_is_known_by_its_description() {
    let qwen = LLAMA_3.replace("{1,3}", "");
    let seed = qwen
        .replace(r"\p{N}|", r"\p{N}{1}|")
        .replace(r"}]+[\r\n]*", r"}\r\n]+");
    let deepseek = r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"##;
    // As the file has it: line breaks themselves, not escapes of them.
    let deepseek = deepseek.replace(r"\r\n", "\r\n");
    for (description, expected) in [
        (byte_level(true), "gpt-2"),
        (sequence([digits(true), byte_level(true)]), "smollm"),
        (words(LLAMA_3), "dbrx"),
        (words(&qwen), "qwen2"),
        (words(&seed), "seed-coder"),
        (
            sequence([
                isolated(r"\p{N}{1,3}"),
                isolated("[一-龥぀-ゟ゠-ヿ]+"),
                isolated(&deepseek),
                byte_level(false),
            ]),
            "deepseek-v3",
        ),
        (
            sequence([
                isolated("[\r\n]"),
                isolated(r"\s?\p{L}+"),
                isolated(r"\s?\p{P}+"),
                isolated("[一-龥ࠀ-一가-퟿]+"),
                digits(true),
                byte_level(false),
            ]),
            "deepseek-coder",
        ),
        (
            sequence([
                json!({"type": "Punctuation", "behavior": "Contiguous"}),
                byte_level(true),
                digits(false),
                isolated("[0-9][0-9][0-9]"),
            ]),
            "falcon",
        ),
    ] {
        assert_eq!(plain_name(description), expected);
    }
}

#[test]
fn other_spellings_come_to_the_same() {
    let tiktoken = r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+";
    let qwen = LLAMA_3.replace("{1,3}", "");
    for step in [
        isolated(tiktoken),
        isolated(&qwen.replace(r"\r\n", "\r\n")),
        split(&qwen, "Isolated", true),
        split(&qwen, "Removed", true),
    ] {
        assert_eq!(plain_name(sequence([step, byte_level(false)])), "qwen2");
    }
    // Spaces lie between these matches, and would be removed.
    let step = |behavior| split(r"\p{N}{1,3}", behavior, true);
    let minicpm = LLAMA_3.replace("{1,3}", "+");
    let description = |behavior| sequence([step(behavior), isolated(&minicpm), byte_level(false)]);
    assert_eq!(plain_name(description("Isolated")), "minicpm5");
    assert!(read_by(description("Removed"), &[], None, |_| {}).is_err());
}

#[test]
fn of_several_names_the_vocabulary_and_then_the_family_decide() {
    let of = |pattern: &str, preferred, edit: &dyn Fn(&mut Json)| {
        let vocabulary = read_by(words(pattern), preferred, None, edit).unwrap();
        name(&vocabulary).to_owned()
    };
    let ignoring = |json: &mut Json| json["model"]["ignore_merges"] = true.into();
    assert_eq!(of(LLAMA_3, &[], &ignoring), "llama-bpe");
    assert_eq!(of(LLAMA_3, &["qwen2", "glm4", "dbrx"], &|_| {}), "glm4");
    assert_eq!(of(LLAMA_3, &["qwen2"], &|_| {}), "dbrx");

    // Llama 3's vocabulary, whatever is said of its merges, with and without the token that begins a text.
    let llama = |json: &mut Json| json["model"]["vocab"]["éĶ¦"] = 127_999.into();
    let begun = |json: &mut Json| {
        llama(json);
        json["post_processor"] = json!({"type": "Sequence", "processors": [
            {"type": "ByteLevel"},
            {"type": "TemplateProcessing", "single": [
                {"SpecialToken": {"id": "<|end|>", "type_id": 0}},
                {"Sequence": {"id": "A", "type_id": 0}},
            ], "special_tokens": {"<|end|>": {"id": "<|end|>", "ids": [4], "tokens": ["<|end|>"]}}},
        ]});
    };
    assert_eq!(of(LLAMA_3, &["glm4"], &begun), "llama-bpe");
    assert_eq!(of(LLAMA_3, &["glm4"], &llama), "smaug-bpe");
    // Its words, not those of Qwen.
    let qwen = LLAMA_3.replace("{1,3}", "");
    assert_eq!(of(&qwen, &["stablelm2"], &begun), "stablelm2");
    let r1 = |json: &mut Json| {
        let begin = json!({"id": 151_646, "content": "<｜begin▁of▁sentence｜>", "special": true});
        json["added_tokens"].as_array_mut().unwrap().push(begin);
    };
    assert_eq!(of(&qwen, &["qwen2"], &r1), "deepseek-r1-qwen");
}

#[test]
fn llama_tokenizers_begin_a_text_as_their_config_says() {
    let written = |config: Json| {
        let mut json = bpe_json(words(LLAMA_3));
        json["model"]["vocab"]["éĶ¦"] = 127_999.into();
        let folder = Folder::new()
            .json("tokenizer.json", json)
            .json("tokenizer_config.json", config);
        name(&folder.read(128_000).unwrap()).to_owned()
    };
    let class = "LlamaTokenizerFast";
    assert_eq!(written(json!({"tokenizer_class": class})), "llama-bpe");
    assert_eq!(
        written(json!({"tokenizer_class": class, "add_bos_token": false})),
        "smaug-bpe"
    );
    assert_eq!(
        written(json!({"tokenizer_class": "PreTrainedTokenizerFast", "add_bos_token": true})),
        "smaug-bpe"
    );
}

#[test]
fn other_pre_tokenizers_are_refused_with_what_was_found_and_a_way_out() {
    for description in [
        Json::Null,
        json!({"type": "Whitespace"}),
        json!({"type": "ByteLevel", "add_prefix_space": true}),
        byte_level(false),
        sequence([digits(false), byte_level(true)]),
        words(r"\w+|\s+"),
        words(&LLAMA_3.replace("{1,3}", "{1,2}")),
        sequence([split(LLAMA_3, "Removed", false), byte_level(false)]),
        sequence([isolated(LLAMA_3), isolated(LLAMA_3), byte_level(false)]),
    ] {
        let found: String = description.to_string().chars().take(160).collect();
        let error = |preferred| read_by(description.clone(), preferred, None, |_| {}).unwrap_err();
        let plain = error(&[]).to_string();
        assert!(
            plain.contains(&format!("the pre_tokenizer `{found}")),
            "{plain}"
        );
        assert!(plain.ends_with("with `--pre NAME`"), "{plain}");
        let usual = error(&["exaone4", "exaone"]).to_string();
        assert!(
            usual.ends_with("; checkpoints of this architecture mostly have `exaone4` or `exaone`"),
            "{usual}"
        );
    }
}

#[test]
fn a_name_that_is_asked_for_is_written() {
    let asked = |description: Json, pre| {
        let vocabulary = read_by(description, &[], Some(pre), |_| {}).unwrap();
        (name(&vocabulary).to_owned(), vocabulary.notes)
    };
    let (name, notes) = asked(json!({"type": "Whitespace"}), "exaone4");
    assert_eq!((name.as_str(), notes), ("exaone4", Vec::new()));
    // Another name for the same.
    let (name, notes) = asked(byte_level(true), "olmo");
    assert_eq!((name.as_str(), notes), ("olmo", Vec::new()));
    let (name, notes) = asked(byte_level(true), "qwen2");
    assert_eq!(name, "qwen2");
    assert_eq!(
        notes,
        [
            "the pre-tokenizer `qwen2` is written as asked for: tokenizer.json describes that of `gpt-2`"
        ]
    );
}

#[test]
fn a_name_is_refused_where_there_is_no_pre_tokenizer() {
    let folder = Folder::new().with("tokenizer.model", small_model());
    let error = read(&VocabularyRequest {
        dir: folder.path(),
        vocab_size: 9,
        config: &json!({}),
        policy: policy::LLAMA,
        chat_template: None,
        pre: Some("qwen2".parse::<PreTokenizer>().unwrap()),
    });
    let error = error.unwrap_err().to_string();
    assert!(
        error.ends_with("has no pre-tokenizer: leave out `--pre qwen2`"),
        "{error}"
    );
}

#[test]
fn differences_to_what_llama_cpp_does_are_told() {
    let notes = |description: Json, ignore_merges: bool, normalizer: Json| {
        let vocabulary = read_by(description, &["llama-bpe"], None, |json| {
            json["model"]["ignore_merges"] = ignore_merges.into();
            json["normalizer"] = normalizer;
        });
        vocabulary.unwrap().notes.len()
    };
    assert_eq!(notes(words(LLAMA_3), true, Json::Null), 0);
    assert_eq!(notes(words(LLAMA_3), false, Json::Null), 1);
    assert_eq!(notes(byte_level(true), false, Json::Null), 0);
    assert_eq!(notes(byte_level(true), true, json!({"type": "NFC"})), 2);
}
