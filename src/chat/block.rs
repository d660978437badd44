//! A message of several lines: between `"""` and `"""`, or with a `\` at the end of each line but the
//! last.

/// What marks the beginning and the end of a block.
const QUOTES: &str = "\"\"\"";

/// What was typed, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Input {
    /// The message or the command.
    pub(super) text: String,
    /// It stood between quotes, so that it is no command.
    pub(super) quoted: bool,
    /// What the history keeps: given back at once it is the same input.
    pub(super) typed: String,
}

/// A message as far as it is typed.
#[derive(Debug, Default)]
pub(super) enum Block {
    /// Nothing is typed yet.
    #[default]
    Empty,
    /// Lines that are gone on with.
    Continued(String),
    /// Lines after an opening quote; before it a command and a space, or nothing.
    Quoted { command: String, text: String },
}

impl Block {
    /// Whether more lines are wanted.
    pub(super) fn is_open(&self) -> bool {
        !matches!(self, Self::Empty)
    }

    /// Takes what was typed up to a line end; a paste may have several lines. Gives the message where
    /// it is whole.
    pub(super) fn push(&mut self, typed: &str) -> Option<Input> {
        match std::mem::take(self) {
            Self::Empty => match opening(typed) {
                Some((command, rest)) if is_closed(rest) => Some(quoted(command, rest)),
                // Closed before its last line: a text that only begins with a quote.
                Some((_, rest)) if rest.lines().any(is_closed) => Some(plain(typed.to_owned())),
                Some((command, rest)) => {
                    *self = Self::Quoted {
                        command: command.to_owned(),
                        text: rest.to_owned(),
                    };
                    None
                }
                None => self.go_on(String::new(), typed),
            },
            Self::Continued(before) => self.go_on(before, typed),
            Self::Quoted { command, text } => {
                let text = text + "\n" + typed;
                if is_closed(typed) {
                    return Some(quoted(&command, &text));
                }
                *self = Self::Quoted { command, text };
                None
            }
        }
    }

    /// A line that may end with a `\`; two are one that is meant.
    fn go_on(&mut self, before: String, typed: &str) -> Option<Input> {
        let text = typed.trim_end_matches('\\');
        match (typed.len() - text.len()) % 2 {
            1 => {
                *self = Self::Continued(before + &typed[..typed.len() - 1] + "\n");
                None
            }
            _ => Some(plain(before + typed)),
        }
    }
}

fn plain(text: String) -> Input {
    Input {
        typed: text.clone(),
        text,
        quoted: false,
    }
}

/// The input of a block whose closing quote is the last of `text`.
fn quoted(command: &str, text: &str) -> Input {
    let inner = text.trim_end();
    let inner = inner.strip_suffix(QUOTES).unwrap_or(inner);
    let inner = inner.strip_prefix('\n').unwrap_or(inner);
    let inner = inner.strip_suffix('\n').unwrap_or(inner);
    Input {
        text: command.to_owned() + inner,
        quoted: command.is_empty(),
        typed: format!("{command}{QUOTES}{text}"),
    }
}

/// What stands before and after an opening quote, where `typed` has one: at its beginning, or after a
/// command.
fn opening(typed: &str) -> Option<(&str, &str)> {
    let (before, rest) = typed.split_once(QUOTES)?;
    let word = before.trim();
    let is_command = word.starts_with('/') && !word.contains(char::is_whitespace);
    (word.is_empty() || is_command && before.ends_with(char::is_whitespace))
        .then_some((before.trim_start(), rest))
}

fn is_closed(rest: &str) -> bool {
    rest.trim_end().ends_with(QUOTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The input that these lines are, and how many of them it took.
    fn typed(lines: &[&str]) -> (Option<Input>, usize) {
        let mut block = Block::default();
        for (i, line) in lines.iter().enumerate() {
            assert_eq!(block.is_open(), i > 0, "{line}");
            if let Some(input) = block.push(line) {
                assert!(!block.is_open());
                // The history gives the same again.
                assert_eq!(Block::default().push(&input.typed), Some(input.clone()));
                return (Some(input), i + 1);
            }
        }
        assert!(block.is_open());
        (None, lines.len())
    }

    fn text(lines: &[&str]) -> (String, bool) {
        let (input, taken) = typed(lines);
        assert_eq!(taken, lines.len());
        let input = input.unwrap();
        (input.text, input.quoted)
    }

    fn plain(text: &str) -> (String, bool) {
        (text.to_owned(), false)
    }

    fn quoted(text: &str) -> (String, bool) {
        (text.to_owned(), true)
    }

    #[test]
    fn lines_between_quotes() {
        assert_eq!(
            text(&["\"\"\"", "a", "", " b", "\"\"\""]),
            quoted("a\n\n b")
        );
        assert_eq!(text(&["\"\"\"a", "b\"\"\" "]), quoted("a\nb"));
        assert_eq!(text(&["\"\"\"a\"\"\""]), quoted("a"));
        assert_eq!(text(&["\"\"\"\"\"\""]), quoted(""));
        assert_eq!(text(&["\"\"\"", "/quit", "\"\"\""]), quoted("/quit"));
        assert_eq!(text(&["\"\"\"", "a \\", "\"\"\""]), quoted("a \\"));
        assert_eq!(
            text(&["/system \"\"\"", "短く", "答えて", "\"\"\""]),
            plain("/system 短く\n答えて")
        );
        assert_eq!(typed(&["\"\"\"", "a"]), (None, 2));
    }

    #[test]
    fn lines_that_go_on() {
        assert_eq!(text(&["a \\", "b\\", "",]), plain("a \nb\n"));
        assert_eq!(text(&["\\", "a"]), plain("\na"));
        assert_eq!(text(&["a\\\\"]), plain("a\\\\"));
        assert_eq!(text(&["a\\\\\\", "b"]), plain("a\\\\\nb"));
        // What is pasted at once stays as it is.
        assert_eq!(text(&["make \\\n  all"]), plain("make \\\n  all"));
    }

    #[test]
    fn what_is_no_block() {
        for line in ["", "a", "say \"\"\" now", "1 + 1 \"\"\"", "/etc/x\"\"\""] {
            assert_eq!(text(&[line]), plain(line));
        }
        let code = "\"\"\"What it does.\"\"\"\nx = 1";
        assert_eq!(text(&[code]), plain(code));
        let pasted = "\"\"\"\na\nb\n\"\"\"";
        assert_eq!(text(&[pasted]), quoted("a\nb"));
    }
}
