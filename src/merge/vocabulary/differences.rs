//! An expert's vocabulary beside the base's, where the merged model has the base's.
//!
//! mergekit-moe takes the base's without a look at the others. An expert's network reads what the base's
//! layers write, and no ids; but where its words are others, it comes of another family and does not
//! know what it reads. So words must be the same unless the recipe says `tokenizer_source: base`
//! itself. Tokens that were added (for a chat template, for padding) come and go among models of one
//! family, below the base's last id too, and are a note.

use std::collections::HashSet;

use bstr::BString;

use super::{
    MergeError, Parent,
    tokens::{Token, Tokens},
};

/// Names that a note shows of many.
const SHOWN: usize = 3;

/// How the tokens of `other` differ from the base's.
#[derive(Debug, Default)]
pub(super) struct Differences<'a> {
    /// Ids at which the texts differ and one of them is a word.
    words: Vec<u32>,
    /// Tokens of the expert that the base has not.
    dropped: Vec<&'a Token>,
    /// Tokens of the base that the expert has not.
    unknown: Vec<&'a Token>,
    /// How many tokens both have, under other ids.
    moved: usize,
}

impl<'a> Differences<'a> {
    pub(super) fn of(base: &'a Tokens, other: &'a Tokens) -> Self {
        let texts = [base, other].map(|tokens| tokens.texts().collect::<HashSet<&BString>>());
        let [of_base, of_other] = texts;
        let mut found = Self::default();
        for id in 0..base.list.len().max(other.list.len()) {
            let [a, b] = [base, other].map(|tokens| {
                let token = tokens.list.get(id);
                token.filter(|token| !token.is_padding(id))
            });
            if a.map(|token| &token.text) == b.map(|token| &token.text) {
                continue;
            }
            if [a, b].into_iter().flatten().any(Token::is_word) {
                found.words.push(id as u32);
            }
            found
                .unknown
                .extend(a.filter(|a| !of_other.contains(&a.text)));
            match b {
                Some(b) if of_base.contains(&b.text) => found.moved += 1,
                b => found.dropped.extend(b),
            }
        }
        found
    }

    /// Fails where words differ.
    pub(super) fn require_words(
        &self,
        (base, of_base): (&Parent, &Tokens),
        (other, of_other): (&Parent, &Tokens),
    ) -> Result<(), MergeError> {
        let Some(&id) = self.words.first() else {
            return Ok(());
        };
        let text = |tokens: &Tokens| match tokens.list.get(id as usize) {
            Some(token) => format!("`{}`", token.text),
            None => "none".to_owned(),
        };
        Err(MergeError::Vocabularies {
            words: self.words.len() as u32,
            id,
            base: base.reference.clone(),
            base_token: text(of_base),
            other: other.reference.clone(),
            other_token: text(of_other),
        })
    }

    /// What is told of `other`, where there is something to tell.
    pub(super) fn note(&self, base: &Parent, other: &Parent) -> Option<String> {
        let mut parts = Vec::new();
        if let [first, ..] = self.words[..] {
            let words = counted(self.words.len(), "word");
            parts.push(format!("{words} differ, the first at id {first}"));
        }
        if !self.dropped.is_empty() {
            let n = self.dropped.len();
            let (tokens, names) = (counted(n, "token"), named(&self.dropped));
            parts.push(format!(
                "{tokens} of its own {} left out ({names})",
                is_or_are(n)
            ));
        }
        if !self.unknown.is_empty() {
            let tokens = counted(self.unknown.len(), "token");
            let names = named(&self.unknown);
            parts.push(format!("it does not know {tokens} of the base ({names})"));
        }
        if self.moved > 0 {
            let tokens = counted(self.moved, "token");
            parts.push(format!(
                "{tokens} {} other ids in it",
                has_or_have(self.moved)
            ));
        }
        let (rows, of_base) = (other.n_vocab(), base.n_vocab());
        if rows != of_base {
            parts.push(format!(
                "its embedding has {rows} rows, the base's {of_base}"
            ));
        }
        let keeps = match self.dropped.is_empty() {
            true => "",
            false => "; `tokenizer_source: union` keeps what is left out",
        };
        (!parts.is_empty()).then(|| {
            format!(
                "the vocabulary is the base's, and that of `{}` another: {}{keeps}",
                other.reference,
                parts.join("; ")
            )
        })
    }
}

fn counted(n: usize, what: &str) -> String {
    match n {
        1 => format!("1 {what}"),
        _ => format!("{n} {what}s"),
    }
}

fn is_or_are(n: usize) -> &'static str {
    match n {
        1 => "is",
        _ => "are",
    }
}

fn has_or_have(n: usize) -> &'static str {
    match n {
        1 => "has",
        _ => "have",
    }
}

/// The first few of the tokens.
fn named(tokens: &[&Token]) -> String {
    let shown = tokens.iter().take(SHOWN);
    let shown = shown.map(|token| format!("`{}`", crate::gguf::escape(&token.text)));
    let rest = if tokens.len() > SHOWN { ", …" } else { "" };
    format!("{}{rest}", shown.collect::<Vec<_>>().join(", "))
}
