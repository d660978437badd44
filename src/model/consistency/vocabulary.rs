//! The vocabulary: arrays of one length, ids within it, a template that is one.

use std::collections::HashMap;

use bstr::{BStr, BString, ByteSlice};

use super::{Findings, Header};
use crate::{
    gguf::{Array, Value, ValueType, escape},
    model::chat_template,
};

/// What llama.cpp calls kinds of tokenizers.
const MODELS: [&str; 12] = [
    "none",
    "no_vocab",
    "llama",
    "bert",
    "gpt2",
    "hybriddna",
    "whitespace",
    "t5",
    "rwkv",
    "plamo2",
    "gemma4",
    "test",
];

/// `LLAMA_TOKEN_NULL` as a number without a sign: no token.
const NO_TOKEN: u64 = u32::MAX as u64;

/// Checks the vocabulary. Where the file is a model of llama.cpp's it is `needed`.
pub(super) fn check(header: &Header<'_>, needed: bool, found: &mut Findings) {
    check_templates(header, found);
    let key = "tokenizer.ggml.model";
    let model = match header.get(key) {
        None if !needed => return,
        None => return found.missing(key, "the kind of the tokenizer"),
        Some(value) if !found.is_of_type(key, value, ValueType::String) => return,
        Some(value) => value.as_str().unwrap_or_default(),
    };
    if !MODELS.contains(&model) {
        let name = format!("`{}`", escape(model.as_bytes()));
        return found.add(key, name, "a kind of tokenizer that llama.cpp knows");
    }
    if matches!(model, "none" | "no_vocab") {
        return;
    }
    let key = "tokenizer.ggml.tokens";
    let tokens = match header.get(key) {
        Some(Value::Array(Array::String(tokens))) => tokens,
        Some(value) => return found.add(key, kind(value), "an array of strings"),
        None => return found.missing(key, "the tokens"),
    };
    let lengths = [
        (
            "tokenizer.ggml.scores",
            &[ValueType::F32, ValueType::I32][..],
        ),
        ("tokenizer.ggml.token_type", &[ValueType::I32]),
    ];
    for (key, types) in lengths {
        check_length(header, key, types, tokens.len(), found);
    }
    check_merges(header, model, found);
    check_ids(header, tokens.len() as u64, found);
    for key in ["add_bos_token", "add_eos_token", "add_space_prefix"] {
        let key = format!("tokenizer.ggml.{key}");
        if let Some(value) = header.get(&key) {
            found.is_of_type(&key, value, ValueType::Bool);
        }
    }
    if let Some((first, second, text)) = duplicate_token(tokens) {
        let expected = format!("another text than token {first}, which is the same");
        found.add(
            &format!("{key}[{second}]"),
            format!("`{}`", escape(text)),
            expected,
        );
    }
}

/// Two tokens of one text, which to llama.cpp ends at a NUL; it would end the program over them.
/// Empty ones it names by their number.
pub fn duplicate_token(tokens: &[BString]) -> Option<(usize, usize, &BStr)> {
    let mut ids = HashMap::with_capacity(tokens.len());
    for (second, token) in tokens.iter().enumerate() {
        let text = token.split_str("\0").next().unwrap_or_default();
        if text.is_empty() {
            continue;
        }
        if let Some(first) = ids.insert(text, second) {
            return Some((first, second, text.as_bstr()));
        }
    }
    None
}

fn kind(value: &Value) -> String {
    match value {
        Value::Array(array) => format!("an array of {}", array.element_type()),
        value => format!("of type {}", value.value_type()),
    }
}

fn check_length(
    header: &Header<'_>,
    key: &str,
    types: &[ValueType],
    tokens: usize,
    found: &mut Findings,
) {
    match header.get(key) {
        None => {}
        Some(Value::Array(array))
            if types.contains(&array.element_type()) && array.len() == tokens => {}
        Some(Value::Array(array)) if types.contains(&array.element_type()) => {
            let expected = format!("{tokens} (`tokenizer.ggml.tokens`)");
            found.add(key, format!("an array of {}", array.len()), expected);
        }
        Some(value) => found.add(key, kind(value), format!("an array of {}", types[0])),
    }
}

fn check_merges(header: &Header<'_>, model: &str, found: &mut Findings) {
    let key = "tokenizer.ggml.merges";
    match header.get(key) {
        Some(Value::Array(Array::String(_))) => {}
        Some(value) => found.add(key, kind(value), "an array of strings"),
        None => {
            let has_none = header.str("tokenizer.ggml.pre") == Some("kimi-k2");
            if matches!(model, "gpt2" | "hybriddna" | "whitespace" | "gemma4") && !has_none {
                found.missing(key, format!("an array of strings with `{model}`"));
            }
        }
    }
}

fn check_ids(header: &Header<'_>, tokens: u64, found: &mut Findings) {
    let ids = header
        .key_values
        .iter()
        .filter(|(key, _)| key.starts_with("tokenizer.ggml.") && key.ends_with("token_id"));
    for (key, value) in ids {
        if !found.is_of_type(key, value, ValueType::U32) {
            continue;
        }
        let beyond = |id: &u64| *id >= tokens && *id != NO_TOKEN;
        if let Some(id) = value.as_u64().filter(beyond) {
            let expected = format!("below {tokens}, the number of `tokenizer.ggml.tokens`");
            found.add(key, id, expected);
        }
    }
}

/// The templates of a chat, of which one may have a name.
fn check_templates(header: &Header<'_>, found: &mut Findings) {
    let templates = header.key_values.iter().filter(|(key, _)| {
        key.strip_prefix("tokenizer.chat_template")
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    });
    for (key, value) in templates {
        if !found.is_of_type(key, value, ValueType::String) {
            continue;
        }
        let text = value.as_str();
        let error = match text.map(|text| chat_template::parse(key, text)) {
            None => "it is not UTF-8".to_owned(),
            Some(Ok(())) => continue,
            Some(Err(error)) => {
                let line = error.line().map(|line| format!("line {line}: "));
                let reason = error
                    .detail()
                    .map_or_else(|| error.kind().to_string(), str::to_owned);
                format!("{}{reason}", line.unwrap_or_default())
            }
        };
        found.add(
            key,
            "no Jinja template",
            format!("one ({})", escape(error.as_bytes())),
        );
    }
}
