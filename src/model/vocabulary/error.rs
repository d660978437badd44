//! What can be wrong with a checkpoint's tokenizer files.

use std::{io, path::PathBuf};

use thiserror::Error;

/// Why no vocabulary could be read.
#[derive(Debug, Error)]
pub enum VocabularyError {
    /// None of the tokenizer files we know is there.
    #[error("no tokenizer in `{dir}`: expected {expected}, found {found}")]
    NoTokenizer {
        /// The checkpoint folder.
        dir: PathBuf,
        /// The files looked for.
        expected: &'static str,
        /// The files of other tokenizers that are there, or `neither`.
        found: String,
    },

    /// A file is there and cannot be read.
    #[error("cannot read `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },

    /// A file is larger than any tokenizer's.
    #[error("`{path}` has {found} bytes, expected a tokenizer file of at most {expected}")]
    FileTooLarge {
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        found: u64,
        /// The most we read.
        expected: u64,
    },

    /// A text file is not UTF-8.
    #[error("`{path}` is not UTF-8 at byte {offset}")]
    Utf8 {
        /// The file.
        path: PathBuf,
        /// Where the text stops being UTF-8.
        offset: usize,
    },

    /// A JSON file is malformed, or an entry of it has the wrong type; the source tells the place.
    #[error("`{path}` is malformed")]
    Json {
        /// The file.
        path: PathBuf,
        /// The place and the reason.
        source: serde_json::Error,
    },

    /// `tokenizer.model` is not the protobuf message it should be.
    #[error("`{path}` is not a SentencePiece model")]
    Protobuf {
        /// The file.
        path: PathBuf,
        /// The field and the reason.
        source: prost::DecodeError,
    },

    /// An entry of a file is not what it should be.
    #[error("`{path}`: {place}: expected {expected}, found {found}")]
    Entry {
        /// The file.
        path: PathBuf,
        /// Which entry.
        place: String,
        /// What it should be.
        expected: String,
        /// What it is.
        found: String,
    },

    /// The tokenizer is of a kind that cannot be written.
    #[error("`{path}`: {found} cannot be converted, expected {expected}")]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// The kind, by its name.
        found: String,
        /// The kinds we know.
        expected: &'static str,
    },

    /// There are more tokens than rows in the embedding.
    #[error(
        "`{path}`: the vocabulary is larger than `vocab_size`: expected at most {expected} tokens, found {found}"
    )]
    TooManyTokens {
        /// The file.
        path: PathBuf,
        /// `vocab_size` of config.json.
        expected: usize,
        /// Tokens in the file, or the largest id and one.
        found: usize,
    },

    /// `vocab_size` itself is absurd.
    #[error("`vocab_size` of `config.json`: expected 1 to {expected}, found {found}")]
    VocabSize {
        /// The most we take.
        expected: usize,
        /// What config.json says.
        found: usize,
    },

    /// Two tokens of one text: llama.cpp aborts on such a vocabulary.
    #[error(
        "`{path}`: the tokens {first} and {second} are both `{text}`, expected different texts"
    )]
    DuplicateText {
        /// The tokenizer file.
        path: PathBuf,
        /// The text they share.
        text: String,
        /// The smaller id.
        first: usize,
        /// The larger id.
        second: usize,
    },

    /// Two texts for one token.
    #[error("`{path}`: the id {id} is given to `{first}` and to `{second}`, expected one of them")]
    DuplicateId {
        /// The tokenizer file.
        path: PathBuf,
        /// The id they share.
        id: usize,
        /// The text that had it first.
        first: String,
        /// The text that would take it.
        second: String,
    },
}
