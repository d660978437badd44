//! `model.gguf.sha256`: the checksum of an output, as `sha256sum --check` reads it.
//!
//! ```text
//! 64 hexadecimal digits, two spaces, the file's name, a line feed
//! ```
//!
//! Where the name has a backslash or a line end the line begins with a backslash, and these are
//! written `\\`, `\n` and `\r`.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

/// The checksum of a file that is written from its beginning to its end.
#[derive(Clone, Default)]
pub(super) struct Checksum(Sha256);

impl Checksum {
    /// That of the first `len` bytes of the file at `path`, which are there already.
    pub(super) fn of_beginning(path: &Path, len: u64) -> io::Result<Self> {
        let mut this = Self::default();
        let mut rest = File::open(path)?.take(len);
        let mut buffer = vec![0; 1 << 20];
        loop {
            match rest.read(&mut buffer)? {
                0 if rest.limit() > 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                0 => return Ok(this),
                n => this.update(&buffer[..n]),
            }
        }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Writes the checksum of the file at `path` beside it, whole or not at all.
    pub(super) fn write(self, path: &Path) -> io::Result<()> {
        let digest: String = self
            .0
            .finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let to = path_of(path);
        let temporary = super::hidden_name(&to, "partial");
        fs::write(&temporary, line(&digest, path))?;
        fs::rename(&temporary, &to)
    }
}

/// Where the checksum of the file at `path` goes.
pub(super) fn path_of(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".sha256");
    path.with_file_name(name)
}

fn line(digest: &str, path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let escaped = name
        .replace('\\', r"\\")
        .replace('\n', r"\n")
        .replace('\r', r"\r");
    let mark = if escaped == name { "" } else { r"\" };
    format!("{mark}{digest}  {escaped}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_those_of_sha256sum() {
        assert_eq!(
            line("12ab", Path::new("a/日本 b.gguf")),
            "12ab  日本 b.gguf\n"
        );
        assert_eq!(line("12ab", Path::new("a\\b\nc")), "\\12ab  a\\\\b\\nc\n");
    }

    #[test]
    fn the_digest_is_that_of_all_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "abcdef").unwrap();
        assert!(Checksum::of_beginning(&path, 7).is_err());
        let mut checksum = Checksum::of_beginning(&path, 2).unwrap();
        checksum.update(b"c");
        checksum.write(&path).unwrap();
        // FIPS 180-2, example B.1.
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  file\n";
        assert_eq!(fs::read_to_string(path_of(&path)).unwrap(), expected);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }
}
