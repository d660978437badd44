//! What a file is that is not a GGUF.

use std::fmt;

use crate::file_kind::FileKind;

/// A file that people give us in place of a GGUF.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// One of the kinds we know.
    Known(FileKind),
    /// Anything else, by its first bytes.
    Unknown([u8; 4]),
}

/// Says what a file is from its first bytes, which are not those of a GGUF.
pub(super) fn recognize(sample: &[u8]) -> Foreign {
    if let Some(kind) = FileKind::recognize(sample) {
        return Foreign::Known(kind);
    }
    let mut first = [0; 4];
    for (to, from) in first.iter_mut().zip(sample) {
        *to = *from;
    }
    Foreign::Unknown(first)
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(FileKind::Safetensors) => {
                f.write_str("it is a safetensors file; give its folder to `swallow-gguf convert`")
            }
            Self::Known(kind @ (FileKind::Zip | FileKind::Pickle)) => write!(
                f,
                "{kind}; give the folder of a checkpoint with safetensors to `swallow-gguf convert`"
            ),
            Self::Known(kind) => kind.fmt(f),
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
