//! The journal beside a file that is being written: what of it is there, so that a conversion that
//! was ended by anything goes on where it stopped.
//!
//! ```text
//! {"version":"0.1.0","plan":"…","source":"…","file_type":"Q4_K_M"}   what is being written
//! {"file":0,"end":33554432,"digest":"…"}                              a span that is there
//! {"file":0,"end":67108864,"digest":"…"}                              the next
//! ```
//!
//! A span begins where the one before it ends, or at the beginning of the next file, and ends behind
//! a chunk of the plan. Its digest is XXH3 (128 bits): the journal guards against power cuts, after
//! which the last blocks of either file may be anything, not against forgery. So neither file is
//! synced on the way: what the digest does not confirm is written again. A line that was cut
//! ends the journal.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, Write},
    path::Path,
};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

/// A journal is small: a line for every 32 MiB.
const MAX_BYTES: u64 = 64 << 20;

/// What is being written: the same for the same command, source and version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::convert) struct OutputIdentity {
    /// Of this program: another one may write other bytes.
    pub(in crate::convert) version: String,
    /// Digest of all that decides about the bytes.
    pub(in crate::convert) plan: String,
    /// The source, for people.
    pub(in crate::convert) source: String,
    /// The file type, for people.
    pub(in crate::convert) file_type: String,
}

/// Consecutive bytes of a file that have been written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Span {
    /// Index of the file.
    pub(super) file: usize,
    /// Where it ends there.
    pub(super) end: u64,
    /// XXH3 of its bytes, in hexadecimal.
    pub(super) digest: String,
}

/// The journal of a conversion that is under way.
pub(super) struct Journal {
    file: File,
}

impl Journal {
    /// Reads the journal in `file`; `None` where it does not tell what it is of.
    pub(super) fn read(file: &mut File) -> io::Result<Option<(OutputIdentity, Vec<Span>)>> {
        file.rewind()?;
        let mut text = Vec::new();
        file.take(MAX_BYTES).read_to_end(&mut text)?;
        // The last line counts when it is whole.
        let whole = text.iter().rposition(|byte| *byte == b'\n').unwrap_or(0);
        let mut lines = text[..whole].split(|byte| *byte == b'\n');
        let identity = lines
            .next()
            .and_then(|line| serde_json::from_slice(line).ok());
        let Some(identity) = identity else {
            return Ok(None);
        };
        let spans = lines.map_while(|line| serde_json::from_slice(line).ok());
        Ok(Some((identity, spans.collect())))
    }

    /// Begins the journal in `file` with what is known already.
    pub(super) fn begin(
        mut file: File,
        identity: &OutputIdentity,
        spans: &[Span],
    ) -> io::Result<Self> {
        file.set_len(0)?;
        file.rewind()?;
        let mut journal = Self { file };
        journal.append(identity)?;
        spans.iter().try_for_each(|span| journal.append(span))?;
        Ok(journal)
    }

    /// Appends a line, in one write.
    pub(super) fn append(&mut self, line: &impl Serialize) -> io::Result<()> {
        let mut line = serde_json::to_vec(line)?;
        line.push(b'\n');
        self.file.write_all(&line)
    }
}

/// The digest of bytes that come piece by piece.
#[derive(Default)]
pub(super) struct Digest(Xxh3);

impl Digest {
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(super) fn hex(&self) -> String {
        format!("{:032x}", self.0.digest128())
    }
}

/// How many of the first `spans` of the files at `paths` are there as the journal has them.
pub(super) fn confirmed(spans: &[Span], paths: &[&Path]) -> usize {
    let mut buffer = vec![0; 1 << 20];
    let mut open: Option<(usize, File, u64)> = None;
    for (n, span) in spans.iter().enumerate() {
        let (file, start) = match open.take() {
            Some((index, file, end)) if index == span.file => (Some(file), end),
            _ => (
                paths
                    .get(span.file)
                    .and_then(|path| fs::File::open(path).ok()),
                0,
            ),
        };
        let Some(mut file) = file else { return n };
        let len = span.end.checked_sub(start).filter(|len| *len > 0);
        if !len.is_some_and(|len| is_confirmed(&mut file, len, &span.digest, &mut buffer)) {
            return n;
        }
        open = Some((span.file, file, span.end));
    }
    spans.len()
}

/// Whether the next `len` bytes of `file` have this digest.
fn is_confirmed(file: &mut File, len: u64, digest: &str, buffer: &mut [u8]) -> bool {
    let mut found = Digest::default();
    let mut left = len;
    while left > 0 {
        let n = left.min(buffer.len() as u64) as usize;
        if file.read_exact(&mut buffer[..n]).is_err() {
            return false;
        }
        found.update(&buffer[..n]);
        left -= n as u64;
    }
    found.hex() == digest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> OutputIdentity {
        OutputIdentity {
            version: "0.1.0".into(),
            plan: "12ab".into(),
            source: "モデル".into(),
            file_type: "Q4_K_M".into(),
        }
    }

    fn span(file: usize, end: u64, bytes: &[u8]) -> Span {
        let mut digest = Digest::default();
        digest.update(bytes);
        Span {
            file,
            end,
            digest: digest.hex(),
        }
    }

    #[test]
    fn a_journal_that_was_cut_anywhere_ends_with_its_last_whole_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let open = || {
            let mut options = File::options();
            options.read(true).write(true).create(true).truncate(false);
            options.open(&path).unwrap()
        };
        let spans = [span(0, 3, b"abc"), span(0, 5, b"de"), span(1, 1, b"f")];
        Journal::begin(open(), &identity(), &spans).unwrap();
        let whole = fs::read(&path).unwrap();
        let mut seen = Vec::new();
        for cut in 0..=whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            let found = Journal::read(&mut open()).unwrap();
            let lines = whole[..cut].iter().filter(|b| **b == b'\n').count();
            match found {
                None => assert_eq!(lines, 0),
                Some((found, known)) => {
                    assert_eq!(found, identity());
                    assert_eq!(known, spans[..lines - 1]);
                    seen.push(known.len());
                }
            }
        }
        assert_eq!((seen[0], seen[seen.len() - 1]), (0, 3));
    }

    #[test]
    fn spans_count_until_the_first_that_is_not_there() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        let spans = [span(0, 3, b"abc"), span(0, 5, b"de"), span(1, 1, b"f")];
        let count = |in_a: &str, in_b: &str| {
            fs::write(&a, in_a).unwrap();
            fs::write(&b, in_b).unwrap();
            confirmed(&spans, &[&a, &b])
        };
        assert_eq!(count("abcde", "f"), 3);
        assert_eq!(count("abcdefgh", "fgh"), 3);
        assert_eq!(count("abcde", "g"), 2);
        assert_eq!(count("abcd", "f"), 1);
        assert_eq!(count("abcdx", "f"), 1);
        assert_eq!(count("xbcde", "f"), 0);
        assert_eq!(count("", "f"), 0);
        assert_eq!(confirmed(&spans, &[&a]), 0);
        // A journal with a span that ends before it begins, or in a file that is not there.
        fs::write(&a, "abcde").unwrap();
        assert_eq!(confirmed(&[span(0, 3, b"abc"), span(0, 2, b"")], &[&a]), 1);
        assert_eq!(confirmed(&[span(7, 3, b"abc")], &[&a]), 0);
    }
}
