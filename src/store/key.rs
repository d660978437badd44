//! What a model is made of, and whether that is still the same.

use serde::{Deserialize, Serialize};

use super::Record;
use crate::convert::OUTPUT_VERSION;

/// What a conversion is asked for by, but for its file type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The source as a whole: a folder's or a recipe's path, or `hf:ORG/NAME[@REVISION]`.
    pub source: String,
    /// What is read of it, as it is now.
    pub made_of: Vec<Part>,
    /// What else decides about the file, empty where nothing was asked for.
    pub knobs: String,
}

/// Something that a model is made of: a folder, a recipe, a repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// What it is.
    pub of: String,
    /// Its commit or fingerprint; `None` where that is not known now.
    pub is: Option<String>,
}

impl Part {
    /// Something in this state.
    pub fn new(of: impl Into<String>, is: impl Into<String>) -> Self {
        Self {
            of: of.into(),
            is: Some(is.into()),
        }
    }

    /// Something of which nothing is known.
    pub fn unknown(of: impl Into<String>) -> Self {
        Self {
            of: of.into(),
            is: None,
        }
    }
}

/// What a model of the store is to a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Likeness {
    /// It is what would be made.
    Same,
    /// It was, and has changed since: what has, for a sentence.
    Changed(String),
    /// It is of something else.
    Other,
}

impl Key {
    /// What the model that `record` tells of is to this key. What is not known counts as unchanged.
    pub fn likeness(&self, record: &Record) -> Likeness {
        if record.source != self.source || record.knobs != self.knobs {
            return Likeness::Other;
        }
        if record.version != OUTPUT_VERSION {
            return Likeness::Changed(format!(
                "{}, by another version of this program",
                self.source
            ));
        }
        let names = |parts: &[Part]| parts.iter().map(|part| part.of.clone()).collect::<Vec<_>>();
        if names(&record.made_of) != names(&self.made_of) {
            return Likeness::Changed(format!("what `{}` is made of", self.source));
        }
        let mut pairs = std::iter::zip(&record.made_of, &self.made_of);
        let changed = pairs.find(|(then, now)| match (&then.is, &now.is) {
            (Some(then), Some(now)) => then != now,
            _ => false,
        });
        match changed {
            None => Likeness::Same,
            Some((then, now)) => Likeness::Changed(change(then, now)),
        }
    }

    /// Fills in what was not known, of what `found` tells by its name.
    pub fn learn(&mut self, found: &dyn Fn(&str) -> Option<String>) {
        for part in self.made_of.iter_mut().filter(|part| part.is.is_none()) {
            part.is = found(&part.of);
        }
    }
}

/// What has changed, with the commits of a repository.
fn change(then: &Part, now: &Part) -> String {
    match (&then.is, &now.is) {
        (Some(then), Some(is)) if now.of.starts_with("hf:") => {
            format!("`{}` from commit {then:.12} to {is:.12}", now.of)
        }
        _ => format!("`{}`", now.of),
    }
}
