//! Small files as they come: one reader for every text and JSON file, which says what a file is
//! where it is not what it should be.
//!
//! A byte-order mark is passed over, and `NaN`, `Infinity` and `-Infinity` are read, which Python
//! writes into JSON and the format does not know: each becomes a string, so that a key that matters
//! is refused by name and one that does not is none of our concern.

use std::{
    borrow::Cow,
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use serde::de::DeserializeOwned;
use serde_json::error::Category;

use crate::{file_kind::FileKind, gguf::escape};

/// What is wrong with a file, whatever it should hold. The text goes after the file's name.
#[derive(Debug, thiserror::Error)]
pub enum FileProblem {
    /// The operating system does not give it.
    #[error("{}", not_read(.0))]
    Read(io::Error),
    /// A link whose end is not there.
    #[error("it is a link to `{}`, which is not there", .0.display())]
    DanglingLink(PathBuf),
    /// A folder, a pipe or the like.
    #[error("it is {0}, expected a file")]
    NotAFile(&'static str),
    /// Larger than any such file is.
    #[error("it has {found} bytes, expected at most {limit}")]
    TooLarge {
        /// Its size.
        found: u64,
        /// The most we read.
        limit: u64,
    },
    /// Nothing is in it.
    #[error("it is empty; download it again")]
    Empty,
    /// It is something else.
    #[error("{0}")]
    Kind(FileKind),
    /// Text, but not in UTF-8; the encoding's name.
    #[error("it is text in {0}, expected UTF-8; save it as UTF-8")]
    Encoding(&'static str),
    /// Not text.
    #[error("it is not UTF-8 at byte {offset}; save it as UTF-8")]
    Utf8 {
        /// Where it stops being UTF-8.
        offset: usize,
    },
    /// Not even the beginning is JSON.
    #[error("expected JSON, found `{begins}`")]
    NotJson {
        /// How it begins, escaped.
        begins: String,
    },
    /// JSON that is broken, or of another shape.
    #[error("{}", not_as_meant(.0))]
    Json(serde_json::Error),
}

fn not_as_meant(error: &serde_json::Error) -> String {
    match error.classify() {
        Category::Eof => format!("broken JSON: {error}; download it again"),
        Category::Data => format!("JSON of another shape: {error}"),
        Category::Syntax | Category::Io => format!("broken JSON: {error}"),
    }
}

fn not_read(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".into(),
        _ => format!("reading failed: {error}"),
    }
}

impl FileProblem {
    /// What the operating system says of `path`, and what else can be found out.
    pub(crate) fn io(path: &Path, error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::NotFound
            && let Ok(target) = fs::read_link(path)
        {
            return Self::DanglingLink(target);
        }
        Self::Read(error)
    }
}

/// The file, open for reading; `None` where there is none.
///
/// # Errors
/// When the operating system does not give it, or it is no file.
pub(crate) fn open(path: &Path) -> Result<Option<File>, FileProblem> {
    // Asked before it is opened: opening a pipe waits for the other end.
    let opened = fs::metadata(path).and_then(|metadata| match metadata.is_file() {
        true => File::open(path).map(Ok),
        false if metadata.is_dir() => Ok(Err(FileProblem::NotAFile("a folder"))),
        false => Ok(Err(FileProblem::NotAFile("a pipe or a device"))),
    });
    match opened {
        Ok(file) => file.map(Some),
        Err(error) => match FileProblem::io(path, error) {
            FileProblem::Read(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            problem => Err(problem),
        },
    }
}

/// The whole file; `None` where there is none.
///
/// # Errors
/// When it cannot be read, has more than `limit` bytes, or is something else entirely.
pub(crate) fn read(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, FileProblem> {
    match open(path)? {
        Some(file) => whole(file, limit).map(Some),
        None => Ok(None),
    }
}

/// As [`read_text`], of a file that the user names, which may be a pipe.
///
/// # Errors
/// As [`read_text`].
pub(crate) fn read_named_text(path: &Path, limit: u64) -> Result<Option<String>, FileProblem> {
    let is_pipe = |metadata: fs::Metadata| !metadata.is_file() && !metadata.is_dir();
    if !fs::metadata(path).is_ok_and(is_pipe) {
        return read_text(path, limit);
    }
    let file = File::open(path).map_err(FileProblem::Read)?;
    Ok(Some(text(&whole(file, limit)?)?.to_owned()))
}

/// The first `limit` bytes of a file; `None` where there is none.
///
/// # Errors
/// When it cannot be read or is something else entirely.
pub(crate) fn read_beginning(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, FileProblem> {
    match open(path)? {
        Some(file) => bytes_of(file, limit).map(Some),
        None => Ok(None),
    }
}

fn whole(file: File, limit: u64) -> Result<Vec<u8>, FileProblem> {
    let too_large = |found| FileProblem::TooLarge { found, limit };
    let len = file.metadata().map_err(FileProblem::Read)?.len();
    if len > limit {
        return Err(too_large(len));
    }
    // One more, for a pipe does not know its length.
    let bytes = bytes_of(file, limit.saturating_add(1))?;
    match bytes.len() as u64 {
        found if found > limit => Err(too_large(found)),
        _ => Ok(bytes),
    }
}

/// At most `limit` bytes of a file, unless they are of another kind of file than ours.
fn bytes_of(file: File, limit: u64) -> Result<Vec<u8>, FileProblem> {
    let mut bytes = Vec::new();
    let mut file = file.take(limit);
    file.read_to_end(&mut bytes).map_err(FileProblem::Read)?;
    match FileKind::recognize(&bytes) {
        Some(kind) => Err(FileProblem::Kind(kind)),
        None => Ok(bytes),
    }
}

/// The text that `bytes` are, without a byte-order mark.
///
/// # Errors
/// When they are none, or not in UTF-8.
pub(crate) fn text(bytes: &[u8]) -> Result<&str, FileProblem> {
    if let Some(encoding) = other_encoding(bytes) {
        return Err(FileProblem::Encoding(encoding));
    }
    let rest = without_mark(bytes);
    std::str::from_utf8(rest).map_err(|error| FileProblem::Utf8 {
        offset: bytes.len() - rest.len() + error.valid_up_to(),
    })
}

/// As [`text`], with a sign in the place of what is not UTF-8.
///
/// # Errors
/// When the whole is in another encoding.
pub(crate) fn lossy_text(bytes: &[u8]) -> Result<Cow<'_, str>, FileProblem> {
    match text(bytes) {
        Ok(text) => Ok(text.into()),
        Err(FileProblem::Utf8 { .. }) => Ok(String::from_utf8_lossy(without_mark(bytes))),
        Err(problem) => Err(problem),
    }
}

fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

/// What `bytes` are as JSON.
///
/// # Errors
/// When they are not text, not JSON, or not of the shape of `T`.
pub(crate) fn json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, FileProblem> {
    let text = text(bytes)?;
    if text.trim_ascii().is_empty() {
        return Err(FileProblem::Empty);
    }
    let parsed = serde_json::from_str(text).or_else(|error| match quote_non_numbers(text) {
        Some(quoted) => serde_json::from_str(&quoted),
        None => Err(error),
    });
    parsed.map_err(|error| match text.trim_ascii_start().chars().next() {
        Some('{' | '[') => FileProblem::Json(error),
        _ => FileProblem::NotJson {
            begins: beginning(text),
        },
    })
}

/// The file as text; `None` where there is none.
///
/// # Errors
/// As [`read`] and [`text`].
pub(crate) fn read_text(path: &Path, limit: u64) -> Result<Option<String>, FileProblem> {
    match read(path, limit)? {
        Some(bytes) => Ok(Some(text(&bytes)?.to_owned())),
        None => Ok(None),
    }
}

/// The file as JSON; `None` where there is none.
///
/// # Errors
/// As [`read`] and [`json`].
pub(crate) fn read_json<T: DeserializeOwned>(
    path: &Path,
    limit: u64,
) -> Result<Option<T>, FileProblem> {
    read(path, limit)?.map(|bytes| json(&bytes)).transpose()
}

/// The name of the encoding that is not UTF-8, by a byte-order mark or by where the zeros are in the
/// first two characters, which are ASCII in all that we read.
fn other_encoding(bytes: &[u8]) -> Option<&'static str> {
    match *bytes {
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] => Some("UTF-32"),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Some("UTF-16"),
        [0, 0, 0, 1..=255, ..] | [1..=255, 0, 0, 0, ..] => Some("UTF-32"),
        [0, 1..=255, 0, 1..=255, ..] | [1..=255, 0, 1..=255, 0, ..] => Some("UTF-16"),
        _ => None,
    }
}

/// How a text begins, for a message.
fn beginning(text: &str) -> String {
    let line = text.trim_start().lines().next().unwrap_or_default();
    let begins: String = line.chars().take(40).collect();
    let dots = if begins.len() < line.len() { "…" } else { "" };
    escape(begins.as_bytes()) + dots
}

/// JSON in which `NaN`, `Infinity` and `-Infinity` are strings; `None` where there are none.
fn quote_non_numbers(text: &str) -> Option<String> {
    const WORDS: [&str; 3] = ["NaN", "-Infinity", "Infinity"];
    let bytes = text.as_bytes();
    let mut out = String::new();
    let (mut done, mut at, mut in_string) = (0, 0, false);
    while at < bytes.len() {
        match (bytes[at], in_string) {
            (b'"', _) => in_string = !in_string,
            (b'\\', true) => at += 1,
            (b'N' | b'I' | b'-', false) => {
                if let Some(word) = WORDS.iter().find(|w| bytes[at..].starts_with(w.as_bytes())) {
                    out += &text[done..at];
                    out.extend(["\"", *word, "\""]);
                    at += word.len();
                    done = at;
                    continue;
                }
            }
            _ => {}
        }
        at += 1;
    }
    (done > 0).then(|| out + &text[done..])
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn parsed(bytes: &[u8]) -> Result<Value, String> {
        json::<Value>(bytes).map_err(|problem| problem.to_string())
    }

    fn encoded(text: &str, width: usize, big: bool, mark: bool) -> Vec<u8> {
        let mark = if mark { "\u{feff}" } else { "" };
        let chars = mark.chars().chain(text.chars());
        chars
            .flat_map(|c| {
                let mut bytes = (c as u32).to_be_bytes()[4 - width..].to_vec();
                if !big {
                    bytes.reverse();
                }
                bytes
            })
            .collect()
    }

    #[test]
    fn a_byte_order_mark_is_passed_over_and_other_encodings_are_named() {
        assert_eq!(parsed(b"\xef\xbb\xbf{\"a\": 1}"), Ok(json!({"a": 1})));
        for (width, name) in [(2, "UTF-16"), (4, "UTF-32")] {
            for big in [false, true] {
                for mark in [false, true] {
                    let bytes = encoded("{\"a\": 1}", width, big, mark);
                    let error = parsed(&bytes).unwrap_err();
                    let expected =
                        format!("it is text in {name}, expected UTF-8; save it as UTF-8");
                    assert_eq!(error, expected, "{big} {mark}");
                }
            }
        }
        let error = text(b"\xef\xbb\xbfab\xe9").unwrap_err();
        assert_eq!(
            error.to_string(),
            "it is not UTF-8 at byte 5; save it as UTF-8"
        );
    }

    #[test]
    fn numbers_that_only_python_writes_are_strings() {
        let value = parsed(
            br#"{"a": NaN, "b": [-Infinity,Infinity], "c": "NaN \" Infinity", "NaN": -1, "n": 1000000000000000019884624838656}"#,
        )
        .unwrap();
        let expected = json!({
            "a": "NaN",
            "b": ["-Infinity", "Infinity"],
            "c": "NaN \" Infinity",
            "NaN": -1,
            "n": 1000000000000000019884624838656.0,
        });
        assert_eq!(value, expected);
    }

    #[test]
    fn what_is_no_json_is_shown() {
        for (bytes, expected) in [
            (&b""[..], "it is empty; download it again"),
            (b"\xef\xbb\xbf \n", "it is empty; download it again"),
            (b"Entry not found", "expected JSON, found `Entry not found`"),
            (
                b"Access to model x/y is restricted. You must be authenticated\nmore",
                "expected JSON, found `Access to model x/y is restricted. You m…`",
            ),
            (
                b"{",
                "broken JSON: EOF while parsing an object at line 1 column 1; download it again",
            ),
            (
                b"{\"a\": NaN, \"b\": nan}",
                "broken JSON: expected ident at line 1 column 20",
            ),
        ] {
            assert_eq!(parsed(bytes).unwrap_err(), expected);
        }
    }

    #[test]
    fn a_file_says_what_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        let said = |limit| match read(&path, limit) {
            Ok(bytes) => format!("{bytes:?}"),
            Err(problem) => problem.to_string(),
        };
        assert_eq!(said(9), "None");
        fs::write(&path, b"12345").unwrap();
        assert_eq!(said(4), "it has 5 bytes, expected at most 4");
        assert_eq!(said(5), "Some([49, 50, 51, 52, 53])");
        fs::write(&path, b"<!doctype html>").unwrap();
        assert!(said(99).starts_with("it is a web page"));
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert_eq!(said(9), "it is a folder, expected a file");
    }

    #[cfg(unix)]
    #[test]
    fn a_link_that_points_nowhere_is_no_missing_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        std::os::unix::fs::symlink("../blobs/4d", &path).unwrap();
        let error = read(&path, 9).unwrap_err();
        assert_eq!(
            error.to_string(),
            "it is a link to `../blobs/4d`, which is not there"
        );
    }
}
