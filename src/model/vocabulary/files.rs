//! Reading a checkpoint's tokenizer files.

use std::path::Path;

use serde::de::DeserializeOwned;

use super::VocabularyError;
use crate::{
    gguf::escape,
    source::{FileProblem, text_file},
};

/// The most we read of one tokenizer file. The largest in use have a quarter of a million tokens
/// and 35 MB.
const MAX_BYTES: u64 = 64 << 20;

/// The whole file, or `None` if there is no such file.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, VocabularyError> {
    text_file::read(path, MAX_BYTES).map_err(of_file(path))
}

/// The file as JSON of the shape `T`, or `None` if there is no such file.
pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, VocabularyError> {
    text_file::read_json(path, MAX_BYTES).map_err(of_file(path))
}

/// `bytes`, read from `path`, as JSON of the shape `T`.
pub(super) fn parse_json<T: DeserializeOwned>(
    path: &Path,
    bytes: &[u8],
) -> Result<T, VocabularyError> {
    text_file::json(bytes).map_err(of_file(path))
}

/// The file as text with every line end as `\n`, which is what Python's text mode reads and
/// therefore what llama.cpp's converter writes; `None` if there is no such file.
pub(super) fn read_text(path: &Path) -> Result<Option<String>, VocabularyError> {
    let text = text_file::read_text(path, MAX_BYTES).map_err(of_file(path))?;
    Ok(text.map(|text| text.replace("\r\n", "\n").replace('\r', "\n")))
}

/// A part of a file as an error shows it.
pub(super) fn shown(bytes: &[u8]) -> String {
    const BYTES: usize = 60;
    let cut = if bytes.len() > BYTES { "…" } else { "" };
    format!("`{}{cut}`", escape(&bytes[..bytes.len().min(BYTES)]))
}

fn of_file(path: &Path) -> impl FnOnce(FileProblem) -> VocabularyError {
    |problem| VocabularyError::File {
        path: path.to_owned(),
        problem,
    }
}
