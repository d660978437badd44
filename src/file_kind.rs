//! What a file is, by its first bytes: for the messages about files that are not what their names
//! say.

use std::fmt;

/// A kind of file that people give us, often without knowing, in place of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// What a system for large files leaves where the file itself was not fetched.
    Pointer {
        /// The system.
        system: &'static str,
        /// Bytes of the file that it stands for, where it says so.
        size: Option<u64>,
        /// The command that fetches the file.
        fetch: &'static str,
    },
    /// A web page that was saved under the file's name.
    Html,
    /// An XML document, which is how storage servers answer with an error.
    Xml,
    /// A GGUF model.
    Gguf,
    /// Weights in safetensors.
    Safetensors,
    /// A model of llama.cpp's time before GGUF; the magic as text.
    OldGgml(&'static str),
    /// A zip archive, which is what PyTorch saves too.
    Zip,
    /// A file compressed with gzip.
    Gzip,
    /// A pickle of Python's, which is what PyTorch saved before.
    Pickle,
    /// A file that was given its length but not its content.
    Zeros,
}

/// Bytes at the beginning of a file that [`FileKind::recognize`] wants to see, if there are so many.
pub(crate) const SAMPLE: usize = 512;

impl FileKind {
    /// Says what a file is from its first bytes; `None` for what is not one of the kinds.
    pub(crate) fn recognize(sample: &[u8]) -> Option<Self> {
        let sample = &sample[..sample.len().min(SAMPLE)];
        let text = sample.strip_prefix(b"\xef\xbb\xbf").unwrap_or(sample);
        let text = text.trim_ascii_start();
        let begins = |tag: &[u8]| {
            text.get(..tag.len())
                .is_some_and(|t| t.eq_ignore_ascii_case(tag))
        };
        if let Some(pointer) = pointer(text) {
            return Some(pointer);
        }
        if begins(b"<!doctype html") || begins(b"<html") {
            return Some(Self::Html);
        }
        if begins(b"<?xml") {
            return Some(Self::Xml);
        }
        if let Some((_, old)) = OLD_MAGICS
            .iter()
            .find(|(magic, _)| sample.starts_with(*magic))
        {
            return Some(Self::OldGgml(old));
        }
        match sample {
            [b'G', b'G', b'U', b'F', ..] => Some(Self::Gguf),
            [b'P', b'K', 3, 4, ..] => Some(Self::Zip),
            [0x1f, 0x8b, 8, ..] => Some(Self::Gzip),
            // The protocol, and the instructions with which one begins; a number in their place
            // would be a large one.
            [
                0x80,
                2..=5,
                b'}' | b'c' | b']' | b'(' | b'X' | 0x8a | 0x95,
                ..,
            ] => Some(Self::Pickle),
            _ if is_safetensors(sample) => Some(Self::Safetensors),
            [_, ..] if sample.iter().all(|byte| *byte == 0) => Some(Self::Zeros),
            _ => None,
        }
    }
}

/// A pointer of one of the systems that keep large files out of git.
fn pointer(text: &[u8]) -> Option<FileKind> {
    let text = text.utf8_chunks().next()?.valid();
    let (system, fetch) = if LFS_VERSIONS.iter().any(|url| {
        text.strip_prefix("version ")
            .is_some_and(|rest| rest.starts_with(url))
    }) {
        ("git-lfs", "git lfs pull")
    } else if text.starts_with("# xet version ") {
        ("git-xet", "git xet pull")
    } else if text.starts_with("/annex/objects/") {
        ("git-annex", "git annex get")
    } else {
        return None;
    };
    let size = match system {
        "git-lfs" => value_after(text, "\nsize "),
        "git-xet" => value_after(text, "\nfilesize = "),
        _ => value_after(text, "-s"),
    };
    Some(FileKind::Pointer {
        system,
        size,
        fetch,
    })
}

/// Addresses by which git-lfs, once hawser, once git-media, calls its pointers.
const LFS_VERSIONS: &[&str] = &[
    "https://git-lfs.github.com",
    "https://hawser.github.com",
    "http://git-media.io",
];

/// The number that stands right after the first `key`.
fn value_after(text: &str, key: &str) -> Option<u64> {
    let (_, rest) = text.split_once(key)?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

/// The magics before GGUF, as their little-endian numbers look in a file.
const OLD_MAGICS: &[(&[u8; 4], &str)] = &[
    (b"lmgg", "ggml"),
    (b"fmgg", "ggmf"),
    (b"tjgg", "ggjt"),
    (b"algg", "ggla"),
];

/// A safetensors file is the length of its JSON header in 8 bytes, then that header.
fn is_safetensors(sample: &[u8]) -> bool {
    const LARGEST_HEADER: u64 = 100_000_000;
    sample
        .split_first_chunk::<8>()
        .is_some_and(|(length, json)| {
            json.starts_with(b"{") && (2..=LARGEST_HEADER).contains(&u64::from_le_bytes(*length))
        })
}

impl fmt::Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pointer {
                system,
                size,
                fetch,
            } => {
                write!(f, "it is a {system} pointer to the file")?;
                if let Some(size) = size {
                    write!(f, " of {size} bytes")?;
                }
                write!(f, ", not the file; fetch that with `{fetch}`")
            }
            Self::Html => {
                f.write_str("it is a web page; the download was probably an error or a login page")
            }
            Self::Xml => f.write_str(
                "it is an XML document, probably a server's error; download the file again",
            ),
            Self::Gguf => f.write_str("it is a GGUF file"),
            Self::Safetensors => f.write_str("it is a safetensors file"),
            Self::OldGgml(magic) => write!(
                f,
                "it is a `{magic}` model from before GGUF, which nothing current reads; \
                 download or convert the model again"
            ),
            Self::Zip => {
                f.write_str("it is a zip archive (PyTorch's `.bin` and `.pt` files are too)")
            }
            Self::Gzip => f.write_str("it is compressed with gzip; unpack it"),
            Self::Pickle => f.write_str("it is a Python pickle, as PyTorch saves them"),
            Self::Zeros => {
                f.write_str("it begins with zeros; the download was probably never finished")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(sample: &[u8]) -> String {
        FileKind::recognize(sample).map_or("nothing".into(), |kind| kind.to_string())
    }

    #[test]
    fn pointers_of_every_system_tell_the_size_and_the_way_out() {
        for (text, system, size, fetch) in [
            (
                "version https://git-lfs.github.com/spec/v1\noid sha256:4d\nsize 499723\n",
                "git-lfs",
                " of 499723 bytes",
                "`git lfs pull`",
            ),
            (
                "\u{feff}version https://git-lfs.github.com/spec/v1\r\noid sha256:4d\r\nsize 7\r\n",
                "git-lfs",
                " of 7 bytes",
                "`git lfs pull`",
            ),
            (
                "version https://hawser.github.com/spec/v1\noid sha256:4d\nsize 12\n",
                "git-lfs",
                " of 12 bytes",
                "`git lfs pull`",
            ),
            (
                "version http://git-media.io/v/2\n",
                "git-lfs",
                "",
                "`git lfs pull`",
            ),
            (
                "# xet version 0\nfilesize = 77\nhash = '4d'\n",
                "git-xet",
                " of 77 bytes",
                "`git xet pull`",
            ),
            (
                "/annex/objects/SHA256E-s31--4d.model\n",
                "git-annex",
                " of 31 bytes",
                "`git annex get`",
            ),
        ] {
            let expected = format!(
                "it is a {system} pointer to the file{size}, not the file; fetch that with {fetch}"
            );
            assert_eq!(said(text.as_bytes()), expected, "{text:?}");
        }
        assert_eq!(said(b"version 2 of something"), "nothing");
    }

    #[test]
    fn other_kinds_are_told_by_their_first_bytes() {
        let safetensors = [&16u64.to_le_bytes()[..], b"{\"a\":1}         "].concat();
        for (sample, fragment) in [
            (&b"\n<!DOCTYPE html><html>"[..], "web page"),
            (b"<?xml version=\"1.0\"?><Error>", "XML document"),
            (b"GGUF\x03\0\0\0", "GGUF file"),
            (&safetensors, "safetensors file"),
            (b"tjgg\x03\0\0\0", "`ggjt` model"),
            (b"PK\x03\x04rest", "zip archive"),
            (b"\x1f\x8b\x08\0", "gzip"),
            (b"\x80\x02}q\x01", "pickle"),
            (b"\x80\x02\x8a\x0al\xfc\x9cF\xf9", "pickle"),
            (&[0; 600], "zeros"),
            (b"", "nothing"),
            // 640 entries of an importance matrix.
            (b"\x80\x02\0\0\x10\0\0\0", "nothing"),
            (b"{\"a\": 1}", "nothing"),
        ] {
            assert!(
                said(sample).contains(fragment),
                "{sample:?}: {}",
                said(sample)
            );
        }
        // A length beyond what safetensors has.
        let long = [&(1u64 << 40).to_le_bytes()[..], b"{\"a\":1}"].concat();
        assert_eq!(FileKind::recognize(&long), None);
    }
}
