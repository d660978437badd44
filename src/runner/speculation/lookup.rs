//! What the conversation itself says comes next: where the last tokens stood before, what followed them.
//!
//! An answer that copies follows its source for long, leaves it for a word that it replaces, and
//! comes back to it a little further on. So a source that was followed for a while is not given up at
//! the first other token, but looked for again near the place where it was left.

use std::collections::HashMap;

use llama_cpp_2::token::LlamaToken;

use super::watch::Kind;

/// Places looked at, latest first, for the one that agrees with most of the last tokens.
const PLACES: usize = 16;

/// Most tokens that are compared there.
const COMPARED: usize = 32;

/// A source followed for so many tokens is looked for again after it was left.
const FOLLOWED: usize = 4;

/// How far from where it was left, in tokens.
const NEAR: usize = 8;

/// A place that the text follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Source {
    /// Where the token stands that comes next, if it is still followed.
    next: usize,
    /// Tokens before it that are the last ones of the text.
    agrees: usize,
    /// Whether it was left and found again, so that fewer tokens say more.
    found_again: bool,
}

impl Source {
    fn kind(self, further: usize) -> Kind {
        let agrees = self.agrees + further;
        match self.found_again && agrees < FOLLOWED {
            true => Kind::found_again(),
            false => Kind::agreeing(agrees),
        }
    }
}

/// The text so far, and what of it is followed.
#[derive(Debug, Default)]
pub(super) struct Lookup {
    tokens: Vec<LlamaToken>,
    /// Where each pair of tokens ended last.
    pairs: HashMap<(LlamaToken, LlamaToken), u32>,
    /// For each place, where the pair that ends there ended before.
    before: Vec<Option<u32>>,
    source: Option<Source>,
    /// Where a source was left, and how many tokens ago.
    left: Option<(usize, usize)>,
}

impl Lookup {
    /// Begins anew, with a prompt.
    pub(super) fn begin(&mut self, prompt: &[LlamaToken]) {
        *self = Self::default();
        for &token in prompt {
            self.add(token);
        }
        self.source = self.look();
    }

    /// Takes the next token. Says what kind of proposal stood for its place, and whether it was right.
    pub(super) fn push(&mut self, token: LlamaToken) -> Option<(Kind, bool)> {
        let source = self.source;
        let said = source.map(|source| (source.kind(0), self.tokens[source.next] == token));
        self.add(token);
        self.source = match (source, said) {
            (Some(source), Some((_, true))) => {
                let followed = Source {
                    next: source.next + 1,
                    agrees: source.agrees + 1,
                    ..source
                };
                // A short one may be there by chance, and another agree with more.
                match followed.agrees < FOLLOWED {
                    true => self.look().filter(|other| other.agrees > followed.agrees),
                    false => None,
                }
                .or(Some(followed))
            }
            (source, _) => {
                if let Some(source) = source.filter(|source| source.agrees >= FOLLOWED) {
                    self.left = Some((source.next, 0));
                }
                let found = self.look();
                let again = self.look_near(token);
                match found {
                    Some(found) if found.agrees >= FOLLOWED || again.is_none() => Some(found),
                    _ => again,
                }
            }
        };
        said
    }

    /// The next tokens, at most `most`, with what speaks for each.
    pub(super) fn propose(&self, most: usize) -> Vec<(LlamaToken, Kind)> {
        let Some(source) = self.source else {
            return Vec::new();
        };
        let mut proposed: Vec<(LlamaToken, Kind)> = Vec::with_capacity(most);
        for i in 0..most {
            let at = source.next + i;
            // A source that reaches the end goes on with what is proposed: a text that repeats.
            let token = match self.tokens.get(at) {
                Some(&token) => token,
                None => proposed[at - self.tokens.len()].0,
            };
            proposed.push((token, source.kind(i)));
        }
        proposed
    }

    fn add(&mut self, token: LlamaToken) {
        let end = self.tokens.len();
        let before = match self.tokens.last() {
            Some(&last) => self.pairs.insert((last, token), end as u32),
            None => None,
        };
        self.tokens.push(token);
        self.before.push(before);
    }

    /// The place that agrees with most of the last tokens, and the latest of several.
    fn look(&self) -> Option<Source> {
        let end = self.tokens.len().checked_sub(1)?;
        let mut best: Option<Source> = None;
        let mut place = self.before[end];
        for _ in 0..PLACES {
            let Some(at) = place.map(|at| at as usize) else {
                break;
            };
            let agrees = (0..COMPARED.min(at + 1))
                .take_while(|&i| self.tokens[at - i] == self.tokens[end - i])
                .count();
            if best.is_none_or(|best| agrees > best.agrees) {
                best = Some(Source {
                    next: at + 1,
                    agrees,
                    found_again: false,
                });
            }
            place = self.before[at];
        }
        best
    }

    /// The source that was left, after `token`, which is not what it said.
    fn look_near(&mut self, token: LlamaToken) -> Option<Source> {
        let (from, ago) = self.left?;
        self.left = (ago + 1 < NEAR).then_some((from, ago + 1));
        let end = self.tokens.len() - 1;
        let near = (from + usize::from(ago == 0)..end).take(NEAR);
        let mut places = near.filter(|&at| self.tokens[at] == token);
        // Else as if one token stands for one.
        let next = places.next().map_or(from + ago, |at| at) + 1;
        (next < end).then_some(Source {
            next,
            agrees: 1,
            found_again: true,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str) -> Vec<LlamaToken> {
        text.bytes().map(|byte| LlamaToken(byte.into())).collect()
    }

    fn proposed(lookup: &Lookup, most: usize) -> String {
        let proposed = lookup.propose(most);
        proposed
            .iter()
            .map(|(token, _)| char::from(token.0 as u8))
            .collect()
    }

    fn after(prompt: &str, answer: &str) -> Lookup {
        let mut lookup = Lookup::default();
        lookup.begin(&tokens(prompt));
        for token in tokens(answer) {
            lookup.push(token);
        }
        lookup
    }

    #[test]
    fn what_followed_before_is_proposed() {
        let lookup = after("the quick fox; a lazy dog. ", "the qu");
        assert_eq!(proposed(&lookup, 6), "ick fo");
        assert!(after("abcdefgh", "xyz").propose(4).is_empty());
        assert!(after("", "").propose(4).is_empty());
    }

    #[test]
    fn the_longest_agreement_counts_and_then_the_latest() {
        assert_eq!(proposed(&after("1 ab2 ab3 ", "ab"), 1), "3");
        assert_eq!(proposed(&after("xab2 yab3 ", "xab"), 1), "2");
    }

    #[test]
    fn a_text_that_repeats_goes_on_beyond_its_end() {
        assert_eq!(proposed(&after("", "abcabc"), 8), "abcabcab");
    }

    #[test]
    fn a_source_is_found_again_behind_what_was_replaced() {
        // One token for one.
        let lookup = after("the cat sat on a mat. ", "the bat");
        assert_eq!(proposed(&lookup, 5), " sat ");
        let lookup = after("a long line with ONE in it; ", "a long line with 7");
        assert!(lookup.source.unwrap().found_again);
        // And what comes next says where.
        let lookup = after("a long line with ONE in it; ", "a long line with 7 ");
        assert_eq!(proposed(&lookup, 3), "in ");
    }

    #[test]
    fn each_place_is_told_how_its_proposal_did() {
        let mut lookup = after("abcdefg. ", "abc");
        assert_eq!(
            lookup.push(LlamaToken(b'd'.into())),
            Some((Kind::agreeing(3), true))
        );
        assert_eq!(
            lookup.push(LlamaToken(b'z'.into())),
            Some((Kind::agreeing(4), false))
        );
    }
}
