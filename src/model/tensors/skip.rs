//! `--skip-tensor`: tensors of a checkpoint that are left out by hand.

use std::{fmt, str::FromStr};

use fancy_regex::{Regex, RegexBuilder};

use super::TensorError;
use crate::{
    gguf::shown,
    mix::{MAX_BACKTRACKS, what_is_broken},
    source::Checkpoint,
};

/// A pattern for names of tensors, found anywhere in them.
#[derive(Clone, Debug)]
pub struct SkipPattern(Regex);

/// A pattern that is no regular expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{pattern}` is a broken pattern: {what}")]
pub struct BrokenSkipPattern {
    /// What was given.
    pub pattern: String,
    /// What is wrong with it.
    pub what: String,
}

impl FromStr for SkipPattern {
    type Err = BrokenSkipPattern;

    fn from_str(pattern: &str) -> Result<Self, BrokenSkipPattern> {
        let broken = |what: String| BrokenSkipPattern {
            pattern: pattern.to_owned(),
            what,
        };
        if pattern.is_empty() {
            return Err(broken("it is empty, and so in every name".into()));
        }
        let built = RegexBuilder::new(pattern)
            .backtrack_limit(MAX_BACKTRACKS)
            .build();
        built
            .map(Self)
            .map_err(|error| broken(what_is_broken(&error)))
    }
}

impl fmt::Display for SkipPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

/// Leaves the tensors out of `checkpoint` in whose names one of `patterns` is found, and notes patterns
/// that are found in none.
///
/// # Errors
/// When a pattern takes too long.
pub fn leave_out(checkpoint: &mut Checkpoint, patterns: &[SkipPattern]) -> Result<(), TensorError> {
    for pattern in patterns {
        let mut found = Vec::new();
        for name in checkpoint.tensors.keys().chain(checkpoint.skipped.keys()) {
            match pattern.0.is_match(name) {
                Ok(true) => found.push(name.clone()),
                Ok(false) => {}
                Err(_) => {
                    return Err(TensorError::SlowPattern {
                        pattern: pattern.to_string(),
                        tensor: shown(name),
                    });
                }
            }
        }
        if found.is_empty() {
            let note = format!(
                "`--skip-tensor {pattern}` leaves nothing out: no tensor has a name like this"
            );
            checkpoint.notes.push(note);
        }
        for name in found {
            checkpoint.tensors.remove(&name);
            let first = checkpoint.skipped.entry(name);
            first.or_insert_with(|| pattern.to_string());
        }
    }
    Ok(())
}
