//! Byte-level vocabularies as lists of byte strings: a token's rank is its place in the list, and
//! there are no merges. They follow from the ranks, in one of two ways, of which each of llama.cpp's
//! readers has one; what both split is split alike.

use std::{collections::HashMap, path::Path};

use bstr::BString;
use rayon::prelude::*;

use super::{VocabularyError, byte_text};

/// The longest token we take. The longest in use have 128 bytes; the time that merges take grows with
/// the square of it.
const MAX_TOKEN_BYTES: usize = 512;

/// The most that merges may take. Those in use have 4 MB; a token can have as many as it has bytes.
const MAX_MERGES_BYTES: usize = 64 << 20;

/// The tokens of a file by their ranks.
pub(super) struct Ranks<'a> {
    path: &'a Path,
    tokens: &'a [Vec<u8>],
    of: HashMap<&'a [u8], u32>,
}

impl<'a> Ranks<'a> {
    /// `tokens`, of which each is there once, read from `path`.
    ///
    /// # Errors
    /// Tokens that are empty, too long, or there twice.
    pub(super) fn new(path: &'a Path, tokens: &'a [Vec<u8>]) -> Result<Self, VocabularyError> {
        let mut of = HashMap::with_capacity(tokens.len());
        for (rank, token) in tokens.iter().enumerate() {
            if token.is_empty() || token.len() > MAX_TOKEN_BYTES {
                return Err(VocabularyError::Entry {
                    path: path.to_owned(),
                    place: format!("token {rank}"),
                    expected: format!("1 to {MAX_TOKEN_BYTES} bytes"),
                    found: token.len().to_string(),
                });
            }
            // Exact: a file of 64 MB has fewer.
            if let Some(first) = of.insert(token.as_slice(), rank as u32) {
                return Err(VocabularyError::DuplicateText {
                    path: path.to_owned(),
                    text: String::from_utf8_lossy(token).into_owned(),
                    first: first as usize,
                    second: rank,
                });
            }
        }
        Ok(Self { path, tokens, of })
    }

    /// For each token the one merge that makes it of the two pieces it has before that, in the order
    /// of the ranks; and how many tokens of several bytes have none.
    pub(super) fn last_merges(&self) -> (Vec<BString>, usize) {
        let merge = |(rank, token): (usize, &Vec<u8>)| {
            (token.len() > 1).then(|| {
                let at = self.last_split(token, rank as u32)?;
                Some(merge(&token[..at], &token[at..]))
            })
        };
        let merges: Vec<Option<Option<BString>>> =
            self.tokens.par_iter().enumerate().map(merge).collect();
        let unmade = merges.iter().filter(|merge| **merge == Some(None)).count();
        (merges.into_iter().flatten().flatten().collect(), unmade)
    }

    /// Where the token falls in two when it is made of bytes by tokens of lower ranks, the lowest
    /// first; `None` if it falls in more.
    fn last_split(&self, token: &[u8], rank: u32) -> Option<usize> {
        let rank_of = |from: usize, to: usize| self.of.get(&token[from..to]).copied();
        let pair = |starts: &[usize], i: usize| {
            let end = starts.get(i + 2)?;
            rank_of(starts[i], *end).filter(|made| *made < rank)
        };
        // Where the pieces start, and at last where the token ends.
        let mut starts: Vec<usize> = (0..=token.len()).collect();
        // What each piece makes with the one behind it.
        const NONE: u32 = u32::MAX;
        let mut made: Vec<u32> = (0..token.len() - 1)
            .map(|i| pair(&starts, i).unwrap_or(NONE))
            .collect();
        while made.len() > 1 {
            let lowest = *made.iter().min()?;
            if lowest == NONE {
                return None;
            }
            let at = made.iter().position(|rank| *rank == lowest)?;
            starts.remove(at + 1);
            made.remove(at);
            if let Some(next) = made.get_mut(at) {
                *next = pair(&starts, at).unwrap_or(NONE);
            }
            if at > 0 {
                made[at - 1] = pair(&starts, at - 1).unwrap_or(NONE);
            }
        }
        Some(starts[1])
    }

    /// Every pair of tokens that is a token together, in the order of that token's rank and of its
    /// parts'. Bytes, which have the first 256 ranks, are made of nothing.
    ///
    /// # Errors
    /// A token that is no such pair; more merges than there is room for.
    pub(super) fn all_merges(&self) -> Result<Vec<BString>, VocabularyError> {
        let entry = |place: String, expected: &str, found: String| VocabularyError::Entry {
            path: self.path.to_owned(),
            place,
            expected: expected.to_owned(),
            found,
        };
        let mut merges = Vec::with_capacity(2 * self.tokens.len());
        let mut room = MAX_MERGES_BYTES;
        for (rank, token) in self.tokens.iter().enumerate().skip(256) {
            let split = |at: usize| {
                let (left, right) = token.split_at(at);
                Some((*self.of.get(left)?, *self.of.get(right)?, at))
            };
            let mut splits: Vec<(u32, u32, usize)> = (1..token.len()).filter_map(split).collect();
            if splits.is_empty() {
                return Err(entry(
                    format!("token {rank}"),
                    "two tokens that are this one together",
                    format!("none for `{}`", String::from_utf8_lossy(token)),
                ));
            }
            splits.sort_unstable();
            room = room
                .checked_sub(splits.len() * token.len())
                .ok_or_else(|| {
                    entry(
                        "merges".to_owned(),
                        "at most 64 MiB of them",
                        format!("more, at token {rank}"),
                    )
                })?;
            merges.extend(
                splits
                    .iter()
                    .map(|(_, _, at)| merge(&token[..*at], &token[*at..])),
            );
        }
        Ok(merges)
    }
}

/// A merge as GGUF has it.
fn merge(left: &[u8], right: &[u8]) -> BString {
    let [left, right] = [left, right].map(byte_text::written);
    format!("{left} {right}").into()
}
