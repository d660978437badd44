//! The merged model's vocabulary: the base's, or the union of all. Of the base's rows and tokenizer files
//! nothing changes; `differences` tells how the experts' own vocabularies differ from it.
//!
//! The union keeps the base's ids. The tokens that only experts have follow behind, in the order of
//! the experts and of their ids there, and take the place of rows that the base's embedding has beyond
//! its tokens. A token is known by its text. Each new one brings its rows of embedding and output
//! matrix along from the first expert that has it.
//!
//! What is written are tokenizer files, from which the vocabulary is then read as from any
//! checkpoint's, and it must be the one that was meant:
//!
//! - Of a SentencePiece model new pieces are appended to the base's `tokenizer.model`, whose other fields
//!   stay byte for byte: joining two protobuf messages is appending one to the other. Scores and
//!   types are the expert's. New added tokens stand in `tokenizer_config.json` too, and the base's
//!   `tokenizer.json`, which would be out of date, is left out.
//! - Of a byte-level vocabulary only added tokens can be joined: its words are made by merges in one
//!   order, and two orders have no union.

mod differences;
mod files;
mod tokens;

use std::collections::HashSet;

use bstr::BString;
use serde_json::Value as Json;

use self::{
    differences::Differences,
    tokens::{Token, Tokens},
};
use super::{
    MergeError,
    parents::{Parent, Parents},
    recipe::TokenizerSource,
};
use crate::model::vocabulary::VocabularyError;

/// Consecutive rows of a parent's embedding and output matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rows {
    /// Index of the parent.
    pub(super) parent: usize,
    pub(super) first: u64,
    pub(super) rows: u64,
}

/// The vocabulary of a merge.
#[derive(Debug)]
pub(super) struct MergedVocabulary {
    /// Rows of the embedding.
    pub(super) n_vocab: usize,
    /// Where they come from, one after the other; the base's come first.
    pub(super) rows: Vec<Rows>,
    /// What to tell the user.
    pub(super) notes: Vec<String>,
    base: Tokens,
    /// Tokens that follow the base's.
    new: Vec<NewToken>,
}

/// A token that the base has not.
#[derive(Debug)]
struct NewToken {
    token: Token,
    parent: usize,
    /// Its id there.
    id: u64,
}

impl MergedVocabulary {
    /// Compares the parents' vocabularies, and joins them where the recipe has it.
    pub(super) fn of(
        parents: &Parents,
        source: Option<TokenizerSource>,
    ) -> Result<Self, MergeError> {
        let of_base =
            |error: VocabularyError| MergeError::parent(&parents.base().reference, error.into());
        let base = Tokens::read(parents.base()).map_err(of_base)?;
        let mut merged = Self {
            n_vocab: parents.base().n_vocab(),
            rows: Vec::new(),
            notes: Vec::new(),
            base,
            new: Vec::new(),
        };
        let mut known: HashSet<BString> = merged.base.texts().cloned().collect();
        for (index, parent) in parents.all.iter().enumerate().skip(1) {
            if source != Some(TokenizerSource::Union) {
                merged.take_base(parents.base(), parent, source.is_some())?;
                continue;
            }
            let other = Tokens::read(parent)
                .map_err(|error| MergeError::parent(&parent.reference, error.into()))?;
            let before = merged.new.len();
            for (id, token) in other.list.iter().enumerate() {
                if !token.is_padding(id) && known.insert(token.text.clone()) {
                    merged.new.push(NewToken {
                        token: token.clone().behind_another(),
                        parent: index,
                        id: id as u64,
                    });
                }
            }
            if merged.new.len() > before {
                merged.require_union(parents, parent, &other, before)?;
                let (n, from) = (merged.new.len() - before, &parent.reference);
                merged.notes.push(match n {
                    1 => format!("1 token and its rows come from `{from}`"),
                    _ => format!("{n} tokens and their rows come from `{from}`"),
                });
            }
        }
        if source == Some(TokenizerSource::Union) {
            merged.notes.insert(
                0,
                format!(
                    "tokenizer_source `union`, which mergekit-moe ignores: {} tokens and their rows come from the base, {} from experts",
                    merged.base.list.len(),
                    merged.new.len()
                ),
            );
        }
        merged.place_rows();
        Ok(merged)
    }

    /// Takes the base's vocabulary for `parent` too, and notes how its own differs. `is_said` where the
    /// recipe says so.
    fn take_base(
        &mut self,
        base: &Parent,
        parent: &Parent,
        is_said: bool,
    ) -> Result<(), MergeError> {
        let other = match Tokens::read(parent) {
            Ok(other) => other,
            // Nothing of it is needed.
            Err(error) => {
                self.notes.push(format!(
                    "the vocabulary is the base's; that of `{}` cannot be read and was not held against it: {}",
                    parent.reference,
                    chain(&error)
                ));
                return Ok(());
            }
        };
        let found = Differences::of(&self.base, &other);
        if !is_said {
            found.require_words((base, &self.base), (parent, &other))?;
        }
        self.notes.extend(found.note(base, parent));
        Ok(())
    }

    /// Fails where the new tokens from `first` on, which are those of `parent`, cannot be written beside
    /// the base's.
    fn require_union(
        &self,
        parents: &Parents,
        parent: &Parent,
        other: &Tokens,
        first: usize,
    ) -> Result<(), MergeError> {
        let base = parents.base();
        let fail = |reason: String| {
            Err(MergeError::NoUnion {
                base: base.reference.clone(),
                other: parent.reference.clone(),
                reason,
            })
        };
        let (kind, other_kind) = (self.base.kind(), other.kind());
        if kind != other_kind {
            let named = |kind| match kind {
                "llama" => "a SentencePiece model",
                _ => "byte-level",
            };
            let (a, b) = (named(kind), named(other_kind));
            return fail(format!("the base's is {a}, the other {b}"));
        }
        let word = self.new[first..]
            .iter()
            .find(|new| !new.token.is_added(kind));
        let Some(word) = word else {
            return match kind == "llama" && !has_model(base) {
                true => fail(no_model(base)),
                false => Ok(()),
            };
        };
        if kind != "llama" {
            return fail(format!(
                "token {} of the expert, `{}`, is made by merges, and two lists of merges have no common order; only added tokens can be joined",
                word.id, word.token.text
            ));
        }
        for parent in [base, parent] {
            if !has_model(parent) {
                return fail(no_model(parent));
            }
        }
        Ok(())
    }

    /// Says where every row comes from: neighbours together.
    fn place_rows(&mut self) {
        let base_rows = |first: usize, end: usize| Rows {
            parent: 0,
            first: first as u64,
            rows: (end - first) as u64,
        };
        if self.new.is_empty() {
            self.rows = vec![base_rows(0, self.n_vocab)];
            return;
        }
        let begin = self.base.list.len();
        let end = begin + self.new.len();
        self.rows = vec![base_rows(0, begin)];
        for new in &self.new {
            match self.rows.last_mut() {
                Some(run) if run.parent == new.parent && run.first + run.rows == new.id => {
                    run.rows += 1;
                }
                _ => self.rows.push(Rows {
                    parent: new.parent,
                    first: new.id,
                    rows: 1,
                }),
            }
        }
        if end < self.n_vocab {
            self.rows.push(base_rows(end, self.n_vocab));
        }
        self.n_vocab = self.n_vocab.max(end);
    }

    /// Ids of special tokens that the base's GGUF has and its config.json does not name, for the merged
    /// config.json: where the union leaves out the file that named them.
    pub(super) fn special_ids(&self, config: &Json) -> Vec<(String, u32)> {
        if self.new.is_empty() {
            return Vec::new();
        }
        let kinds = [
            ("bos", "bos"),
            ("eos", "eos"),
            ("unk", "unknown"),
            ("pad", "padding"),
        ];
        let id = |(kind, key): (&str, &str)| {
            let id = self.base.get(&format!("tokenizer.ggml.{key}_token_id"))?;
            let key = format!("{kind}_token_id");
            let is_named = config.get(&key).is_some_and(|id| !id.is_null());
            let id = id.as_u64().and_then(|id| u32::try_from(id).ok())?;
            (!is_named).then_some((key, id))
        };
        kinds.into_iter().filter_map(id).collect()
    }
}

/// An error and its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

fn has_model(parent: &Parent) -> bool {
    parent.checkpoint.dir.join("tokenizer.model").is_file()
}

fn no_model(parent: &Parent) -> String {
    format!(
        "`{}` has no `tokenizer.model`, and scores made from the merges of a `tokenizer.json` are not on another model's scale",
        parent.reference
    )
}
