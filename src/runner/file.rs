//! A model file as our own reader sees it, before llama.cpp does.
//!
//! llama.cpp answers a file it cannot use with a null pointer, and some broken ones with an
//! abort of the whole program. What can be said in plain words is said here.

mod fingerprint;
mod parts;

pub use fingerprint::fingerprint;

use std::io;
use std::path::{Path, PathBuf};

use bstr::{BStr, ByteSlice};

use super::{ChatFormat, SpecialTokens};
use crate::gguf::{Array, Gguf, ReadError, escape};
use crate::memory::Shape;
use crate::model::consistency::{MAX_EXPERTS, MAX_LAYERS, duplicate_token};

/// A GGUF file that is whole and made for generating text.
#[derive(Clone, Debug)]
pub struct ModelFile {
    /// The file, the first one of a model in parts.
    pub path: PathBuf,
    /// What the model calls itself, or else the file name.
    pub name: String,
    /// `general.architecture`, for example `llama`.
    pub architecture: String,
    /// Bytes of the file, or of all parts.
    pub size: u64,
    /// The prompt of its chats.
    pub chat: ChatFormat,
    /// What it takes of the memory.
    pub shape: Shape,
    /// The tokens that a chat template writes.
    pub special: SpecialTokens,
    /// The other parts of a model in parts.
    parts: Vec<PathBuf>,
}

/// Why a model file cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum ModelFileError {
    /// No GGUF, or a broken one.
    #[error(transparent)]
    Read(#[from] ReadError),

    /// A GGUF without a key that every model has.
    #[error("`{}` has no `{key}`, so it is not a model llama.cpp can run", .path.display())]
    MissingKey {
        /// The file.
        path: PathBuf,
        /// The key.
        key: &'static str,
    },

    /// A GGUF of something else.
    #[error("`{}` is {kind}, expected a model that generates text", .path.display())]
    NotGenerative {
        /// The file.
        path: PathBuf,
        /// What it is.
        kind: String,
    },

    /// A number that llama.cpp would end the program over.
    #[error("`{}`: `{key}` is {found}, expected {expected}", .path.display())]
    Hyperparameter {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// Its value.
        found: u64,
        /// The values that are possible.
        expected: String,
    },

    /// Two tokens of one text, over which llama.cpp would end the program.
    #[error("`{}`: tokens {first} and {second} are both `{text}`", .path.display())]
    DuplicateToken {
        /// The file.
        path: PathBuf,
        /// Id of the one.
        first: usize,
        /// Id of the other.
        second: usize,
        /// Their text.
        text: String,
    },

    /// A part of a split model that is not the first.
    #[error(
        "`{}` is part {number} of {count}; give the first part, `{first}`, and the others are found \
         beside it",
        .path.display()
    )]
    NotFirstPart {
        /// The file.
        path: PathBuf,
        /// The name of the first part.
        first: String,
        /// Its number, from 1.
        number: u64,
        /// Number of parts.
        count: u64,
    },

    /// Parts that are not beside the first.
    #[error(
        "`{}` is part 1 of {count}, and {missing}: expected all parts in one folder",
        .path.display()
    )]
    MissingParts {
        /// The file.
        path: PathBuf,
        /// Number of parts.
        count: u64,
        /// Which are missing.
        missing: String,
    },

    /// A first part with a name from which the other names cannot be made.
    #[error(
        "`{}` is part 1 of {count}, so its name has to end in `-00001-of-{count:05}.gguf`",
        .path.display()
    )]
    PartName {
        /// The file.
        path: PathBuf,
        /// Number of parts.
        count: u64,
    },
}

/// Architectures that llama.cpp knows and that do not generate text token by token.
const NOT_GENERATIVE: &[(&str, &[&str])] = &[
    ("an image encoder", &["clip"]),
    (
        "a text encoder",
        &[
            "bert",
            "modern-bert",
            "nomic-bert",
            "nomic-bert-moe",
            "neo-bert",
            "jina-bert-v2",
            "jina-bert-v3",
            "eurobert",
            "gemma-embedding",
            "llama-embed",
            "t5encoder",
        ],
    ),
    ("an encoder-decoder model", &["t5"]),
    (
        "a diffusion model",
        &["dream", "llada", "llada-moe", "rnd1"],
    ),
    (
        "a draft model of another model",
        &["eagle3", "dflash", "gemma4-assistant"],
    ),
    (
        "a speech model",
        &["wavtokenizer-dec", "pockettts", "qwen3tts"],
    ),
];

impl ModelFile {
    /// Reads the headers of the file at `path` and of its other parts, and checks that llama.cpp
    /// can make text with it.
    ///
    /// # Errors
    /// Where the file is missing, cut, no GGUF or no generating model, with the reason.
    pub fn open(path: &Path) -> Result<Self, ModelFileError> {
        let gguf = Gguf::open(path)?;
        let architecture = required_str(&gguf, path, "general.architecture")?;
        check_generative(&gguf, path, architecture)?;
        let (parts, others) = parts::others(&gguf, path)?;
        let size = others
            .iter()
            .fold(gguf.file_len, |sum, part| sum.saturating_add(part.file_len));
        check_hyperparameters(&gguf, path, architecture)?;
        check_tokens(&gguf, path)?;
        let named = gguf.get_str("general.name").map(str::trim);
        let name = match named.filter(|name| !name.is_empty()) {
            Some(name) => escape(name.as_bytes()),
            None => path.file_stem().unwrap_or_default().display().to_string(),
        };
        Ok(Self {
            path: path.to_owned(),
            name,
            architecture: escape(architecture.as_bytes()),
            size,
            chat: ChatFormat::of(&gguf.key_values),
            shape: Shape::new(
                &gguf.key_values,
                std::iter::once(&gguf)
                    .chain(&others)
                    .flat_map(|part| &part.tensors),
            ),
            special: SpecialTokens {
                bos: token_text(&gguf, "tokenizer.ggml.bos_token_id"),
                eos: token_text(&gguf, "tokenizer.ggml.eos_token_id"),
            },
            parts,
        })
    }

    /// A digest that tells this model from any other, at this place too, without reading all of it.
    ///
    /// # Errors
    /// Where its files cannot be read.
    pub fn fingerprint(&self) -> io::Result<String> {
        let others = self.parts.iter().map(PathBuf::as_path);
        fingerprint([self.path.as_path()].into_iter().chain(others))
    }
}

fn required_str<'g>(
    gguf: &'g Gguf,
    path: &Path,
    key: &'static str,
) -> Result<&'g str, ModelFileError> {
    gguf.get_str(key).ok_or_else(|| ModelFileError::MissingKey {
        path: path.to_owned(),
        key,
    })
}

fn check_generative(gguf: &Gguf, path: &Path, architecture: &str) -> Result<(), ModelFileError> {
    let is = |kind: &str| {
        Err(ModelFileError::NotGenerative {
            path: path.to_owned(),
            kind: kind.to_owned(),
        })
    };
    match gguf.get_str("general.type") {
        None | Some("model") => {}
        Some("adapter") => return is("an adapter (LoRA), which needs the model it was made for"),
        Some("mmproj") => return is("an image or sound projector"),
        Some("imatrix") => return is("an importance matrix"),
        Some(other) => return is(&format!("of type `{}`", escape(other.as_bytes()))),
    }
    for (kind, architectures) in NOT_GENERATIVE {
        if architectures.contains(&architecture) {
            return is(&format!("{kind} (architecture `{architecture}`)"));
        }
    }
    if gguf.tensors.is_empty() {
        return is("a header without tensors (a vocabulary alone)");
    }
    match required_str(gguf, path, "tokenizer.ggml.model")? {
        "no_vocab" | "none" => is("a model without a vocabulary"),
        _ => Ok(()),
    }
}

/// The numbers that llama.cpp asserts, which would end the program without a word of ours.
fn check_hyperparameters(
    gguf: &Gguf,
    path: &Path,
    architecture: &str,
) -> Result<(), ModelFileError> {
    let check = |key: &str, expected: std::ops::RangeInclusive<u64>| {
        let key = format!("{architecture}.{key}");
        match gguf.get_u64(&key) {
            Some(found) if !expected.contains(&found) => Err(ModelFileError::Hyperparameter {
                path: path.to_owned(),
                key: escape(key.as_bytes()),
                found,
                expected: format!("{} to {}", expected.start(), expected.end()),
            }),
            found => Ok(found.unwrap_or(0)),
        }
    };
    check("block_count", 1..=MAX_LAYERS)?;
    check("context_length", 1..=u64::from(i32::MAX.unsigned_abs()))?;
    let n_expert = check("expert_count", 0..=MAX_EXPERTS)?;
    check("expert_used_count", n_expert.min(1)..=n_expert)?;
    Ok(())
}

fn check_tokens(gguf: &Gguf, path: &Path) -> Result<(), ModelFileError> {
    let Some(Array::String(tokens)) = gguf.get_array("tokenizer.ggml.tokens") else {
        return Ok(());
    };
    match duplicate_token(tokens) {
        None => Ok(()),
        Some((first, second, text)) => Err(ModelFileError::DuplicateToken {
            path: path.to_owned(),
            first,
            second,
            text: escape(text),
        }),
    }
}

/// The text of the token whose id is at `key`, empty where there is none.
fn token_text(gguf: &Gguf, key: &str) -> String {
    let token = || -> Option<&BStr> {
        let id = usize::try_from(gguf.get_u64(key)?).ok()?;
        match gguf.get_array("tokenizer.ggml.tokens")? {
            Array::String(tokens) => Some(tokens.get(id)?.as_bstr()),
            _ => None,
        }
    };
    token().map(ToString::to_string).unwrap_or_default()
}
