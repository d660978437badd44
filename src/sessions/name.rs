//! What a chat is called: a name that every system can give a file.

use std::fmt;

use jiff::ZonedDateTime;

use super::SessionError;

/// Most characters of a name. In UTF-8 they have at most four bytes each, and with an ending
/// they stay below the 255 bytes of a file's name.
const MAX_CHARS: usize = 60;

/// Names of devices, which Windows does not give files, whatever their ending.
const DEVICES: [&str; 4] = ["con", "prn", "aux", "nul"];

/// The name of a chat.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SessionName(String);

impl SessionName {
    /// Checks a name.
    ///
    /// # Errors
    /// Where it cannot be the name of a file everywhere, or looks like an option or a hidden file.
    pub fn new(name: &str) -> Result<Self, SessionError> {
        match wrong_with(name) {
            None => Ok(Self(name.to_owned())),
            Some(reason) => Err(SessionError::Name {
                name: name
                    .chars()
                    .flat_map(char::escape_debug)
                    .take(2 * MAX_CHARS)
                    .collect(),
                reason,
            }),
        }
    }

    /// The name of a chat that nobody named: when it began; of several in a minute the `nth`, from 1.
    pub(super) fn by_time(when: &ZonedDateTime, nth: u32) -> Self {
        let minute = when.strftime("%Y-%m-%d-%H%M");
        Self(match nth {
            1 => minute.to_string(),
            _ => format!("{minute}-{nth}"),
        })
    }

    /// Whether nobody chose it.
    pub(super) fn is_by_time(&self) -> bool {
        let digits = self
            .0
            .chars()
            .map(|c| if c.is_ascii_digit() { '0' } else { c });
        digits.collect::<String>().starts_with("0000-00-00-0000")
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SessionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn wrong_with(name: &str) -> Option<&'static str> {
    let stem = name.split('.').next().unwrap_or_default().to_lowercase();
    let numbered = ["com", "lpt"].iter().any(|port| {
        let number = stem.strip_prefix(port);
        number.is_some_and(|n| n.len() == 1 && n.as_bytes()[0].is_ascii_digit())
    });
    let separates = |c: char| matches!(c, '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|');
    match name {
        "" => Some("expected a name that is not empty"),
        _ if name.chars().count() > MAX_CHARS => Some("expected at most 60 characters"),
        _ if name.contains(separates) => Some("expected none of / \\ : * ? \" < > |"),
        _ if name.contains(char::is_control) => Some("expected no control characters"),
        _ if name.starts_with(['.', '-']) => Some("expected another beginning than `.` or `-`"),
        _ if name != name.trim() => Some("expected no blank at its beginning or end"),
        _ if name.ends_with('.') => Some("expected another end than `.`"),
        _ if numbered || DEVICES.contains(&stem.as_str()) => {
            Some("it is the name of a device on Windows")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in [
            "trip",
            "旅行 2026",
            "v1.2",
            "a.jsonl",
            "console",
            "com10",
            "2026-11-26-0930",
        ] {
            assert!(SessionName::new(good).is_ok(), "{good}");
        }
        let long = "長".repeat(61);
        let bad = [
            "",
            ".",
            "..",
            "../x",
            "a/b",
            "a\\b",
            "c:",
            "-p",
            ".hidden",
            " a",
            "a ",
            "a.",
            "a\nb",
            "\u{1b}[2J",
            "CON",
            "nul.txt",
            "com1",
            "LPT9.x",
            &long,
            "a\u{3000}",
        ];
        for name in bad {
            let error = SessionName::new(name).unwrap_err().to_string();
            assert!(error.starts_with("a chat cannot be called `"), "{error}");
            assert!(!error.contains(char::is_control), "{error:?}");
        }
    }

    #[test]
    fn names_by_time_are_in_the_order_of_time() {
        let when: ZonedDateTime = "2026-11-26T09:30:59+09:00[Asia/Tokyo]".parse().unwrap();
        let names = [1, 2, 3].map(|nth| SessionName::by_time(&when, nth));
        assert_eq!(names[0].as_str(), "2026-11-26-0930");
        assert_eq!(names[1].as_str(), "2026-11-26-0930-2");
        assert!(names.is_sorted());
        assert!(names.iter().all(|name| name.is_by_time()));
        for name in names {
            assert!(SessionName::new(name.as_str()).is_ok());
        }
        assert!(!SessionName::new("2026 in short").unwrap().is_by_time());
    }
}
