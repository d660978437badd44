//! `tokenizer.json` and `tokenizer_config.json` of a byte-level BPE vocabulary.

use anyhow::{Context, bail, ensure};
use bstr::BString;
use serde_json::{Map, Value as Json, json};
use swallow_gguf::gguf::{Array, Gguf};

/// Numbers of `tokenizer.ggml.token_type`.
const CONTROL: i32 = 3;
const USER_DEFINED: i32 = 4;
const UNUSED: i32 = 5;

/// The two files.
pub(crate) struct Files {
    pub(crate) tokenizer: String,
    pub(crate) config: String,
}

/// Writes a GGUF's vocabulary as Hugging Face's tokenizers library has it.
pub(crate) fn files(gguf: &Gguf) -> anyhow::Result<Files> {
    let model = gguf.get_str("tokenizer.ggml.model").unwrap_or("none");
    ensure!(
        model == "gpt2",
        "vocabulary `{model}`, expected byte-level BPE (`gpt2`)"
    );
    let tokens = strings(gguf, "tokenizer.ggml.tokens")?;
    let merges = strings(gguf, "tokenizer.ggml.merges")?;
    let Some(Array::I32(types)) = gguf.get_array("tokenizer.ggml.token_type") else {
        bail!("the key `tokenizer.ggml.token_type` is no array of i32");
    };
    ensure!(
        types.len() == tokens.len(),
        "{} tokens with {} types",
        tokens.len(),
        types.len()
    );

    let mut vocab = Map::new();
    let mut added = Vec::new();
    for (id, (token, ty)) in tokens.iter().zip(types).enumerate() {
        // Unused tokens fill the vocabulary up; no text becomes one.
        if *ty == UNUSED {
            continue;
        }
        let twice = vocab.insert((*token).to_owned(), id.into()).is_some();
        ensure!(!twice, "token `{}` is there twice", token.escape_debug());
        if *ty == CONTROL || *ty == USER_DEFINED {
            added.push((id, *token, *ty == CONTROL));
        }
    }

    let added_token = |(_, token, special): &(usize, &str, bool)| {
        json!({
            "content": token,
            "single_word": false,
            "lstrip": false,
            "rstrip": false,
            "normalized": false,
            "special": special,
        })
    };
    let added_tokens: Vec<Json> = added
        .iter()
        .map(|entry| {
            let mut token = json!({"id": entry.0});
            if let (Json::Object(token), Json::Object(rest)) = (&mut token, added_token(entry)) {
                token.extend(rest);
            }
            token
        })
        .collect();
    let tokenizer = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added_tokens,
        "normalizer": null,
        "pre_tokenizer": pre_tokenizer(gguf.get_str("tokenizer.ggml.pre").unwrap_or("default"))?,
        "post_processor": null,
        "decoder": byte_level(true),
        "model": {
            "type": "BPE",
            "dropout": null,
            "unk_token": null,
            "continuing_subword_prefix": null,
            "end_of_word_suffix": null,
            "fuse_unk": false,
            "byte_fallback": false,
            "ignore_merges": false,
            "vocab": vocab,
            "merges": merges,
        },
    });

    let mut config = Map::new();
    config.insert("add_prefix_space".to_owned(), false.into());
    if let Some(add) = gguf.get_bool("tokenizer.ggml.add_bos_token") {
        config.insert("add_bos_token".to_owned(), add.into());
    }
    let decoder: Map<String, Json> = added
        .iter()
        .map(|entry| (entry.0.to_string(), added_token(entry)))
        .collect();
    config.insert("added_tokens_decoder".to_owned(), decoder.into());
    for (key, name) in [
        ("bos", "bos"),
        ("eos", "eos"),
        ("padding", "pad"),
        ("unknown", "unk"),
    ] {
        let key = format!("tokenizer.ggml.{key}_token_id");
        if let Some(id) = gguf.get_u64(&key) {
            let token = usize::try_from(id).ok().and_then(|id| tokens.get(id));
            let token =
                token.with_context(|| format!("the key `{key}` is {id}, which is no token"))?;
            config.insert(format!("{name}_token"), (*token).into());
        }
    }
    if let Some(template) = gguf.get_str("tokenizer.chat_template") {
        config.insert("chat_template".to_owned(), template.into());
    }
    config.insert("clean_up_tokenization_spaces".to_owned(), false.into());
    if let Some(n_ctx) = gguf.get_u64("llama.context_length") {
        config.insert("model_max_length".to_owned(), n_ctx.into());
    }
    config.insert("tokenizer_class".to_owned(), "GPT2Tokenizer".into());
    Ok(Files {
        tokenizer: format!("{tokenizer:#}\n"),
        config: format!("{:#}\n", Json::from(config)),
    })
}

fn strings<'a>(gguf: &'a Gguf, key: &str) -> anyhow::Result<Vec<&'a str>> {
    let Some(Array::String(strings)) = gguf.get_array(key) else {
        bail!("the key `{key}` is no array of strings");
    };
    let utf8 = |s: &'a BString| std::str::from_utf8(s);
    strings
        .iter()
        .map(utf8)
        .collect::<Result<_, _>>()
        .with_context(|| format!("the key `{key}`"))
}

/// What llama.cpp does under this name, as steps of the tokenizers library.
fn pre_tokenizer(pre: &str) -> anyhow::Result<Json> {
    Ok(match pre {
        "gpt-2" => byte_level(false),
        "smollm" => json!({
            "type": "Sequence",
            "pretokenizers": [{"type": "Digits", "individual_digits": true}, byte_level(false)],
        }),
        _ => bail!("pre-tokenizer `{pre}`, expected `smollm` or `gpt-2`"),
    })
}

fn byte_level(add_prefix_space: bool) -> Json {
    json!({
        "type": "ByteLevel",
        "add_prefix_space": add_prefix_space,
        "trim_offsets": true,
        "use_regex": true,
    })
}
