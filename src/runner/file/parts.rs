//! A model in several files.

use std::path::{Path, PathBuf};

use super::ModelFileError;
use crate::gguf::Gguf;

/// More parts than any model has. The names have five digits.
const MAX_PARTS: u64 = 9999;

/// The parts 2 and up of a split model, each of which is read and checked, and their paths.
pub(super) fn others(
    gguf: &Gguf,
    path: &Path,
) -> Result<(Vec<PathBuf>, Vec<Gguf>), ModelFileError> {
    let count = gguf.get_u64("split.count").unwrap_or(1);
    let number = gguf.get_u64("split.no").unwrap_or(0);
    if count <= 1 {
        return Ok((Vec::new(), Vec::new()));
    }
    let part_of = |prefix: &str, part: u64| format!("{prefix}-{part:05}-of-{count:05}.gguf");
    if number > 0 {
        let number = number.saturating_add(1);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let prefix = name.strip_suffix(part_of("", number).as_str());
        return Err(ModelFileError::NotFirstPart {
            path: path.to_owned(),
            first: part_of(prefix.unwrap_or("NAME"), 1),
            number,
            count,
        });
    }
    let prefix = path
        .to_str()
        .and_then(|path| path.strip_suffix(part_of("", 1).as_str()));
    let Some(prefix) = prefix.filter(|_| count <= MAX_PARTS) else {
        return Err(ModelFileError::PartName {
            path: path.to_owned(),
            count,
        });
    };
    let parts: Vec<PathBuf> = (2..=count)
        .map(|part| part_of(prefix, part).into())
        .collect();
    let mut missing = parts.iter().filter(|part| !part.exists());
    if let Some(first) = missing.next() {
        let first = first.display();
        let missing = match missing.count() {
            0 => format!("`{first}` is missing"),
            n => format!("{} others are missing, the first of them `{first}`", n + 1),
        };
        return Err(ModelFileError::MissingParts {
            path: path.to_owned(),
            count,
            missing,
        });
    }
    let open = |part: &PathBuf| Gguf::open(part).map_err(ModelFileError::from);
    let read = parts.iter().map(open).collect::<Result<_, _>>()?;
    Ok((parts, read))
}
