//! Which of llama.cpp's pre-tokenizers splits text into words as a `tokenizer.json` says.
//!
//! llama.cpp's converter recognizes a tokenizer by the hash of the ids it gives to a certain text,
//! so a vocabulary it has never seen is unknown to it. We read the description itself, which is
//! the same in all tokenizers of a kind.

use std::path::Path;

use serde_json::Value;

use super::{
    VocabularyError,
    spm_json::{short, steps},
    tokenizer_json::TokenizerJson,
};

/// Llama 3's pattern: numbers go in groups of three digits.
const LLAMA_3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// Qwen 2's pattern: each digit is a word.
const QWEN_2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

const EXPECTED: &str = "the pre-tokenizer of `llama-bpe`, `smollm`, `gpt-2` or `qwen2`";

/// The value of `tokenizer.ggml.pre` for `tokenizer`, read from `path`, and notes on what
/// llama.cpp will do otherwise.
pub(super) fn detect(
    path: &Path,
    tokenizer: &TokenizerJson,
) -> Result<(&'static str, Vec<String>), VocabularyError> {
    let unsupported = |component: &str, found: &Value| VocabularyError::Unsupported {
        path: path.to_owned(),
        found: format!("the {component} `{}`", short(found)),
        expected: EXPECTED,
    };
    let mut notes = Vec::new();
    for step in steps(&tokenizer.normalizer, "normalizers") {
        if step["type"] != "NFC" {
            return Err(unsupported("normalizer", step));
        }
        notes.push(
            "tokenizer.json normalizes text (NFC), which llama.cpp's tokenizer does not".to_owned(),
        );
    }
    let pre = name(steps(&tokenizer.pre_tokenizer, "pretokenizers"))
        .ok_or_else(|| unsupported("pre_tokenizer", &tokenizer.pre_tokenizer))?;
    // llama.cpp knows this of a pre-tokenizer, not of a file.
    match (pre, tokenizer.model.ignore_merges) {
        ("llama-bpe", false) => notes.push(
            "llama.cpp takes every word that is in the vocabulary as one token (`ignore_merges`), which tokenizer.json does not ask for".to_owned(),
        ),
        ("llama-bpe", true) | (_, false) => {}
        (_, true) => notes.push(format!(
            "tokenizer.json asks for `ignore_merges`, which llama.cpp does not do with `{pre}`"
        )),
    }
    Ok((pre, notes))
}

/// The name of this sequence of steps, if llama.cpp does the same by one of the four names.
fn name(steps: &[Value]) -> Option<&'static str> {
    match steps {
        [bytes] if is_byte_level(bytes, true) => Some("gpt-2"),
        [digits, bytes] if is_single_digits(digits) && is_byte_level(bytes, true) => Some("smollm"),
        [split, bytes] if is_byte_level(bytes, false) => match pattern(split)? {
            LLAMA_3 => Some("llama-bpe"),
            QWEN_2 => Some("qwen2"),
            _ => None,
        },
        _ => None,
    }
}

/// Bytes as characters, after splitting by GPT-2's pattern if `splits`.
fn is_byte_level(step: &Value, splits: bool) -> bool {
    step["type"] == "ByteLevel"
        && !step["add_prefix_space"].as_bool().unwrap_or(true)
        && step["use_regex"].as_bool().unwrap_or(true) == splits
}

fn is_single_digits(step: &Value) -> bool {
    step["type"] == "Digits" && step["individual_digits"] == true
}

/// The pattern of a step whose words are the matches.
fn pattern(step: &Value) -> Option<&str> {
    // Every character is part of a match, so to keep what lies between matches as words of their
    // own and to remove it come to the same.
    let invert = step["invert"].as_bool().unwrap_or(false);
    let keeps_matches = match step["behavior"].as_str() {
        Some("Isolated") => true,
        Some("Removed") => invert,
        _ => false,
    };
    if step["type"] != "Split" || !keeps_matches {
        return None;
    }
    step["pattern"]["Regex"].as_str()
}
