//! From the bytes of tokens to text that may be shown.
//!
//! Three small filters, each fed piece by piece, each giving the same text however the pieces are
//! cut: [`Utf8Buffer`] keeps half a character back, [`StopFilter`] keeps back what may still
//! become a stop string, [`Trimmer`] keeps back white space that may be the last.
//! [`AnswerText`] is the three in a row.

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

/// Looks for stop strings in text that comes in pieces.
///
/// The text ends before the first stop string that is *complete*; where several are complete at
/// the same character, before the longest of them.
#[derive(Debug)]
struct StopFilter {
    stops: Vec<String>,
    /// Text not given out yet because a stop string may begin in it.
    held: String,
}

impl StopFilter {
    fn new(stops: Vec<String>) -> Self {
        let stops = stops.into_iter().filter(|stop| !stop.is_empty()).collect();
        Self {
            stops,
            held: String::new(),
        }
    }

    /// Appends to `text` what is certain to lie before any stop string. True where a stop string
    /// is complete: nothing may be pushed after that.
    fn push(&mut self, piece: &str, text: &mut String) -> bool {
        for character in piece.chars() {
            self.held.push(character);
            let complete = self.stops.iter().filter(|stop| self.held.ends_with(*stop));
            if let Some(stop) = complete.max_by_key(|stop| stop.len()) {
                let before = self.held.len() - stop.len();
                text.push_str(&self.held[..before]);
                self.held.clear();
                return true;
            }
            let certain = self.held.len() - self.may_become_stop();
            text.extend(self.held.drain(..certain));
        }
        false
    }

    /// Length of the longest end of `held` that is the beginning of a stop string.
    fn may_become_stop(&self) -> usize {
        let starts = self.held.char_indices().map(|(start, _)| start);
        starts
            .map(|start| &self.held[start..])
            .find(|end| self.stops.iter().any(|stop| stop.starts_with(end)))
            .map_or(0, str::len)
    }

    /// The generation is over, so what was held is no stop string.
    fn finish(&mut self, text: &mut String) {
        text.push_str(&self.held);
        self.held.clear();
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

/// The text of one answer, made of the bytes of its tokens.
#[derive(Debug)]
pub(super) struct AnswerText {
    utf8: Utf8Buffer,
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
            stop: StopFilter::new(stops),
            trimmer: trim.then(Trimmer::default),
        }
    }

    /// Takes the bytes of a token. Returns the text that may be shown now, and whether a stop
    /// string has ended the answer.
    pub(super) fn push(&mut self, bytes: &[u8]) -> (String, bool) {
        let mut characters = String::new();
        self.utf8.push(bytes, &mut characters);
        let mut unstopped = String::new();
        let stopped = self.stop.push(&characters, &mut unstopped);
        (self.trim(unstopped), stopped)
    }

    /// What was still held when the generation ended for another reason than a stop string. Half
    /// a character is dropped.
    pub(super) fn finish(&mut self) -> String {
        let mut held = String::new();
        self.stop.finish(&mut held);
        self.trim(held)
    }

    fn trim(&mut self, text: String) -> String {
        match &mut self.trimmer {
            None => text,
            Some(trimmer) => {
                let mut trimmed = String::new();
                trimmer.push(&text, &mut trimmed);
                trimmed
            }
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
            all += &shown;
            if stopped {
                return (all, true);
            }
        }
        (all + &text.finish(), false)
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
        assert_eq!(text.push(b"a # b ##"), ("a # b ".to_owned(), false));
        assert_eq!(text.push(b"#"), (String::new(), false));
        // A fourth mark: three of the four may still begin the stop string.
        assert_eq!(text.push(b"#"), ("#".to_owned(), false));
        assert_eq!(text.push(b"x"), ("###x".to_owned(), false));
        assert_eq!(text.finish(), "");
    }

    #[test]
    fn what_was_held_is_given_at_the_end() {
        assert_eq!(
            answer(&[b"see ##", b"# "], &["### x"], false),
            ("see ### ".to_owned(), false)
        );
    }

    #[test]
    fn half_a_character_is_never_shown() {
        let mut text = AnswerText::new(Vec::new(), false);
        let bytes = "燕🦜".as_bytes();
        for byte in &bytes[..2] {
            assert_eq!(text.push(&[*byte]), (String::new(), false));
        }
        assert_eq!(text.push(&bytes[2..3]), ("燕".to_owned(), false));
        for byte in &bytes[3..6] {
            assert_eq!(text.push(&[*byte]), (String::new(), false));
        }
        // The generation ends within the parrot.
        assert_eq!(text.finish(), "");
    }
}
