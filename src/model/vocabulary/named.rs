//! The tokens that a checkpoint calls special by their text, without an id.
//!
//! tokenizer_config.json names them (`eos_token`, `additional_special_tokens` and so on). A checkpoint
//! whose tokenizer_config.json has no `added_tokens_decoder` is from before there was one: then
//! special_tokens_map.json names them too and goes before, and added_tokens.json has ids. This is how
//! the transformers library reads them; a text that is no token yet gets the next free id there.

use std::{collections::HashSet, path::Path};

use serde_json::{Map, Value};

use super::{VocabularyError, files, special::KINDS};

/// The files beside tokenizer.json that add tokens.
#[derive(Debug, Default)]
pub(super) struct NamedTokens {
    /// Texts that are called special, each once, in the order in which new ones get their ids.
    pub(super) special: Vec<String>,
    /// added_tokens.json, in a checkpoint in which it has a say.
    pub(super) listed: Option<Map<String, Value>>,
}

impl NamedTokens {
    /// Reads the folder `dir`, whose tokenizer_config.json is `config`.
    ///
    /// # Errors
    /// When a file is there and cannot be read.
    pub(super) fn read(
        dir: &Path,
        config: Option<&Map<String, Value>>,
    ) -> Result<Self, VocabularyError> {
        let is_old = config.is_none_or(|config| !config.contains_key("added_tokens_decoder"));
        let mut map: Option<Map<String, Value>> = None;
        let mut listed = None;
        if is_old {
            map = files::read_json(&dir.join("special_tokens_map.json"))?;
            listed = files::read_json(&dir.join("added_tokens.json"))?;
        }
        let sources = [map.as_ref(), config];
        let (mut special, mut seen) = (Vec::new(), HashSet::new());
        let mut add = |entry: &Value| {
            let text = entry.get("content").unwrap_or(entry).as_str();
            let text = text.filter(|text| !text.is_empty()).map(str::to_owned);
            if let Some(text) = text.filter(|text| seen.insert(text.clone())) {
                special.push(text);
            }
        };
        for kind in KINDS {
            let key = format!("{kind}_token");
            let entry = sources.iter().flatten().find_map(|map| map.get(&key));
            entry.into_iter().for_each(&mut add);
        }
        // Of the list both have a say, tokenizer_config.json first.
        for source in sources.iter().rev().flatten() {
            let list = source.get("additional_special_tokens");
            let list = list.and_then(Value::as_array);
            list.into_iter().flatten().for_each(&mut add);
        }
        Ok(Self { special, listed })
    }
}
