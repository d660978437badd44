//! The merged vocabulary's files.

use std::{fs, path::Path};

use prost::Message;
use serde_json::{Map, Value as Json, json};

use super::{
    MergeError, MergedVocabulary, Parents, chain,
    tokens::{Token, Tokens},
};
use crate::{
    gguf::Value,
    model::vocabulary::{self, VocabularyRequest, sentencepiece::ModelProto},
};

/// Files that make a tokenizer and its chat template.
const FILES: [&str; 11] = [
    "tokenizer.model",
    "tokenizer.json",
    "tekken.json",
    "hy.tiktoken",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
    "chat_template.json",
];

/// The folder of further chat templates.
const TEMPLATES: &str = "additional_chat_templates";

impl MergedVocabulary {
    /// Writes the tokenizer files to `dir`. `config` is the merged config.json.
    pub(in crate::merge) fn write(
        &self,
        parents: &Parents,
        dir: &Path,
        config: &Json,
    ) -> Result<(), MergeError> {
        let from = &parents.base().checkpoint.dir;
        for name in FILES {
            copy(&from.join(name), &dir.join(name))?;
        }
        let templates = from.join(TEMPLATES);
        if templates.is_dir() {
            let to = dir.join(TEMPLATES);
            fs::create_dir(&to).map_err(|error| MergeError::write(&to, error))?;
            for entry in fs::read_dir(&templates).map_err(|e| read_error(&templates, e))? {
                let name = entry.map_err(|e| read_error(&templates, e))?.file_name();
                copy(&templates.join(&name), &to.join(&name))?;
            }
        }
        if self.new.is_empty() {
            return Ok(());
        }
        match self.base.kind() {
            "llama" => self.join_sentencepiece(dir)?,
            _ => self.join_byte_level(dir)?,
        }
        self.require_as_meant(parents, dir, config)
    }

    /// Appends the new pieces, and before them those added tokens of the base that have an id and no
    /// piece.
    fn join_sentencepiece(&self, dir: &Path) -> Result<(), MergeError> {
        let path = dir.join("tokenizer.model");
        let mut bytes = fs::read(&path).map_err(|error| read_error(&path, error))?;
        let n_pieces = ModelProto::decode(&bytes[..]).map_or(0, |model| model.pieces.len());
        let new = self.new.iter().map(|new| &new.token);
        let tokens = self.base.list.iter().chain(new).enumerate();
        let behind = tokens.skip(n_pieces);
        let pieces = behind.clone().map(|(_, token)| token);
        let appended = ModelProto {
            pieces: pieces.map(Token::piece).collect(),
            trainer_spec: None,
        };
        bytes.extend(appended.encode_to_vec());
        write(&path, &bytes)?;

        let path = dir.join("tokenizer.json");
        if path.is_file() {
            fs::remove_file(&path).map_err(|error| MergeError::write(&path, error))?;
        }
        let path = dir.join("tokenizer_config.json");
        let mut config: Map<String, Json> = match path.is_file() {
            true => read_json(&path)?,
            false => Map::new(),
        };
        let mut changed = false;
        // The base's, too: what added them may be its tokenizer.json.
        for (id, token) in behind.filter(|(_, token)| token.is_added("llama")) {
            let decoder = config
                .entry("added_tokens_decoder")
                .or_insert_with(|| json!({}));
            let id = id.to_string();
            if decoder.get(&id).is_none() {
                decoder[id] = token.added_entry();
                changed = true;
            }
        }
        // What the tokenizer.json said, which is left out and had the last word.
        for kind in ["bos", "eos", "sep"] {
            let said = self.base.get(&format!("tokenizer.ggml.add_{kind}_token"));
            let key = format!("add_{kind}_token");
            if let Some(Value::Bool(add)) = said
                && config.get(&key) != Some(&json!(add))
            {
                config.insert(key, json!(add));
                changed = true;
            }
        }
        match changed {
            true => write_json(&path, &Json::Object(config)),
            false => Ok(()),
        }
    }

    /// Adds the new added tokens to `tokenizer.json`.
    fn join_byte_level(&self, dir: &Path) -> Result<(), MergeError> {
        let path = dir.join("tokenizer.json");
        let mut tokenizer: Map<String, Json> = read_json(&path)?;
        let begin = self.base.list.len();
        let new = self.new.iter().enumerate().map(|(i, new)| {
            let mut entry = json!({"id": begin + i});
            if let (Json::Object(entry), Json::Object(rest)) = (&mut entry, new.token.added_entry())
            {
                entry.extend(rest);
            }
            entry
        });
        match tokenizer.get_mut("added_tokens") {
            Some(Json::Array(list)) => list.extend(new),
            _ => {
                let list = new.collect();
                tokenizer.insert("added_tokens".into(), list);
            }
        }
        write_json(&path, &Json::Object(tokenizer))
    }

    /// Reads what was written, and fails where it is not what was meant.
    fn require_as_meant(
        &self,
        parents: &Parents,
        dir: &Path,
        config: &Json,
    ) -> Result<(), MergeError> {
        let no_union = |other: usize, reason: String| MergeError::NoUnion {
            base: parents.base().reference.clone(),
            other: parents.all[other].reference.clone(),
            reason,
        };
        let written = vocabulary::read(&VocabularyRequest {
            dir,
            vocab_size: self.n_vocab,
            config,
            policy: vocabulary::policy::LLAMA,
            chat_template: None,
            pre: parents.base().pre,
        });
        let written = written.map_err(|error| {
            // The folder is one for a while.
            let folder = format!("{}{}", dir.display(), std::path::MAIN_SEPARATOR);
            let reason = chain(&error).replace(&folder, "");
            no_union(self.new[0].parent, format!("of the joined {reason}"))
        })?;
        let written = Tokens::of(&written);
        let meant = self
            .base
            .list
            .iter()
            .chain(self.new.iter().map(|new| &new.token));
        for (id, token) in meant.enumerate() {
            let found = written.list.get(id);
            if found != Some(token) {
                let shown = |token: Option<&Token>| format!("{token:?}");
                let parent = match id.checked_sub(self.base.list.len()) {
                    Some(new) => self.new[new].parent,
                    None => self.new[0].parent,
                };
                let reason = format!(
                    "token {id} would be read as {} from its files, expected {}",
                    shown(found),
                    shown(Some(token))
                );
                return Err(no_union(parent, reason));
            }
        }
        Ok(())
    }
}

/// Copies a file, where it is there, with the rights of a new one.
fn copy(from: &Path, to: &Path) -> Result<(), MergeError> {
    if !from.is_file() {
        return Ok(());
    }
    let bytes = fs::read(from).map_err(|error| read_error(from, error))?;
    write(to, &bytes)
}

fn read_json(path: &Path) -> Result<Map<String, Json>, MergeError> {
    let bytes = fs::read(path).map_err(|error| read_error(path, error))?;
    serde_json::from_slice(&bytes).map_err(|error| read_error(path, error.into()))
}

fn write_json(path: &Path, value: &Json) -> Result<(), MergeError> {
    write(path, format!("{value:#}\n").as_bytes())
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), MergeError> {
    fs::write(path, bytes).map_err(|error| MergeError::write(path, error))
}

fn read_error(path: &Path, error: std::io::Error) -> MergeError {
    MergeError::Read {
        path: path.into(),
        error,
    }
}
