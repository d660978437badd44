//! What a model thinks before it answers, apart from the answer.
//!
//! Models that reason write their thoughts between marks. Which marks, the chat template says, since it
//! takes them out of earlier turns or opens them itself; or the vocabulary, which has them as tokens.
//! Where neither speaks of them the same characters are text like any other.
//!
//! Two forms are known. Most models write a pair of marks before the answer, and the text after it,
//! the same marks included, is the answer. Models of the harmony format (gpt-oss) write messages, each
//! with a header that names its channel: what is in `analysis` is thought.

use super::stop::MarkFinder;

/// A mark that begins thoughts, and the one that ends them.
type Pair = (&'static str, &'static str);

/// The marks in use.
static PAIRS: [Pair; 7] = [
    ("<think>", "</think>"),
    ("[THINK]", "[/THINK]"),
    ("<seed:think>", "</seed:think>"),
    ("<mm:think>", "</mm:think>"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<|channel>thought", "<channel|>"),
    ("◁think▷", "◁/think▷"),
];

const CHANNEL: &str = "<|channel|>";
const MESSAGE: &str = "<|message|>";
const START: &str = "<|start|>";
const END: &str = "<|end|>";

/// The channel of thoughts.
const ANALYSIS: &str = "analysis";

/// What a prompt ends with in which the model is to go on thinking.
const OPEN_CHANNEL: &str = "<|channel|>analysis<|message|>";

/// How a model marks its thoughts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Marks {
    /// A pair of marks before the answer.
    Pair(&'static Pair),
    /// Messages in channels.
    Channels,
}

impl Marks {
    /// Those that `template`, the text of a chat template, speaks of, or else those that are tokens.
    pub(super) fn of(template: &str, is_token: impl Fn(&str) -> bool) -> Option<Self> {
        let find = |known: &dyn Fn(&str) -> bool| {
            if known(CHANNEL) && known(MESSAGE) {
                return Some(Self::Channels);
            }
            // Some templates only open thoughts, some only take them out.
            let pair = PAIRS
                .iter()
                .find(|(open, close)| known(open) || known(close));
            pair.map(Self::Pair)
        };
        find(&|mark| template.contains(mark)).or_else(|| find(&is_token))
    }

    /// All of them, which have to be seen where they are tokens that are not written.
    pub(super) fn all(self) -> Vec<&'static str> {
        match self {
            Self::Pair((open, close)) => vec![open, close],
            Self::Channels => vec![CHANNEL, MESSAGE, START, END],
        }
    }

    /// Whether `prompt` leaves thoughts open for the model to go on with.
    fn are_open(self, prompt: &str) -> bool {
        prompt.trim_end().ends_with(match self {
            Self::Pair((open, _)) => open,
            Self::Channels => OPEN_CHANNEL,
        })
    }
}

/// What a piece of text belongs to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part {
    Thought,
    Answer,
}

/// Where in what a model writes we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Before the first word.
    Beginning,
    Thought,
    /// In what says which channel a message is in.
    Header,
    Answer,
}

/// Takes thoughts and answer apart, in text that comes in pieces.
#[derive(Debug)]
pub(super) struct Splitter {
    marks: Option<Marks>,
    place: Place,
    finder: MarkFinder,
    header: String,
}

impl Splitter {
    /// Text that goes on after `prompt`.
    pub(super) fn new(marks: Option<Marks>, prompt: &str) -> Self {
        let place = match marks {
            None => Place::Answer,
            Some(marks) if marks.are_open(prompt) => Place::Thought,
            Some(_) => Place::Beginning,
        };
        Self {
            marks,
            place,
            finder: MarkFinder::default(),
            header: String::new(),
        }
    }

    /// Gives `piece` and what was held before it to `out`, but for what may become a mark.
    pub(super) fn push(&mut self, piece: &str, mut out: impl FnMut(Part, &str)) {
        for character in piece.chars() {
            if self.place == Place::Beginning
                && self.finder.is_empty()
                && !character.is_whitespace()
                && !self
                    .marks_here()
                    .iter()
                    .any(|mark| mark.starts_with(character))
            {
                self.place = Place::Answer;
            }
            let marks = self.marks_here();
            let mut certain = String::new();
            let mark = self.finder.push(character, marks, &mut certain);
            self.give(&certain, &mut out);
            if let Some(mark) = mark {
                self.pass(mark);
            }
        }
    }

    /// Gives what is held: nothing more is coming.
    pub(super) fn finish(&mut self, mut out: impl FnMut(Part, &str)) {
        let held = self.finder.take();
        self.give(&held, &mut out);
    }

    fn give(&mut self, text: &str, out: &mut impl FnMut(Part, &str)) {
        if text.is_empty() {
            return;
        }
        if self.place == Place::Beginning && !text.trim().is_empty() {
            // It began like a mark and is none.
            self.place = Place::Answer;
        }
        match self.place {
            Place::Thought => out(Part::Thought, text),
            Place::Answer | Place::Beginning => out(Part::Answer, text),
            Place::Header => self.header.push_str(text),
        }
    }

    /// The marks that mean something here.
    fn marks_here(&self) -> &'static [&'static str] {
        match (self.marks, self.place) {
            (Some(Marks::Pair(pair)), Place::Beginning) => std::slice::from_ref(&pair.0),
            (Some(Marks::Pair(pair)), Place::Thought) => std::slice::from_ref(&pair.1),
            (Some(Marks::Channels), Place::Beginning) => &[CHANNEL, START],
            (Some(Marks::Channels), Place::Header) => &[MESSAGE, CHANNEL],
            (Some(Marks::Channels), Place::Thought | Place::Answer) => &[END, START, CHANNEL],
            (Some(Marks::Pair(_)) | None, _) => &[],
        }
    }

    /// Goes on behind `mark`.
    fn pass(&mut self, mark: &str) {
        self.place = match (self.marks, mark) {
            (Some(Marks::Pair(_)), _) => match self.place {
                Place::Beginning => Place::Thought,
                _ => Place::Answer,
            },
            (_, MESSAGE) => match self.header.trim_start().starts_with(ANALYSIS) {
                true => Place::Thought,
                false => Place::Answer,
            },
            (_, END) => Place::Beginning,
            _ => {
                self.header.clear();
                Place::Header
            }
        };
    }
}

#[cfg(test)]
mod tests;
