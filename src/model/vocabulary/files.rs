//! Reading a checkpoint's small text files, with a limit on what "small" is.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use serde::de::DeserializeOwned;

use super::VocabularyError;

/// The most we read of one tokenizer file. The largest in use have a quarter of a million tokens
/// and 35 MB.
const MAX_BYTES: u64 = 64 << 20;

/// The whole file, or `None` if there is no such file.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, VocabularyError> {
    let failed = |source| VocabularyError::Read {
        path: path.to_owned(),
        source,
    };
    match std::fs::metadata(path) {
        // A folder or a pipe of that name is not the file that converters look for.
        Ok(metadata) if !metadata.is_file() => return Ok(None),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    }
    let file = File::open(path).map_err(failed)?;
    let found = file.metadata().map_err(failed)?.len();
    if found > MAX_BYTES {
        return Err(VocabularyError::FileTooLarge {
            path: path.to_owned(),
            found,
            expected: MAX_BYTES,
        });
    }
    let mut bytes = Vec::new();
    file.take(MAX_BYTES)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    Ok(Some(bytes))
}

/// The file as JSON of the shape `T`, or `None` if there is no such file.
pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, VocabularyError> {
    read(path)?
        .map(|bytes| parse_json(path, &bytes))
        .transpose()
}

/// `bytes`, read from `path`, as JSON of the shape `T`.
pub(super) fn parse_json<T: DeserializeOwned>(
    path: &Path,
    bytes: &[u8],
) -> Result<T, VocabularyError> {
    serde_json::from_slice(bytes).map_err(|source| VocabularyError::Json {
        path: path.to_owned(),
        source,
    })
}

/// The file as text with every line end as `\n`, which is what Python's text mode reads and
/// therefore what llama.cpp's converter writes; `None` if there is no such file.
pub(super) fn read_text(path: &Path) -> Result<Option<String>, VocabularyError> {
    let Some(bytes) = read(path)? else {
        return Ok(None);
    };
    let text = String::from_utf8(bytes).map_err(|error| VocabularyError::Utf8 {
        path: path.to_owned(),
        offset: error.utf8_error().valid_up_to(),
    })?;
    Ok(Some(text.replace("\r\n", "\n").replace('\r', "\n")))
}
