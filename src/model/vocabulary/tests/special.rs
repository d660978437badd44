//! Special tokens and chat templates.

use super::*;

/// A SentencePiece model with these other files, read with this config.json.
fn read_files(files: &[(&str, Json)], config: Json) -> Vocabulary {
    let folder = Folder::new().with("tokenizer.model", small_model());
    let folder = files.iter().fold(folder, |folder, (name, json)| {
        folder.json(name, json.clone())
    });
    folder.read_with(9, config).expect("a vocabulary")
}

/// What comes after the five keys of the tokens.
fn special(files: &[(&str, Json)], config: Json) -> Vec<(String, Value)> {
    let short =
        |(key, value): &(String, Value)| (key.replace("tokenizer.ggml.", ""), value.clone());
    read_files(files, config).key_values[5..]
        .iter()
        .map(short)
        .collect()
}

fn expect<const N: usize>(entries: [(&str, Value); N]) -> Vec<(String, Value)> {
    entries.map(|(key, value)| (key.to_owned(), value)).to_vec()
}

fn added() -> Json {
    json!([
        {"id": 0, "content": "<unk>", "special": true},
        {"id": 1, "content": "<s>", "special": true},
        {"id": 2, "content": "</s>", "special": true},
    ])
}

/// tokenizer.json with `<s>` before a text and before each of two.
fn with_template() -> Json {
    let token = json!({"SpecialToken": {"id": "<s>", "type_id": 0}});
    let text = |id: &str| json!({"Sequence": {"id": id, "type_id": 0}});
    json!({
        "added_tokens": added(),
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [token, text("A")],
            "pair": [token, text("A"), token, text("B")],
        },
    })
}

#[test]
fn config_json_has_the_ids_where_there_is_nothing_else() {
    let config = json!({
        "bos_token_id": 1, "eos_token_id": [2, 3], "pad_token_id": -1, "sep_token_id": 9,
        "unk_token_id": null, "cls_token_id": 4, "mask_token_id": 8,
    });
    let vocabulary = read_files(&[], config.clone());
    assert_eq!(
        special(&[], config),
        expect([("bos_token_id", 1.into()), ("mask_token_id", 8.into())])
    );
    assert_eq!(
        vocabulary.notes,
        [
            "the sep token's id 9 is not in the vocabulary of 9 tokens and is left out",
            "the pad token's id -1 of config.json is left out",
        ]
    );
}

#[test]
fn tokenizer_config_goes_before_config_json_and_behind_the_post_processor() {
    let config = json!({"bos_token_id": 5, "eos_token_id": 2, "pad_token_id": 0});
    let tokenizer_config = json!({
        "bos_token": "<s>", "unk_token": {"content": "<unk>"}, "sep_token": "<none>",
        "add_bos_token": false, "add_eos_token": true, "add_pad_token": true,
    });
    let files = [
        ("tokenizer.json", with_template()),
        ("tokenizer_config.json", tokenizer_config),
    ];
    let vocabulary = read_files(&files, config.clone());
    assert_eq!(
        vocabulary.notes,
        [
            "the added token `<none>` is left out: its id 9 is past `vocab_size` 9",
            "tokenizer_config.json says `add_bos_token` false, the post-processor of tokenizer.json true, which is written",
        ]
    );
    assert_eq!(
        special(&files, config),
        expect([
            ("bos_token_id", 1.into()),
            ("unknown_token_id", 0.into()),
            ("eos_token_id", 2.into()),
            ("padding_token_id", 0.into()),
            ("add_bos_token", true.into()),
            ("add_sep_token", false.into()),
            ("add_eos_token", true.into()),
        ])
    );
}

#[test]
fn the_post_processor_tells_what_is_put_around_a_text() {
    let bos = expect([
        ("add_bos_token", true.into()),
        ("add_sep_token", false.into()),
    ]);
    assert_eq!(
        special(&[("tokenizer.json", with_template())], json!({})),
        bos
    );

    // An end token that is not the named one becomes the end token.
    let json = json!({
        "added_tokens": added(),
        "post_processor": {"type": "Sequence", "processors": [
            {"type": "ByteLevel"},
            {
                "type": "TemplateProcessing",
                "single": [{"Sequence": {"id": "A"}}, {"SpecialToken": {"id": "</s>"}}],
                "pair": [{"Sequence": {"id": "A"}}, {"SpecialToken": {"id": "</s>"}}, {"Sequence": {"id": "B"}}],
            },
        ]},
    });
    let tokenizer_config = json!({"eos_token": "<unk>"});
    assert_eq!(
        special(
            &[
                ("tokenizer.json", json),
                ("tokenizer_config.json", tokenizer_config)
            ],
            json!({})
        ),
        expect([
            ("eos_token_id", 2.into()),
            ("eot_token_id", 0.into()),
            ("add_bos_token", false.into()),
            ("add_eos_token", true.into()),
            ("add_sep_token", false.into()),
        ])
    );

    let roberta = json!({
        "added_tokens": added(),
        "post_processor": {"type": "RobertaProcessing", "cls": ["<s>", 1], "sep": ["</s>", 2]},
    });
    let tokenizer_config = json!({"bos_token": "<s>"});
    assert_eq!(
        special(
            &[
                ("tokenizer.json", roberta),
                ("tokenizer_config.json", tokenizer_config)
            ],
            json!({})
        ),
        expect([
            ("bos_token_id", 1.into()),
            ("seperator_token_id", 2.into()),
            ("add_bos_token", true.into()),
            ("add_eos_token", true.into()),
            ("add_sep_token", true.into()),
        ])
    );
}

/// Llama 3's: bytes first, then a template that begins with `<s>`.
#[test]
fn a_byte_level_post_processor_adds_nothing_but_what_a_template_adds() {
    let byte_level = json!({"added_tokens": added(), "post_processor": {"type": "ByteLevel"}});
    // tokenizer_config.json has no say then.
    let tokenizer_config = json!({"add_bos_token": true});
    assert_eq!(
        special(
            &[
                ("tokenizer.json", byte_level.clone()),
                ("tokenizer_config.json", tokenizer_config)
            ],
            json!({})
        ),
        expect([
            ("add_bos_token", false.into()),
            ("add_eos_token", false.into()),
        ])
    );
    let mut both = with_template();
    both["post_processor"] = json!({
        "type": "Sequence",
        "processors": [byte_level["post_processor"], both["post_processor"]],
    });
    assert_eq!(
        special(&[("tokenizer.json", both)], json!({})),
        expect([
            ("add_bos_token", true.into()),
            ("add_eos_token", false.into()),
            ("add_sep_token", false.into()),
        ])
    );
}

#[test]
fn a_normalizer_of_letters_is_told_last() {
    let mut json = with_template();
    json["normalizer"] = json!({"type": "Sequence", "normalizers": [
        {"type": "NFKC"}, {"type": "Lowercase"},
        {"type": "BertNormalizer", "strip_accents": false, "lowercase": null},
    ]});
    let keys = special(
        &[
            ("tokenizer.json", json),
            (
                "tokenizer_config.json",
                json!({"chat_template": "{{ messages }}"}),
            ),
        ],
        json!({}),
    );
    assert_eq!(
        keys[3..],
        expect([
            ("tokenizer.chat_template", "{{ messages }}".into()),
            ("normalizer.lowercase", true.into()),
            ("normalizer.strip_accents", false.into()),
        ])
    );
}

#[test]
fn ids_may_stand_in_the_description_of_the_language_model() {
    let config = json!({
        "eos_token_id": null, "bos_token_id": 1,
        "text_config": {"eos_token_id": 2, "bos_token_id": 5},
    });
    assert_eq!(
        special(&[], config),
        expect([("bos_token_id", 1.into()), ("eos_token_id", 2.into())])
    );
}

#[test]
fn two_models_are_known_by_their_number_of_tokens() {
    let folder = Folder::new().with("tokenizer.model", small_model());
    let last = |vocab_size| folder.read(vocab_size).unwrap().key_values.pop().unwrap();
    assert_eq!(
        last(32016),
        ("tokenizer.ggml.eot_token_id".to_owned(), Value::U32(32010))
    );
    assert_eq!(
        last(49152),
        (
            "tokenizer.ggml.add_bos_token".to_owned(),
            Value::Bool(false)
        )
    );
}

/// The template keys of a checkpoint with these files.
fn templates(folder: Folder) -> Vec<(String, Value)> {
    let folder = folder.with("tokenizer.model", small_model());
    let key_values = folder.read(9).unwrap().key_values;
    let short = |(key, value): &(String, Value)| (key.replace("tokenizer.", ""), value.clone());
    key_values[5..].iter().map(short).collect()
}

#[test]
fn a_checkpoints_own_template_is_kept_wherever_it_is() {
    let default = |template: &str| expect([("chat_template", template.into())]);
    let jinja = || Folder::new().with("chat_template.jinja", "one\r\ntwo\rthree");
    assert_eq!(templates(jinja()), default("one\ntwo\nthree"));
    let kept = jinja()
        .with("tokenizer.model", small_model())
        .read(9)
        .unwrap();
    assert!(kept.notes[0].starts_with("the checkpoint's chat template is kept"));
    let file = json!({"chat_template": "json"});
    assert_eq!(
        templates(Folder::new().json("chat_template.json", file.clone())),
        default("json")
    );
    assert_eq!(
        templates(jinja().json("chat_template.json", file)),
        default("one\ntwo\nthree")
    );
    let config = json!({"chat_template": "config\r\n"});
    assert_eq!(
        templates(jinja().json("tokenizer_config.json", config)),
        default("config\r\n")
    );
    let config = json!({"chat_template": null});
    assert_eq!(
        templates(jinja().json("tokenizer_config.json", config)),
        default("one\ntwo\nthree")
    );
    assert_eq!(templates(Folder::new()), []);
}

#[test]
fn templates_with_names_have_keys_of_their_own() {
    let list = json!([
        {"name": "tool use", "template": "T"},
        {"name": "default", "template": "D"},
        {"name": "", "template": "?"},
    ]);
    let named = expect([
        ("chat_template.tool_use", "T".into()),
        (
            "chat_templates",
            Array::String(vec!["tool_use".into()]).into(),
        ),
        ("chat_template", "D".into()),
    ]);
    let config = json!({"chat_template": list});
    assert_eq!(
        templates(Folder::new().json("tokenizer_config.json", config)),
        named
    );
    let files = Folder::new()
        .with("chat_template.jinja", "D")
        .with("additional_chat_templates/tool use.jinja", "T")
        .with("additional_chat_templates/notes.txt", "no template");
    assert_eq!(templates(files), named);
    let wrong = Folder::new().with("tokenizer.model", small_model()).json(
        "tokenizer_config.json",
        json!({"chat_template": [{"name": "x"}]}),
    );
    assert_eq!(
        wrong.error(9),
        "`DIR/tokenizer_config.json`: `chat_template`, entry 0: expected a map with `name` and `template`, found a map"
    );
}

#[test]
fn there_is_a_limit_to_the_number_of_templates() {
    let list: Vec<Json> = (0..65)
        .map(|n| json!({"name": format!("t{n}"), "template": ""}))
        .collect();
    let folder = Folder::new()
        .with("tokenizer.model", small_model())
        .json("tokenizer_config.json", json!({"chat_template": list}));
    assert_eq!(
        folder.error(9),
        "`DIR/tokenizer_config.json`: chat templates: expected at most 64, found 65"
    );
}

#[test]
fn the_template_asked_for_takes_the_place_of_the_default_one() {
    let folder = Folder::new()
        .with("tokenizer.model", small_model())
        .with("chat_template.jinja", "own")
        .with("additional_chat_templates/rag.jinja", "R");
    let config = json!({});
    let chat_template = Some("asked".to_owned());
    let request = VocabularyRequest {
        dir: folder.path(),
        vocab_size: 9,
        config: &config,
        policy: policy::LLAMA,
        chat_template,
        pre: None,
    };
    let vocabulary = read(&request).unwrap();
    assert_eq!(vocabulary.chat_template.as_deref(), Some("asked"));
    assert_eq!(*vocabulary.get("chat_template"), Value::from("asked"));
    assert_eq!(*vocabulary.get("chat_template.rag"), Value::from("R"));
    assert_eq!(
        vocabulary.notes,
        ["the checkpoint's own chat template is replaced by the one asked for"]
    );
}
