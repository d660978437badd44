//! From the bytes of tokens to text that may be shown.
//!
//! Small filters, each fed piece by piece, each giving the same text however the pieces are cut:
//! [`Utf8Buffer`] keeps half a character back, [`Splitter`] takes thoughts and answer apart,
//! [`StopFilter`] keeps back what may still become a stop string, [`Trimmer`] keeps back white space
//! that may be the last. [`AnswerText`] is all of them in a row.

use super::thoughts::{Marks, Part, Splitter};

/// Joins bytes to characters. A token of a byte-level vocabulary, or a byte token of a
/// SentencePiece one, may be a third of a kanji.
#[derive(Debug, Default)]
struct Utf8Buffer {
    /// The beginning of a character: at most three bytes.
    incomplete: Vec<u8>,
}

impl Utf8Buffer {
    /// Appends the characters that `bytes` complete to `text`. Bytes that can belong to no
    /// character become U+FFFD.
    fn push(&mut self, bytes: &[u8], text: &mut String) {
        self.incomplete.extend_from_slice(bytes);
        let mut rest = self.incomplete.as_slice();
        loop {
            match std::str::from_utf8(rest) {
                Ok(valid) => {
                    text.push_str(valid);
                    rest = &[];
                    break;
                }
                Err(error) => {
                    let (valid, after) = rest.split_at(error.valid_up_to());
                    text.push_str(&String::from_utf8_lossy(valid));
                    rest = after;
                    match error.error_len() {
                        Some(invalid) => {
                            text.push(char::REPLACEMENT_CHARACTER);
                            rest = &rest[invalid..];
                        }
                        None => break,
                    }
                }
            }
        }
        let keep_from = self.incomplete.len() - rest.len();
        self.incomplete.drain(..keep_from);
    }
}

/// Looks for marks in text that comes in characters.
///
/// A mark is found when it is *complete*; where several are complete at the same character, the longest
/// of them.
#[derive(Debug, Default)]
pub(super) struct MarkFinder {
    /// Text not given out yet because a mark may begin in it.
    held: String,
}

impl MarkFinder {
    /// Appends to `text` what is certain to lie before any of `marks`, and gives the mark that
    /// `character` completes.
    pub(super) fn push<'m, M: AsRef<str>>(
        &mut self,
        character: char,
        marks: &'m [M],
        text: &mut String,
    ) -> Option<&'m str> {
        self.held.push(character);
        let marks = marks.iter().map(AsRef::as_ref);
        let complete = marks.clone().filter(|mark| self.held.ends_with(mark));
        if let Some(mark) = complete.max_by_key(|mark| mark.len()) {
            let before = self.held.len() - mark.len();
            text.push_str(&self.held[..before]);
            self.held.clear();
            return Some(mark);
        }
        let starts = self.held.char_indices().map(|(start, _)| start);
        // The longest end that is the beginning of a mark stays.
        let certain = starts
            .map(|start| &self.held[start..])
            .find(|end| marks.clone().any(|mark| mark.starts_with(end)))
            .map_or(self.held.len(), |end| self.held.len() - end.len());
        text.extend(self.held.drain(..certain));
        None
    }

    /// Whether nothing is held.
    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// What is held, which is no mark: nothing more is coming.
    pub(super) fn take(&mut self) -> String {
        std::mem::take(&mut self.held)
    }
}

/// Looks for stop strings in text that comes in pieces.
///
/// The text ends before the first stop string that is complete.
#[derive(Debug)]
struct StopFilter {
    stops: Vec<String>,
    finder: MarkFinder,
}

impl StopFilter {
    fn new(stops: Vec<String>) -> Self {
        let stops = stops.into_iter().filter(|stop| !stop.is_empty()).collect();
        Self {
            stops,
            finder: MarkFinder::default(),
        }
    }

    /// Appends to `text` what is certain to lie before any stop string. True where a stop string
    /// is complete: nothing may be pushed after that.
    fn push(&mut self, piece: &str, text: &mut String) -> bool {
        let mut characters = piece.chars();
        characters.any(|character| self.finder.push(character, &self.stops, text).is_some())
    }
}

/// Removes white space at both ends.
#[derive(Debug, Default)]
struct Trimmer {
    begun: bool,
    /// White space that is given out only before something else.
    space: String,
}

impl Trimmer {
    fn push(&mut self, piece: &str, text: &mut String) {
        for character in piece.chars() {
            if character.is_whitespace() {
                if self.begun {
                    self.space.push(character);
                }
            } else {
                self.begun = true;
                text.push_str(&self.space);
                self.space.clear();
                text.push(character);
            }
        }
    }
}

/// What may be shown of an answer.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Shown {
    /// What was thought.
    pub(super) thought: String,
    /// What was answered; all thoughts came before it.
    pub(super) answer: String,
}

/// The text of one answer, made of the bytes of its tokens.
#[derive(Debug)]
pub(super) struct AnswerText {
    utf8: Utf8Buffer,
    splitter: Splitter,
    thoughts: Trimmer,
    stop: StopFilter,
    /// Absent where the text is wanted as it is.
    trimmer: Option<Trimmer>,
}

impl AnswerText {
    /// `trim` removes white space around the answer, which belongs to the template and not to
    /// what is said. Empty stop strings are ignored.
    pub(super) fn new(stops: Vec<String>, trim: bool) -> Self {
        Self {
            utf8: Utf8Buffer::default(),
            splitter: Splitter::new(None, ""),
            thoughts: Trimmer::default(),
            stop: StopFilter::new(stops),
            trimmer: trim.then(Trimmer::default),
        }
    }

    /// With `marks` around thoughts, after `prompt`. Stop strings in thoughts end nothing.
    pub(super) fn with_thoughts(mut self, marks: Option<Marks>, prompt: &str) -> Self {
        self.splitter = Splitter::new(marks, prompt);
        self
    }

    /// Takes the bytes of a token. Returns the text that may be shown now, and whether a stop
    /// string has ended the answer.
    pub(super) fn push(&mut self, bytes: &[u8]) -> (Shown, bool) {
        let mut characters = String::new();
        self.utf8.push(bytes, &mut characters);
        let mut parts = Parts::default();
        self.splitter
            .push(&characters, |part, text| parts.add(part, text));
        self.filter(&parts)
    }

    /// What was still held when the generation ended for another reason than a stop string, and whether
    /// one was in it. Half a character is dropped.
    pub(super) fn finish(&mut self) -> (Shown, bool) {
        let mut parts = Parts::default();
        self.splitter.finish(|part, text| parts.add(part, text));
        let (mut shown, stopped) = self.filter(&parts);
        if !stopped {
            let held = self.stop.finder.take();
            self.trim(&held, &mut shown.answer);
        }
        (shown, stopped)
    }

    fn filter(&mut self, parts: &Parts) -> (Shown, bool) {
        let mut shown = Shown::default();
        self.thoughts.push(&parts.thought, &mut shown.thought);
        let mut unstopped = String::new();
        let stopped = self.stop.push(&parts.answer, &mut unstopped);
        self.trim(&unstopped, &mut shown.answer);
        (shown, stopped)
    }

    fn trim(&mut self, text: &str, trimmed: &mut String) {
        match &mut self.trimmer {
            None => trimmed.push_str(text),
            Some(trimmer) => trimmer.push(text, trimmed),
        }
    }
}

/// What a piece holds of each.
#[derive(Default)]
struct Parts {
    thought: String,
    answer: String,
}

impl Parts {
    fn add(&mut self, part: Part, text: &str) {
        match part {
            Part::Thought => self.thought.push_str(text),
            Part::Answer => self.answer.push_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The answer when the bytes come in these pieces, and whether a stop string ended it.
    fn answer(pieces: &[&[u8]], stops: &[&str], trim: bool) -> (String, bool) {
        let stops = stops.iter().map(ToString::to_string).collect();
        let mut text = AnswerText::new(stops, trim);
        let mut all = String::new();
        for piece in pieces {
            let (shown, stopped) = text.push(piece);
            all += &shown.answer;
            if stopped {
                return (all, true);
            }
        }
        let (held, stopped) = text.finish();
        (all + &held.answer, stopped)
    }

    /// The definition: the text before the stop string that is complete first, the longest where
    /// several are.
    fn reference(bytes: &[u8], stops: &[&str]) -> (String, bool) {
        let mut text = String::from_utf8_lossy(bytes).into_owned();
        for end in (0..=text.len()).filter(|&end| text.is_char_boundary(end)) {
            let complete = stops
                .iter()
                .filter(|stop| !stop.is_empty() && text[..end].ends_with(*stop));
            if let Some(stop) = complete.max_by_key(|stop| stop.len()) {
                text.truncate(end - stop.len());
                return (text, true);
            }
        }
        (text, false)
    }

    fn cut(bytes: &[u8], lengths: &[usize]) -> Vec<Vec<u8>> {
        let mut pieces = Vec::new();
        let mut rest = bytes;
        for &length in lengths {
            let (piece, after) = rest.split_at(length.min(rest.len()));
            pieces.push(piece.to_vec());
            rest = after;
        }
        pieces.push(rest.to_vec());
        pieces
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_text(
            text in "[ab#指示:\n🦜 ]{0,40}",
            lengths in prop::collection::vec(0_usize..6, 0..40),
            stops in prop::collection::vec("[ab#指示:\n]{1,4}", 0..3),
            trim in any::<bool>(),
        ) {
            let stops: Vec<&str> = stops.iter().map(String::as_str).collect();
            let pieces = cut(text.as_bytes(), &lengths);
            let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
            let (mut expected, stopped) = reference(text.as_bytes(), &stops);
            if trim {
                expected = expected.trim().to_owned();
            }
            prop_assert_eq!(answer(&pieces, &stops, trim), (expected, stopped));
        }

        #[test]
        fn any_bytes_give_the_text_of_a_lossy_conversion(
            bytes in prop::collection::vec(prop_oneof![any::<u8>(), 0x80_u8..0xc0, 0xe0_u8..0xf5], 0..40),
            lengths in prop::collection::vec(0_usize..4, 0..40),
        ) {
            // A character closes what may stand open at the end, where we drop and the standard
            // library replaces.
            let mut bytes = bytes;
            bytes.push(b'.');
            let pieces = cut(&bytes, &lengths);
            let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
            let (text, _) = answer(&pieces, &[], false);
            prop_assert_eq!(text, String::from_utf8_lossy(&bytes).into_owned());
        }
    }

    #[test]
    fn a_stop_string_may_span_tokens() {
        let pieces: [&[u8]; 4] = [
            "はい。\n\n##".as_bytes(),
            b"# ",
            "指".as_bytes(),
            "示:\n次".as_bytes(),
        ];
        assert_eq!(
            answer(&pieces, &["### 指示:"], true),
            ("はい。".to_owned(), true)
        );
    }

    #[test]
    fn only_what_may_become_a_stop_string_is_held() {
        let mut text = AnswerText::new(vec!["### 指示:".to_owned()], false);
        let mut push = |bytes: &[u8]| text.push(bytes).0.answer;
        assert_eq!(push(b"a # b ##"), "a # b ");
        assert_eq!(push(b"#"), "");
        // A fourth mark: three of the four may still begin the stop string.
        assert_eq!(push(b"#"), "#");
        assert_eq!(push(b"x"), "###x");
        assert_eq!(text.finish(), (Shown::default(), false));
    }

    #[test]
    fn what_was_held_is_given_at_the_end() {
        assert_eq!(
            answer(&[b"see ##", b"# "], &["### x"], false),
            ("see ### ".to_owned(), false)
        );
    }

    #[test]
    fn a_stop_string_in_thoughts_ends_nothing() {
        let marks = Marks::of("</think>", |_| false);
        let stops = vec!["stop".to_owned()];
        let mut text = AnswerText::new(stops, true).with_thoughts(marks, "…<think>\n");
        let shown = text.push(b"\n do I stop? \n</think>\n\n yes, st");
        let thought = "do I stop?".to_owned();
        let answer = "yes,".to_owned();
        assert_eq!(shown, (Shown { thought, answer }, false));
        assert_eq!(text.push(b"op now"), (Shown::default(), true));
    }

    #[test]
    fn half_a_character_is_never_shown() {
        let mut text = AnswerText::new(Vec::new(), false);
        let bytes = "燕🦜".as_bytes();
        // The generation ends within the parrot.
        let shown: Vec<_> = bytes[..6]
            .iter()
            .map(|&byte| text.push(&[byte]).0.answer)
            .collect();
        assert_eq!(shown, ["", "", "燕", "", "", ""]);
        assert_eq!(text.finish(), (Shown::default(), false));
    }
}
