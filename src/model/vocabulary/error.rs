//! What can be wrong with a checkpoint's tokenizer files.

use std::{io, path::PathBuf};

use thiserror::Error;

use crate::source::FileProblem;

/// Why no vocabulary could be read.
#[derive(Debug, Error)]
pub enum VocabularyError {
    /// None of the tokenizer files we know is there.
    #[error(
        "no tokenizer in `{dir}`: expected {expected}, found {found}; take it from the model's repository"
    )]
    NoTokenizer {
        /// The checkpoint folder.
        dir: PathBuf,
        /// The files looked for.
        expected: String,
        /// The files of other tokenizers that are there, or `none`.
        found: String,
    },

    /// A file is there and cannot be read, is something else, or is broken.
    #[error("`{path}`: {problem}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: FileProblem,
    },

    /// A folder of the checkpoint cannot be listed.
    #[error("cannot list the folder `{path}`: {error}")]
    List {
        /// The folder.
        path: PathBuf,
        /// The system's reason.
        error: io::Error,
    },

    /// `tokenizer.model` is not the protobuf message it should be.
    #[error("`{path}` is not a SentencePiece model ({error}); download it again")]
    Protobuf {
        /// The file.
        path: PathBuf,
        /// The field and the reason.
        error: prost::DecodeError,
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

    /// No pre-tokenizer of llama.cpp is known to split text as the description says.
    #[error(
        "`{path}`: the pre_tokenizer `{found}` is not one that is recognized; give llama.cpp's name for it with `--pre NAME`{usual}"
    )]
    UnknownPreTokenizer {
        /// The file.
        path: PathBuf,
        /// The description, as JSON.
        found: String,
        /// What checkpoints of this kind have; empty, or begins with a separator.
        usual: String,
    },

    /// A pre-tokenizer is asked for where there is none.
    #[error(
        "`{path}` is a SentencePiece vocabulary, which has no pre-tokenizer: leave out `--pre {asked_for}`"
    )]
    NoPreTokenizer {
        /// The file.
        path: PathBuf,
        /// The name that was given.
        asked_for: &'static str,
    },

    /// There are more tokens than rows in the embedding.
    #[error(
        "`{path}` has ids up to {last}, and the embedding has rows up to {}: is `vocab_size` of config.json, {expected}, that of this tokenizer?",
        expected.saturating_sub(1)
    )]
    TooManyTokens {
        /// The file.
        path: PathBuf,
        /// `vocab_size` of config.json.
        expected: usize,
        /// The largest id in the file.
        last: usize,
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
        "`{path}`: the tokens {first} and {second} are both `{text}`, expected different texts: llama.cpp does not load such a vocabulary"
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
