//! Whether an answer does nothing any more but repeat itself.
//!
//! A model that has fallen into a loop, mostly without randomness, says the same stretch of tokens
//! again and again until its context is full. But much that repeats itself is wanted: rules and
//! tables, rows of zeros, laughter, refrains, "write it a hundred times". What tells a loop from
//! these is how long it goes on *exactly* the same, and how much the stretch says, which is how
//! many different tokens it has, and how many of them are words. The answer ends when repetitions of
//! a stretch
//!
//! - of at most 3 different tokens fill 4096 tokens: `-----`, `0,1,0,1`, `ha ha`, blank lines;
//! - of `d` different tokens, `n` in all, fill 1024 `n / d` tokens: `I'm sorry. `, rows of a table;
//! - of at least 8 different words, and of little else, which is a sentence, fill 384 tokens: one of
//!   20 tokens, when it comes for the 20th time;
//! - and in any case come for the 8th time, which is what sentences wait for that are longer than 48.
//!
//! Why these numbers:
//!
//! - A line of ten tokens that is written a hundred times, or forty equal objects of JSON, stay
//!   below 1024, an eighth of the context that is made unasked.
//! - The rows of tables and code use some tokens again and again (`|`, `</td>`), and those of a matrix
//!   of zeros almost all, so the division gives a table twice the room, and a picture of 28 by 28
//!   zeros more than it needs. They have few words, or more signs than a sentence has: of that two
//!   thirds are words.
//! - Nobody wants to read a whole sentence for the 20th time, nor to wait for it: a large model on a
//!   CPU writes one or two tokens a second.
//! - Two thousand zeros with their commas stay below 4096, and a loop of them still ends in the
//!   middle of that context.
//! - Stretches of up to 512 tokens are looked for: long paragraphs. What goes round in larger
//!   circles ends with the context.
//!
//! Anything that changes with each turn is no repetition at all, however long it goes on: the
//! number of a list's entry, a cell of a table, another word in a verse.

/// The longest stretch whose repetition is noticed, in tokens.
const LONGEST: usize = 512;

/// Tokens that repetitions of a stretch of different tokens must fill.
const FILLED: usize = 1024;

/// The same, of a sentence.
const FILLED_BY_SENTENCE: usize = 384;

/// Fewest different words of a sentence.
const SENTENCE: usize = 8;

/// The same, of a stretch that says next to nothing.
const FILLED_POORLY: usize = 4096;

/// Most different tokens of a stretch that says next to nothing.
const POOR: usize = 3;

/// A stretch comes at least so often, however long it is.
const LEAST_TIMES: usize = 8;

/// A token of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Said {
    /// Its id.
    pub(super) id: i32,
    /// Whether it is a word or a part of one, and not a number, a sign or a space.
    pub(super) is_word: bool,
}

impl Said {
    /// The token `id`, which is written as `piece`. A part of a character is one of a word: what is
    /// written in such parts is mostly a script of many characters.
    pub(super) fn new(id: i32, piece: &[u8]) -> Self {
        let is_word = match std::str::from_utf8(piece) {
            Ok(text) => text.chars().any(char::is_alphabetic),
            Err(_) => true,
        };
        Self { id, is_word }
    }
}

/// A stretch that an answer ends with, again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repetition {
    /// Tokens of the stretch.
    pub tokens: usize,
    /// How often it came.
    pub times: usize,
}

/// Looks for repetitions while tokens come.
#[derive(Debug)]
pub(super) struct RepetitionFinder {
    /// The newest tokens: always the last [`LONGEST`], where so many came.
    newest: Vec<Said>,
    /// How many tokens up to the newest are, each, what came `i + 1` tokens before.
    runs: Vec<usize>,
}

impl RepetitionFinder {
    /// Nothing came yet.
    pub(super) fn new() -> Self {
        Self {
            newest: Vec::with_capacity(2 * LONGEST),
            runs: vec![0; LONGEST],
        }
    }

    /// Takes the next token. Says so where an answer has to end with it.
    ///
    /// This compares the token with the [`LONGEST`] before it: less than a microsecond.
    pub(super) fn push(&mut self, token: Said) -> Option<Repetition> {
        if self.newest.len() == 2 * LONGEST {
            self.newest.drain(..LONGEST);
        }
        let before = self.newest.iter().rev();
        for (run, &earlier) in self.runs.iter_mut().zip(before) {
            *run = match earlier == token {
                true => *run + 1,
                false => 0,
            };
        }
        self.newest.push(token);
        (1..=LONGEST).find_map(|tokens| self.repetition(tokens))
    }

    /// Whether stretches of so many tokens fill enough, looked at only when the last is whole.
    fn repetition(&self, tokens: usize) -> Option<Repetition> {
        let run = self.runs[tokens - 1];
        // The first of the stretches is before the run.
        let filled = run + tokens;
        if run == 0
            || filled < FILLED_BY_SENTENCE.max(LEAST_TIMES * tokens)
            || !filled.is_multiple_of(tokens)
        {
            return None;
        }
        let stretch = &self.newest[self.newest.len() - tokens..];
        (filled >= must_fill(stretch)).then_some(Repetition {
            tokens,
            times: filled / tokens,
        })
    }
}

/// Tokens that repetitions of `stretch` must fill.
fn must_fill(stretch: &[Said]) -> usize {
    let mut different = stretch.to_vec();
    different.sort_unstable();
    different.dedup();
    let words = |tokens: &[Said]| tokens.iter().filter(|token| token.is_word).count();
    let is_sentence = words(&different) >= SENTENCE && 3 * words(stretch) >= 2 * stretch.len();
    let filled = match different.len() {
        _ if is_sentence => FILLED_BY_SENTENCE,
        0..=POOR => FILLED_POORLY,
        different => FILLED * stretch.len() / different,
    };
    filled.max(LEAST_TIMES * stretch.len())
}

#[cfg(test)]
mod tests;
