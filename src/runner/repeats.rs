//! Whether an answer does nothing any more but repeat itself.
//!
//! A model that has fallen into a loop, mostly without randomness, says the same stretch of tokens
//! again and again until its context is full. But much that repeats itself is wanted: rules and
//! tables, rows of zeros, laughter, refrains, "write it a hundred times". What tells a loop from
//! these is how long it goes on *exactly* the same, and how much the stretch says, which is how
//! many different tokens it has. The answer ends when repetitions of a stretch
//!
//! - of at most 3 different tokens fill 4096 tokens: `-----`, `0,1,0,1`, `ha ha`, blank lines;
//! - of `d` different tokens, `n` in all, fill 1024 `n / d` tokens, and half of that from 16
//!   different ones on: a sentence of 20 tokens, 16 of them different, when it comes for the 32nd
//!   time;
//! - and in any case come for the 8th time, which is what stretches of many different tokens wait
//!   for that are longer than 64.
//!
//! Why these numbers:
//!
//! - A line of ten tokens that is written a hundred times, or forty equal objects of JSON, stay
//!   below 1024, an eighth of the context that is made unasked.
//! - Sixteen different tokens are a whole sentence. A large model on a CPU writes one or two tokens
//!   a second, and who waits for it should not watch a sentence go round for ten minutes.
//! - Sentences hardly use a token twice. The rows of tables and code use some again and again
//!   (`|`, `</td>`), and those of a matrix of zeros almost all, so the division gives a table twice
//!   the room, and a picture of 28 by 28 zeros more than it needs.
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

/// The same, of a whole sentence.
const FILLED_RICHLY: usize = 512;

/// Fewest different tokens of a whole sentence.
const RICH: usize = 16;

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
    /// The newest tokens: always the last [`LONGEST`], where so many came.
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
        if run == 0
            || filled < FILLED_RICHLY.max(LEAST_TIMES * tokens)
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
fn must_fill(stretch: &[i32]) -> usize {
    let mut different = stretch.to_vec();
    different.sort_unstable();
    different.dedup();
    let different = different.len();
    let filled = match different {
        0..=POOR => FILLED_POORLY,
        RICH.. => FILLED_RICHLY * stretch.len() / different,
        _ => FILLED * stretch.len() / different,
    };
    filled.max(LEAST_TIMES * stretch.len())
}

#[cfg(test)]
mod tests;
