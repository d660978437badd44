//! Whether an answer does nothing any more but repeat itself.
//!
//! A model that has fallen into a loop, mostly without randomness, says the same stretch of tokens
//! again and again until its context is full. But much that repeats itself is wanted: rules and
//! tables, rows of zeros, laughter, refrains, "write it a hundred times". What tells a loop from
//! these is how long it goes on, *exactly* the same, and how much the stretch says:
//!
//! | the stretch has | an answer ends when it fills | for example |
//! | --- | --- | --- |
//! | at most 3 different tokens | 4096 tokens | `-----`, `0, 0, 0`, `ha ha`, blank lines |
//! | more | 1024 tokens | a sentence of 20 tokens, said 52 times |
//! | `d` different ones in a length over `2 d` | 1024 times (length / `2 d`, rounded up) | a matrix' row of 30 zeros |
//!
//! and in any case has come [`LEAST_TIMES`] times. The numbers, and why:
//!
//! - A line of ten tokens written a hundred times, sixty rows of an empty table, fifty equal
//!   objects of JSON stay below 1024 tokens. A sentence that fills them is a loop. They are an eighth of
//!   the context that is made unasked, and a minute or two of a large model on a CPU.
//! - Two thousand zeros with their commas stay below 4096. Of a stretch so poor nobody reads more, and
//!   in a loop it still ends in the middle of that context.
//! - The rows of a matrix of zeros are long stretches of few different tokens, while sentences hardly use a
//!   token twice. So the length is measured against the different tokens.
//! - Stretches of up to [`LONGEST`] tokens are looked for: long paragraphs. What goes round in larger circles
//!   ends with the context.
//!
//! Anything that changes with each turn, the number of a list's entry, a cell of a table, another word of a
//! verse, makes no repetition at all.

/// The longest stretch whose repetition is noticed, in tokens.
const LONGEST: usize = 512;

/// Tokens that repetitions of a stretch must fill.
const FILLED: usize = 1024;

/// The same, of a stretch that says next to nothing.
const FILLED_POORLY: usize = 4096;

/// Most different tokens of a stretch that says next to nothing.
const POOR: usize = 3;

/// A stretch comes at least so often, however long it is.
const LEAST_TIMES: usize = 8;

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
    /// The newest tokens, at most two buffers' worth of [`LONGEST`].
    newest: Vec<i32>,
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
    pub(super) fn push(&mut self, token: i32) -> Option<Repetition> {
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
        if run == 0 || filled < FILLED.max(LEAST_TIMES * tokens) || !filled.is_multiple_of(tokens) {
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
fn must_fill(stretch: &[i32]) -> usize {
    let mut different = stretch.to_vec();
    different.sort_unstable();
    different.dedup();
    let different = different.len();
    let filled = match different <= POOR {
        true => FILLED_POORLY,
        false => FILLED * stretch.len().div_ceil(2 * different),
    };
    filled.max(LEAST_TIMES * stretch.len())
}

#[cfg(test)]
mod tests;
