//! What a family does otherwise than most, done: the rules of its policy that are about keys and
//! special tokens. Those about the tokens themselves are followed where these are read.

use std::path::Path;

use serde_json::{Map, Value as Json};

use super::{
    VocabularyError, VocabularyRequest, files,
    policy::TokenizerRule,
    special::{self, Sources, SpecialTokens},
    written::Written,
};

/// llama.cpp's converter knows these two models by their number of tokens.
const CODE_LLAMA: usize = 32016;
const GRANITE: usize = 49152;

/// The end of a turn in chats.
const IM_END: &str = "<|im_end|>";

/// The rules of a way, and what they ask.
pub(super) struct Rules<'a> {
    pub(super) rules: &'static [TokenizerRule],
    pub(super) request: &'a VocabularyRequest<'a>,
    /// tokenizer_config.json.
    pub(super) config: Option<&'a Map<String, Json>>,
    /// The file that the tokens come from.
    pub(super) path: &'a Path,
}

impl Rules<'_> {
    /// What stands before all other keys.
    pub(super) fn first(&self, written: &mut Written) {
        if self.rules.contains(&TokenizerRule::SpacePrefixFirst) {
            self.put_space_prefix(written);
        }
    }

    /// The kinds of special tokens that are looked for.
    pub(super) fn kinds(&self) -> Vec<&'static str> {
        let mut kinds = special::KINDS.to_vec();
        let pad = self.request.config.get("pad_token_id");
        let is_negative = pad.and_then(Json::as_i64).is_some_and(|id| id < 0);
        if is_negative && self.rules.contains(&TokenizerRule::PadUnlessNegative) {
            kinds.retain(|kind| *kind != "pad");
        }
        kinds
    }

    /// What is done about the special tokens that were found. The tokens are `written`.
    pub(super) fn amend(
        &self,
        found: &mut SpecialTokens,
        written: &Written,
    ) -> Result<(), VocabularyError> {
        for rule in self.rules {
            match rule {
                TokenizerRule::IdsByText(ids) => {
                    for (kind, text) in *ids {
                        found.set_id(kind, self.added_token(written, kind, text)?);
                    }
                }
                TokenizerRule::ImEndIsEos => {
                    if let Some(id) = written.added_token(IM_END) {
                        found.overrule_id("eos", id);
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// What stands behind all other keys, or changes them.
    pub(super) fn last(
        &self,
        mut sources: Sources<'_>,
        written: &mut Written,
    ) -> Result<(), VocabularyError> {
        for rule in self.rules {
            match rule {
                TokenizerRule::CodeLlamaInfill if self.request.vocab_size == CODE_LLAMA => {
                    // Here it does not check ids against the vocabulary.
                    sources.n_vocab = None;
                    let mut infill = sources.find(&special::INFILL_KINDS);
                    infill.set_id("eot", 32010);
                    written.put_special(infill);
                }
                TokenizerRule::GraniteWithoutBos if self.request.vocab_size == GRANITE => {
                    written.put("tokenizer.ggml.add_bos_token", false);
                }
                TokenizerRule::IdsOverruled(ids) => {
                    for (kind, text) in *ids {
                        written.put_id(kind, self.added_token(written, kind, text)?);
                    }
                }
                TokenizerRule::EosOfEod if !self.is_of_transformers() => {
                    self.put_given_id(self.request.config.get("eod_token_id"), "eos", written);
                }
                TokenizerRule::EotOfGeneration => {
                    let path = self.request.dir.join("generation_config.json");
                    // Whoever reads the rest of it tells what is wrong with it.
                    let generation: Option<Map<String, Json>> =
                        files::read_json(&path).unwrap_or_default();
                    let eos = generation.as_ref().and_then(|all| all.get("eos_token_id"));
                    if let Some([first, _, ..]) = eos.and_then(Json::as_array).map(Vec::as_slice) {
                        self.put_given_id(Some(first), "eot", written);
                    }
                }
                TokenizerRule::SpacePrefixLast => self.put_space_prefix(written),
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether config.json is of one of HunYuan's kinds that the transformers library knows.
    fn is_of_transformers(&self) -> bool {
        let kind = self.request.config.get("model_type").and_then(Json::as_str);
        matches!(kind, Some("hunyuan_v1_dense" | "hunyuan_v1_moe"))
    }

    fn put_space_prefix(&self, written: &mut Written) {
        let prefix = self
            .config
            .and_then(|config| config.get("add_prefix_space")?.as_bool());
        if let Some(prefix) = prefix {
            written.put("tokenizer.ggml.add_space_prefix", prefix);
        }
    }

    /// An id of a file, if it is one of the vocabulary.
    fn put_given_id(&self, id: Option<&Json>, kind: &str, written: &mut Written) {
        let Some(id) = id.filter(|id| !id.is_null()) else {
            return;
        };
        let n_vocab = self.request.vocab_size;
        let known = id.as_u64().and_then(|id| u32::try_from(id).ok());
        match known.filter(|id| (*id as usize) < n_vocab) {
            Some(id) => written.put_id(kind, id),
            None => written.notes.push(format!(
                "the {kind} token's id {id} is not in the vocabulary of {n_vocab} tokens and is left out"
            )),
        }
    }

    fn added_token(
        &self,
        written: &Written,
        kind: &str,
        text: &str,
    ) -> Result<u32, VocabularyError> {
        written
            .added_token(text)
            .ok_or_else(|| VocabularyError::Entry {
                path: self.path.to_owned(),
                place: "added tokens".to_owned(),
                expected: format!("`{text}`, the {kind} token of this architecture"),
                found: "none".to_owned(),
            })
    }
}
