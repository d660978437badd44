//! Vocabularies that many checkpoints share, by one of their tokens.
//!
//! llama.cpp's converter hashes ids, the token that begins a text among them, so its name for a
//! tokenizer depends on the vocabulary and on whether there is such a token, and on nothing else.

use serde_json::{Map, Value};

use super::PreTokenizer;
use crate::model::vocabulary::tokenizer_json::TokenizerJson;

/// A vocabulary, and what the converter calls its pre-tokenizer.
struct Known {
    name: &'static str,
    /// A token that only this vocabulary has, where it has it.
    token: &'static str,
    id: Option<u32>,
    /// Whether a token begins every text, where that makes a difference.
    begins: Option<bool>,
}

const fn known(
    name: &'static str,
    token: &'static str,
    id: Option<u32>,
    begins: Option<bool>,
) -> Known {
    Known {
        name,
        token,
        id,
        begins,
    }
}

/// Those with an id are known by a token that training made; the others by a special token.
const KNOWN: [Known; 12] = [
    known("llama-bpe", "éĶ¦", Some(127_999), Some(true)),
    known("smaug-bpe", "éĶ¦", Some(127_999), Some(false)),
    // Llama 3's vocabulary begins with this one.
    known("dbrx", "ĠConveyor", Some(100_255), Some(false)),
    known("deepseek-v3", "å±ĭæªĲ", Some(127_999), Some(true)),
    known("joyai-llm", "å±ĭæªĲ", Some(127_999), Some(false)),
    known("starcoder", "sdb", Some(49_151), None),
    known("refact", "getOptions", Some(49_151), None),
    known("command-r", "ĠFanfare", Some(254_998), None),
    known("deepseek-r1-qwen", "<｜begin▁of▁sentence｜>", None, None),
    known("falcon3", ">>TITLE<<", None, None),
    known("glm4", "[gMASK]", None, None),
    known("megrez", "<|role_start|>", None, None),
];

/// The name for `tokenizer`, if its vocabulary is a known one and `of_kind` knows the name.
pub(super) fn find(
    tokenizer: &TokenizerJson,
    config: Option<&Map<String, Value>>,
    of_kind: impl Fn(&str) -> Option<PreTokenizer>,
) -> Option<PreTokenizer> {
    let begins = begins_with_token(tokenizer, config);
    let has = |known: &Known| {
        let model = tokenizer.model.vocab.0.iter();
        let model = model.map(|(text, id)| (text.as_str(), *id));
        let added = tokenizer.added_tokens.iter();
        let added = added.map(|token| (token.content.as_str(), token.id));
        model
            .chain(added)
            .any(|(text, id)| text == known.token && known.id.is_none_or(|known| known == id))
    };
    KNOWN
        .iter()
        .filter(|known| known.begins.is_none_or(|known| known == begins))
        .filter_map(|known| of_kind(known.name).map(|pre| (known, pre)))
        .find_map(|(known, pre)| has(known).then_some(pre))
}

/// Whether a special token is put before every text. Llama's class of tokenizers does what
/// tokenizer_config.json says, whatever the post-processor.
fn begins_with_token(tokenizer: &TokenizerJson, config: Option<&Map<String, Value>>) -> bool {
    let setting = |name: &str| config.and_then(|config| config.get(name));
    let class = setting("tokenizer_class").and_then(Value::as_str);
    if class.is_some_and(|class| class.starts_with("LlamaTokenizer")) {
        let adds = setting("add_bos_token").and_then(Value::as_bool);
        return adds.unwrap_or(true);
    }
    let one = std::slice::from_ref(&tokenizer.post_processor);
    let processors = tokenizer.post_processor.get("processors");
    let processors = processors
        .and_then(Value::as_array)
        .map_or(one, Vec::as_slice);
    processors.iter().any(|processor| {
        processor["type"] == "TemplateProcessing"
            && processor["single"][0].get("SpecialToken").is_some()
    })
}
