//! What the policies of families ask for.

use super::{byte_level::bpe_json, *};
use crate::model::vocabulary::{PreTokenizer, policy::TokenizerFile};

const ALL: [TokenizerPolicy; 19] = [
    policy::LLAMA,
    policy::SMOLLM3,
    policy::GRANITE,
    policy::BPE,
    policy::QWEN2,
    policy::QWEN2_MOE,
    policy::OLMO,
    policy::STARCODER2,
    policy::SEED_OSS,
    policy::DOTS1,
    policy::EXAONE4,
    policy::COHERE,
    policy::STABLELM,
    policy::FALCON,
    policy::PHI3,
    policy::INTERNLM2,
    policy::GLM4,
    policy::HUNYUAN_DENSE,
    policy::HUNYUAN_MOE,
];

#[test]
fn the_pre_tokenizers_of_families_are_llama_cpps() {
    for policy in ALL {
        let ranks = policy.ways.iter().filter_map(|way| match way.file {
            TokenizerFile::Tiktoken(ranks) => Some(ranks.pre),
            _ => None,
        });
        for name in policy.pre.iter().copied().chain(ranks) {
            assert!(name.parse::<PreTokenizer>().is_ok(), "{name}");
        }
    }
}

/// A folder with a byte-level tokenizer.json that adds these tokens, from id 4 on.
fn byte_level_folder(added: &[&str]) -> Folder {
    let mut json = bpe_json(byte_level::byte_level(true));
    json["added_tokens"] = added
        .iter()
        .enumerate()
        .map(|(i, text)| json!({"id": 4 + i, "content": text, "special": true}))
        .collect();
    Folder::new().json("tokenizer.json", json)
}

/// The keys and values behind those of the tokens.
fn after(vocabulary: &Vocabulary, key: &str) -> Vec<(String, Value)> {
    let key = format!("tokenizer.ggml.{key}");
    let at = vocabulary
        .key_values
        .iter()
        .position(|(known, _)| *known == key);
    vocabulary.key_values[at.expect("the key") + 1..]
        .iter()
        .map(|(key, value)| (key.replace("tokenizer.ggml.", ""), value.clone()))
        .collect()
}

fn entries<const N: usize>(entries: [(&str, Value); N]) -> Vec<(String, Value)> {
    entries.map(|(key, value)| (key.to_owned(), value)).to_vec()
}

fn message(folder: &Folder, policy: TokenizerPolicy) -> String {
    let error = folder
        .read_by(policy, 9, json!({}))
        .expect_err("an error")
        .to_string();
    error
        .replace(&folder.path().display().to_string(), "DIR")
        .replace("DIR\\", "DIR/")
}

#[test]
fn a_missing_tokenizer_is_told_by_the_files_that_the_family_has() {
    let folder = || Folder::new().with("vocab.txt", "");
    for (policy, expected) in [
        (policy::BPE, "`tokenizer.json`"),
        (policy::SPM, "`tokenizer.model` or `tokenizer.json`"),
        (policy::INTERNLM2, "`tokenizer.model`"),
        (policy::HUNYUAN_MOE, "`tokenizer.json` or `hy.tiktoken`"),
        (
            policy::LLAMA,
            "`tokenizer.model`, `tokenizer.json` or `tekken.json`",
        ),
    ] {
        assert_eq!(
            message(&folder(), policy),
            format!(
                "no tokenizer in `DIR`: expected {expected}, found `vocab.txt`; take it from the model's repository"
            )
        );
    }
}

#[test]
fn which_file_is_read_is_the_familys_matter() {
    let both = byte_level_folder(&["<|z|>"]).with("tokenizer.model", small_model());
    let model = |policy| {
        let vocabulary = both.read_by(policy, 9, json!({})).unwrap();
        vocabulary.get("ggml.model").as_str().unwrap().to_owned()
    };
    for policy in [
        policy::LLAMA,
        policy::QWEN2,
        policy::SPM,
        policy::PHI3,
        policy::INTERNLM2,
    ] {
        assert_eq!(model(policy), "llama", "{policy:?}");
    }
    assert_eq!(model(policy::BPE), "gpt2");
    let phi4 = byte_level_folder(&["<|z|>"])
        .with("tokenizer.model", small_model())
        .json(
            "tokenizer_config.json",
            json!({"tokenizer_class": "GPT2Tokenizer"}),
        );
    let vocabulary = phi4.read_by(policy::PHI3, 9, json!({})).unwrap();
    assert_eq!(*vocabulary.get("ggml.model"), Value::from("gpt2"));
}

#[test]
fn only_llamas_class_knows_models_by_their_size_and_writes_the_prefix_first() {
    let folder = byte_level_folder(&["<s>"])
        .json("tokenizer_config.json", json!({"add_prefix_space": false}));
    let read = |policy| folder.read_by(policy, 49152, json!({})).unwrap();
    let llama = read(policy::GRANITE);
    assert_eq!(llama.keys()[0], "tokenizer.ggml.add_space_prefix");
    assert_eq!(
        after(&llama, "merges"),
        entries([("add_bos_token", false.into())])
    );
    let other = read(policy::STARCODER2);
    assert_eq!(other.keys()[0], "tokenizer.ggml.model");
    assert_eq!(after(&other, "merges"), entries([]));
}

#[test]
fn glm4s_special_tokens_are_known_by_their_texts() {
    let folder = byte_level_folder(&["<|endoftext|>", "<|user|>"]).json(
        "tokenizer_config.json",
        json!({"eos_token": "<|user|>", "pad_token": "<|endoftext|>"}),
    );
    let vocabulary = folder
        .read_by(policy::GLM4, 9, json!({"eos_token_id": [4, 5]}))
        .unwrap();
    // What is known stays.
    assert_eq!(
        after(&vocabulary, "merges"),
        entries([
            ("eos_token_id", 5.into()),
            ("padding_token_id", 4.into()),
            ("eot_token_id", 5.into()),
            ("unknown_token_id", 4.into()),
            ("bos_token_id", 4.into()),
        ])
    );
    assert_eq!(
        message(&byte_level_folder(&["<|endoftext|>"]), policy::GLM4),
        "`DIR/tokenizer.json`: added tokens: expected `<|user|>`, the eot token of this architecture, found none"
    );
}

#[test]
fn hunyuans_end_tokens_stand_in_other_files() {
    let folder = byte_level_folder(&["<|a|>", "<|b|>", "<|c|>"])
        .json(
            "tokenizer_config.json",
            json!({"eos_token": "<|a|>", "pad_token": "<|a|>"}),
        )
        .json("generation_config.json", json!({"eos_token_id": [5, 4]}));
    let read = |config: Json| {
        let vocabulary = folder.read_by(policy::HUNYUAN_DENSE, 9, config).unwrap();
        after(&vocabulary, "merges")
    };
    assert_eq!(
        read(json!({"pad_token_id": -1, "eod_token_id": 6})),
        entries([("eos_token_id", 6.into()), ("eot_token_id", 5.into())])
    );
    assert_eq!(
        read(json!({"model_type": "hunyuan_v1_dense", "pad_token_id": 4, "eod_token_id": 6})),
        entries([
            ("eos_token_id", 4.into()),
            ("padding_token_id", 4.into()),
            ("eot_token_id", 5.into()),
        ])
    );
    // One end token ends no turn; an id out of range is none.
    let folder =
        byte_level_folder(&["<|a|>"]).json("generation_config.json", json!({"eos_token_id": [4]}));
    let vocabulary = folder
        .read_by(policy::HUNYUAN_DENSE, 9, json!({"eod_token_id": 9}))
        .unwrap();
    assert_eq!(after(&vocabulary, "merges"), entries([]));
    assert_eq!(vocabulary.notes.len(), 1, "{:?}", vocabulary.notes);
}

#[test]
fn ernies_prefix_is_the_last_key() {
    let folder = Folder::new().with("tokenizer.model", small_model()).json(
        "tokenizer_config.json",
        json!({"add_prefix_space": false, "chat_template": "x"}),
    );
    let vocabulary = folder
        .read_by(policy::ERNIE, 9, json!({"bos_token_id": 1}))
        .unwrap();
    assert_eq!(
        after(&vocabulary, "token_type"),
        entries([
            ("bos_token_id", 1.into()),
            ("tokenizer.chat_template", "x".into()),
            ("add_space_prefix", false.into()),
        ])
    );
}

#[test]
fn phi3s_added_tokens_are_as_given_and_tokenizer_json_has_the_last_word() {
    let folder = Folder::new()
        .with("tokenizer.model", small_model())
        .json("added_tokens.json", json!({"<|x|>": 9}))
        .json(
            "tokenizer_config.json",
            json!({"added_tokens_decoder": {
                "2": {"content": "</s>", "special": false},
                "10": {"content": "<|y|>", "special": false},
                "11": {"content": "▁▁z", "special": false},
            }}),
        )
        .json(
            "tokenizer.json",
            json!({"added_tokens": [
                {"id": 9, "content": "<|x|>", "special": true},
                {"id": 1, "content": "<s>", "special": true},
            ]}),
        );
    let vocabulary = folder.read_by(policy::PHI3, 12, json!({})).unwrap();
    assert_eq!(vocabulary.texts()[9..], ["<|x|>", "<|y|>", "▁▁z"]);
    let types = vocabulary.types();
    assert_eq!([1, 2, 9, 10, 11].map(|id| types[id]), [3, 4, 3, 4, 4]);
    let scores = vocabulary.scores();
    assert_eq!(
        [0, 1, 2, 9].map(|id| scores[id]),
        [0.0, -1000.0, -1000.0, -1000.0]
    );
}

#[test]
fn internlm2s_raw_pieces_and_end_token() {
    use PieceType::{Byte, Control, Normal, Unknown, UserDefined};
    let pieces = [
        ("<unk>", 0.0, Unknown),
        ("<s>", 0.0, Control),
        ("</s>", 0.0, Control),
        ("<0x0A>", 0.0, Byte),
        ("\0", -1.0, Normal),
        ("[UNUSED_TOKEN_1]", 0.0, UserDefined),
        ("[UNUSED_TOKEN_2]", 0.0, UserDefined),
    ];
    let mut bytes = model(&pieces).encode_to_vec();
    // Field 3, in it field 3: no space before a text.
    bytes.extend(b"\x1a\x02\x18\x00");
    let read = |decoder: Json, bytes: &[u8]| {
        Folder::new()
            .with("tokenizer.model", bytes)
            .json(
                "tokenizer_config.json",
                json!({"added_tokens_decoder": decoder}),
            )
            .read_by(
                policy::INTERNLM2,
                7,
                json!({"bos_token_id": 1, "eos_token_id": 2}),
            )
            .unwrap()
    };
    let chat = read(
        json!({"5": {"content": "<|im_end|>", "special": true}}),
        &bytes,
    );
    assert_eq!(chat.texts()[4..], ["🐉", "<|im_end|>", "[UNUSED_TOKEN_2]"]);
    assert_eq!(chat.types()[4..], [5, 3, 5]);
    assert_eq!(
        after(&chat, "token_type"),
        entries([
            ("add_space_prefix", false.into()),
            ("bos_token_id", 1.into()),
            ("eos_token_id", 5.into()),
        ])
    );
    let base = read(json!({}), &model(&pieces).encode_to_vec());
    assert_eq!(
        after(&base, "token_type"),
        entries([
            ("add_space_prefix", true.into()),
            ("bos_token_id", 1.into()),
            ("eos_token_id", 2.into()),
        ])
    );
}
