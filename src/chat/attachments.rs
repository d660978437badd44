//! Text files that go into the next question.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::markdown::fence_for;
use crate::file_kind::FileKind;
use crate::nearest;
use crate::source::text_file::{self, FileProblem};

/// The largest file, in bytes: more than the context of any model takes.
const MAX_FILE: u64 = 8 << 20;

/// Why a file cannot be put into a question.
#[derive(Debug, thiserror::Error)]
pub(super) enum AttachError {
    /// It is not there.
    #[error("`{}`: there is no such file{}", path.display(), near.as_ref().map(|near| format!("; is `{near}` meant?")).unwrap_or_default())]
    Missing { path: PathBuf, near: Option<String> },
    /// It cannot be read, or is something else.
    #[error("`{}`: {problem}", path.display())]
    Problem { path: PathBuf, problem: FileProblem },
    /// It is no text.
    #[error("`{}`: it is not text, expected a text file", path.display())]
    NotText { path: PathBuf },
    /// Nothing is in it.
    #[error("`{}`: it is empty", path.display())]
    Empty { path: PathBuf },
    /// It is longer than the context.
    #[error("`{}` has {tokens} tokens, and the context only room for {room}; `-c` makes it larger", path.display())]
    TooLong {
        path: PathBuf,
        tokens: usize,
        room: usize,
    },
}

/// A file that was read.
#[derive(Debug)]
struct Attachment {
    name: String,
    text: String,
    tokens: usize,
}

/// The files that wait for a question.
#[derive(Debug, Default)]
pub(super) struct Attachments(Vec<Attachment>);

impl Attachments {
    /// Reads the file at `path`, which takes its place after those before it. Gives its tokens, of which
    /// there is `room` for.
    pub(super) fn add(
        &mut self,
        path: &Path,
        room: usize,
        count_tokens: impl Fn(&str) -> usize,
    ) -> Result<usize, AttachError> {
        let text = read(path)?;
        let tokens = count_tokens(&text);
        let before: usize = self.0.iter().map(|file| file.tokens).sum();
        if before + tokens >= room {
            return Err(AttachError::TooLong {
                path: path.to_owned(),
                tokens,
                room: room.saturating_sub(before),
            });
        }
        let name = path.file_name().unwrap_or(path.as_os_str());
        let name = name.to_string_lossy().into_owned();
        self.0.push(Attachment { name, text, tokens });
        Ok(tokens)
    }

    /// The names of the files, and their tokens.
    pub(super) fn list(&self) -> impl Iterator<Item = (&str, usize)> {
        self.0.iter().map(|file| (file.name.as_str(), file.tokens))
    }

    /// Forgets all of them.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// `question` behind the files.
    pub(super) fn with(&self, question: &str) -> String {
        let mut whole = String::new();
        for Attachment { name, text, .. } in &self.0 {
            let fence = fence_for(text);
            let end = if text.ends_with('\n') { "" } else { "\n" };
            whole += &format!("`{name}`:\n\n{fence}\n{text}{end}{fence}\n\n");
        }
        whole + question
    }
}

/// The text in the file at `path`: UTF-8, or UTF-16 that says so at its beginning.
fn read(path: &Path) -> Result<String, AttachError> {
    let problem = |problem| AttachError::Problem {
        path: path.to_owned(),
        problem,
    };
    let Some(file) = text_file::open(path).map_err(problem)? else {
        let folder = path.parent().unwrap_or(Path::new(""));
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy())
            .unwrap_or_default();
        return Err(AttachError::Missing {
            path: path.to_owned(),
            near: nearest::in_folder(folder, &name, Path::is_file),
        });
    };
    let mut bytes = Vec::new();
    // One more, for a file may grow.
    file.take(MAX_FILE + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| problem(FileProblem::Read(error)))?;
    if bytes.len() as u64 > MAX_FILE {
        let found = fs::metadata(path).map_or(bytes.len() as u64, |metadata| metadata.len());
        return Err(problem(FileProblem::TooLarge {
            found,
            limit: MAX_FILE,
        }));
    }
    match FileKind::recognize(&bytes) {
        // They are text, and what is in them may be asked about.
        None | Some(FileKind::Html | FileKind::Xml) => {}
        Some(kind) => return Err(problem(FileProblem::Kind(kind))),
    }
    let text = match utf16(&bytes) {
        Some(text) => text.ok_or_else(|| AttachError::NotText {
            path: path.to_owned(),
        })?,
        None => text_file::text(&bytes).map_err(problem)?.to_owned(),
    };
    if text.trim().is_empty() {
        return Err(AttachError::Empty {
            path: path.to_owned(),
        });
    }
    if text.contains('\0') {
        return Err(AttachError::NotText {
            path: path.to_owned(),
        });
    }
    Ok(text)
}

/// The text of bytes that begin with the mark of UTF-16; the inner `None` where they are no text.
fn utf16(bytes: &[u8]) -> Option<Option<String>> {
    let from_bytes = match bytes {
        // UTF-32 begins likewise.
        [0xff, 0xfe, 0, 0, ..] => return None,
        [0xff, 0xfe, ..] => u16::from_le_bytes,
        [0xfe, 0xff, ..] => u16::from_be_bytes,
        _ => return None,
    };
    let (units, rest) = bytes[2..].as_chunks();
    let units: Vec<u16> = units.iter().map(|&unit| from_bytes(unit)).collect();
    Some(String::from_utf16(&units).ok().filter(|_| rest.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(files: &mut Attachments, path: &Path) -> Result<usize, String> {
        let count = |text: &str| text.chars().count();
        files.add(path, 100, count).map_err(|error| {
            let dir = path.parent().unwrap().display().to_string();
            error.to_string().replace(&dir, "DIR")
        })
    }

    #[test]
    fn files_stand_before_the_question() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, bytes: &[u8]| {
            let path = dir.path().join(name);
            fs::write(&path, bytes).unwrap();
            path
        };
        let mut files = Attachments::default();
        assert_eq!(files.with("あ?"), "あ?");
        let utf16 = |text: &str, big: bool| -> Vec<u8> {
            let units = "\u{feff}".encode_utf16().chain(text.encode_utf16());
            let bytes = |unit: u16| {
                if big {
                    unit.to_be_bytes()
                } else {
                    unit.to_le_bytes()
                }
            };
            units.flat_map(bytes).collect()
        };
        assert_eq!(
            add(&mut files, &file("メモ 1.txt", "燕\n".as_bytes())),
            Ok(2)
        );
        assert_eq!(
            add(&mut files, &file("b.md", &utf16("```\nx\n```", false))),
            Ok(9)
        );
        assert_eq!(
            add(&mut files, &file("c.html", &utf16("<html>🦜", true))),
            Ok(7)
        );
        assert_eq!(
            add(&mut files, &file("d.html", b"\xef\xbb\xbf<html>")),
            Ok(6)
        );
        assert_eq!(
            files.with("あ?"),
            "`メモ 1.txt`:\n\n```\n燕\n```\n\n`b.md`:\n\n````\n```\nx\n```\n````\n\n\
             `c.html`:\n\n```\n<html>🦜\n```\n\n`d.html`:\n\n```\n<html>\n```\n\nあ?"
        );
        assert_eq!(files.list().next(), Some(("メモ 1.txt", 2)));
        files.clear();
        assert_eq!(files.with("?"), "?");
    }

    #[test]
    fn what_is_no_text_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, bytes: &[u8]| {
            let path = dir.path().join(name);
            fs::write(&path, bytes).unwrap();
            path
        };
        file("notes.txt", b"x");
        let mut files = Attachments::default();
        let cases = [
            (
                dir.path().join("note.txt"),
                "`DIR/note.txt`: there is no such file; is `notes.txt` meant?",
            ),
            (dir.path().join("zzz"), "`DIR/zzz`: there is no such file"),
            (
                file("a.bin", b"a\0\0\0b"),
                "`DIR/a.bin`: it is text in UTF-32, expected UTF-8; save it as UTF-8",
            ),
            (
                file("b.bin", b"abcdef\0"),
                "`DIR/b.bin`: it is not text, expected a text file",
            ),
            (
                file("c.bin", b"\xff\xfea"),
                "`DIR/c.bin`: it is not text, expected a text file",
            ),
            (file("empty", b" \n"), "`DIR/empty`: it is empty"),
            (
                file("sjis", b"\x82\xa0"),
                "`DIR/sjis`: it is not UTF-8 at byte 0; save it as UTF-8",
            ),
            (
                file("x.gguf", b"GGUF\x03\0\0\0"),
                "`DIR/x.gguf`: it is a GGUF file",
            ),
            (
                file("long", &[b'a'; 100]),
                "`DIR/long` has 100 tokens, and the context only room for 100; `-c` makes it larger",
            ),
        ];
        for (path, expected) in cases {
            let error = add(&mut files, &path).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
        let large = fs::File::create(dir.path().join("large")).unwrap();
        large.set_len(MAX_FILE + 1).unwrap();
        let error = add(&mut files, &dir.path().join("large")).unwrap_err();
        assert!(error.contains("has 8388609 bytes"), "{error}");
        let folder = dir.path().join("folder");
        fs::create_dir(&folder).unwrap();
        let error = add(&mut files, &folder).unwrap_err();
        assert_eq!(error, "`DIR/folder`: it is a folder, expected a file");
        assert!(files.0.is_empty());
    }
}
