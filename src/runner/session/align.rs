//! The tokens of a prompt, as the context has them already.
//!
//! A model may write a text in other tokens than the vocabulary's own reading of it, and answers are
//! trimmed. Read anew, the prompt of the next question would differ from what is held at the first such
//! place, and all that follows would be evaluated again. So where both are the same text up to a place
//! that both have a boundary at, the held tokens stand for it. Texts decide: nothing else is reused, and
//! what is new is read as the vocabulary reads the whole prompt.

/// A token's text, and whether it can only be itself (`<|im_end|>`), whatever text looks like it.
pub(super) struct Piece {
    pub(super) bytes: Vec<u8>,
    pub(super) only_itself: bool,
}

/// `prompt` in the tokens of `held`, as far as both are the same text.
pub(super) fn aligned<T: Copy + PartialEq>(
    held: &[T],
    prompt: Vec<T>,
    piece: impl Fn(T) -> Piece,
) -> Vec<T> {
    let same = held.iter().zip(&prompt).take_while(|(a, b)| a == b).count();
    let mut at = (same, same);
    while let Some(next) = next_boundary(&held[at.0..], &prompt[at.1..], &piece) {
        at = (at.0 + next.0, at.1 + next.1);
    }
    if at.0 == same {
        return prompt;
    }
    [&held[..at.0], &prompt[at.1..]].concat()
}

/// How many tokens of each are the next text that ends with a token of both. `None` where there is
/// no such text.
fn next_boundary<T: Copy + PartialEq>(
    a: &[T],
    b: &[T],
    piece: &impl Fn(T) -> Piece,
) -> Option<(usize, usize)> {
    if a.first()? == b.first()? {
        return Some((1, 1));
    }
    let (mut text_a, mut text_b) = (Vec::new(), Vec::new());
    let (mut taken_a, mut taken_b) = (0, 0);
    loop {
        let shorter_is_a = text_a.len() <= text_b.len();
        let (text, taken, tokens) = match shorter_is_a {
            true => (&mut text_a, &mut taken_a, a),
            false => (&mut text_b, &mut taken_b, b),
        };
        let next = piece(*tokens.get(*taken)?);
        if next.only_itself {
            return None;
        }
        text.extend(next.bytes);
        *taken += 1;
        let both = text_a.len().min(text_b.len());
        if text_a[..both] != text_b[..both] {
            return None;
        }
        if both > 0 && text_a.len() == text_b.len() {
            return Some((taken_a, taken_b));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Tokens are their texts; those in angle brackets are only themselves.
    fn align<'t>(held: &[&'t str], prompt: &[&'t str]) -> Vec<&'t str> {
        aligned(held, prompt.to_vec(), |token| Piece {
            bytes: token.as_bytes().to_vec(),
            only_itself: token.starts_with('<'),
        })
    }

    #[test]
    fn the_same_text_in_other_tokens_is_what_is_held() {
        let held = ["<s>", "un", "do", "ing", " it"];
        let prompt = ["<s>", "undo", "ing", " it", "<e>", "next"];
        let expected = ["<s>", "un", "do", "ing", " it", "<e>", "next"];
        assert_eq!(align(&held, &prompt), expected);
        // Twice, with the same token between.
        let held = ["a", "b", "=", "c", "d"];
        assert_eq!(
            align(&held, &["ab", "=", "cd", "!"]),
            ["a", "b", "=", "c", "d", "!"]
        );
    }

    #[test]
    fn another_text_is_not() {
        let prompt = ["<s>", "undo", "!"];
        assert_eq!(
            align(&["<s>", "un", "do", "?"], &prompt),
            ["<s>", "un", "do", "!"]
        );
        assert_eq!(align(&["<s>", "un", "ti"], &prompt), prompt);
        assert_eq!(align(&[], &prompt), prompt);
        assert_eq!(align(&prompt, &[]), [""; 0]);
    }

    #[test]
    fn a_text_that_ends_within_a_token_is_read_as_the_prompt_has_it() {
        // The answer was trimmed within its last token.
        assert_eq!(
            align(&["it", ".  "], &["it", ".", "<e>"]),
            ["it", ".", "<e>"]
        );
        assert_eq!(align(&["i", "t", "."], &["it", ".x"]), ["i", "t", ".x"]);
    }

    #[test]
    fn text_that_looks_like_a_mark_is_not_the_mark() {
        let prompt = ["a", "<e>", "b"];
        assert_eq!(align(&["a", "{e", ">", "b"], &prompt), prompt);
        assert_eq!(align(&["a", "<", "e>"], &["a", "<e>"]), ["a", "<e>"]);
    }

    proptest! {
        /// Whatever is held, the text stays the prompt's.
        #[test]
        fn the_text_stays(
            held in prop::collection::vec(prop::sample::select(vec!["a", "b", "ab", "ba", ""]), 0..20),
            prompt in prop::collection::vec(prop::sample::select(vec!["a", "b", "ab", "aab", ""]), 0..20),
        ) {
            let aligned = align(&held, &prompt);
            prop_assert_eq!(aligned.concat(), prompt.concat());
        }
    }
}
