//! What the steps of a tokenizer.json do to a text, as the `tokenizers` library does it: the reference
//! for what llama.cpp makes of a text by the name we write.

use std::ops::Range;

use fancy_regex::Regex;
use serde_json::Value as Json;

/// GPT-2's pattern.
const GPT_2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

/// The words of `text`, with bytes as characters.
pub(super) fn words(description: &Json, text: &str) -> Vec<String> {
    let one = std::slice::from_ref(description);
    let steps = description["pretokenizers"].as_array();
    let steps = steps.map_or(one, Vec::as_slice);
    steps.iter().fold(vec![text.to_owned()], |words, step| {
        words.iter().flat_map(|word| split(step, word)).collect()
    })
}

fn split(step: &Json, text: &str) -> Vec<String> {
    let apart = |pattern: &str| pieces(pattern, text, false);
    match step["type"].as_str() {
        Some("Split") => {
            let pattern = step["pattern"]["Regex"].as_str().expect("a pattern");
            match (step["behavior"].as_str(), step["invert"].as_bool()) {
                (Some("Isolated"), _) => apart(pattern),
                (Some("Removed"), Some(true)) => pieces(pattern, text, true),
                other => panic!("{other:?}"),
            }
        }
        Some("Digits") if step["individual_digits"] == true => apart(r"\p{N}"),
        Some("Digits") => apart(r"\p{N}+"),
        Some("Punctuation") => apart(r"[!-/:-@\[-`{-~\p{P}]+"),
        Some("ByteLevel") => {
            let words = match step["use_regex"] == true {
                true => apart(GPT_2),
                false => vec![text.to_owned()],
            };
            words.iter().map(|word| bytes_as_characters(word)).collect()
        }
        other => panic!("{other:?}"),
    }
}

/// The matches of a pattern, and what lies between them unless it is `only_matches`.
fn pieces(pattern: &str, text: &str, only_matches: bool) -> Vec<String> {
    let regex = Regex::new(pattern).expect("a pattern");
    let mut pieces = Vec::new();
    let mut end = 0;
    let mut push = |range: Range<usize>| {
        if !range.is_empty() {
            pieces.push(text[range].to_owned());
        }
    };
    for found in regex.find_iter(text) {
        let found = found.expect("a match");
        if !only_matches {
            push(end..found.start());
        }
        push(found.start()..found.end());
        end = found.end();
    }
    if !only_matches {
        push(end..text.len());
    }
    pieces
}

/// Each byte as the character that stands for it.
pub(super) fn bytes_as_characters(text: &str) -> String {
    text.bytes().map(character).collect()
}

/// The printable characters of Latin-1 stand for themselves, U+0100 and on for the rest in its order.
pub(super) fn character(byte: u8) -> char {
    let stands_for_itself = |byte: u8| matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
    if stands_for_itself(byte) {
        return char::from(byte);
    }
    let before = (0..byte).filter(|byte| !stands_for_itself(*byte)).count();
    char::from_u32(0x100 + u32::try_from(before).expect("a byte")).expect("a character")
}
