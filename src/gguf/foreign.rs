//! What a file is that is not a GGUF.

use std::fmt;

/// A kind of file that people give us in place of a GGUF.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// The pointer file that git leaves where git-lfs did not run.
    GitLfsPointer,
    /// A web page that was saved under the model's name.
    Html,
    /// Weights in safetensors.
    Safetensors,
    /// A model of llama.cpp's time before GGUF; the magic as text.
    OldGgml(&'static str),
    /// A zip archive, which is what PyTorch saves too.
    Zip,
    /// A file that was given its length but not its content.
    Zeros,
    /// Anything else, by its first bytes.
    Unknown([u8; 4]),
}

/// Bytes at the beginning of a file that [`recognize`] wants to see, if there are so many.
pub(super) const SAMPLE: usize = 512;

/// Says what a file is from its first bytes, which are not those of a GGUF.
pub(super) fn recognize(sample: &[u8]) -> Foreign {
    let text = sample.trim_ascii_start();
    let begins = |tag: &[u8]| {
        text.get(..tag.len())
            .is_some_and(|t| t.eq_ignore_ascii_case(tag))
    };
    if begins(b"version https://git-lfs") {
        return Foreign::GitLfsPointer;
    }
    if begins(b"<!doctype html") || begins(b"<html") {
        return Foreign::Html;
    }
    if let Some((_, old)) = OLD_MAGICS
        .iter()
        .find(|(magic, _)| sample.starts_with(*magic))
    {
        return Foreign::OldGgml(old);
    }
    if sample.starts_with(b"PK\x03\x04") {
        return Foreign::Zip;
    }
    if is_safetensors(sample) {
        return Foreign::Safetensors;
    }
    if sample.iter().all(|byte| *byte == 0) {
        return Foreign::Zeros;
    }
    let mut first = [0; 4];
    for (to, from) in first.iter_mut().zip(sample) {
        *to = *from;
    }
    Foreign::Unknown(first)
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

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::GitLfsPointer => f.write_str(
                "it is a git-lfs pointer to the model, not the model; fetch it with `git lfs pull`",
            ),
            Self::Html => f.write_str(
                "it is a web page, not a model; the download was probably an error or a login page",
            ),
            Self::Safetensors => {
                f.write_str("it is a safetensors file; give its folder to `swallow-gguf convert`")
            }
            Self::OldGgml(magic) => write!(
                f,
                "it is a `{magic}` model from before GGUF, which nothing current reads; \
                 download or convert the model again"
            ),
            Self::Zip => f.write_str(
                "it is a zip archive (PyTorch's `.bin` and `.pt` files are too), not a GGUF",
            ),
            Self::Zeros => {
                f.write_str("it begins with zeros; the download was probably never finished")
            }
            Self::Unknown(first) => {
                write!(
                    f,
                    "expected the magic `GGUF`, found `{}`",
                    super::escape(first)
                )
            }
        }
    }
}
