//! Models in several files: names and metadata of the parts, as llama.cpp has them.

use std::path::{Path, PathBuf};

use super::{Gguf, KeyValues, Value};

const NO: &str = "split.no";
const COUNT: &str = "split.count";
const TENSORS_COUNT: &str = "split.tensors.count";

/// What a part says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Split {
    /// Index of the part, from 0.
    pub no: u64,
    /// Number of parts.
    pub count: u64,
    /// Number of tensors in all parts.
    pub tensors: u64,
}

impl Split {
    /// What `gguf` says of itself; `None` for a model in one file.
    pub fn of(gguf: &Gguf) -> Option<Self> {
        let count = gguf.get_u64(COUNT).filter(|count| *count > 1)?;
        Some(Self {
            no: gguf.get_u64(NO).unwrap_or(0),
            count,
            tensors: gguf.get_u64(TENSORS_COUNT).unwrap_or(0),
        })
    }
}

/// Whether a key speaks of the part and not of the model.
pub fn is_split_key(key: &str) -> bool {
    [NO, COUNT, TENSORS_COUNT].contains(&key)
}

/// The metadata of part `no` of `count`, in the order in which `gguf-split` leaves it.
pub fn key_values(no: usize, count: usize, tensors: usize) -> KeyValues {
    let small = |n: usize| Value::U16(u16::try_from(n).unwrap_or(u16::MAX));
    let tensors = i32::try_from(tensors).unwrap_or(i32::MAX);
    vec![
        (NO.into(), small(no)),
        (TENSORS_COUNT.into(), Value::I32(tensors)),
        (COUNT.into(), small(count)),
    ]
}

/// The place of part `no` (from 0) of `count` for a model that would be at `path`:
/// `model-00001-of-00003.gguf` for `model.gguf`.
pub fn path(path: &Path, no: usize, count: usize) -> PathBuf {
    let stem = match path.extension() {
        Some(extension) if extension.eq_ignore_ascii_case("gguf") => path.file_stem(),
        _ => path.file_name(),
    };
    let mut name = stem.unwrap_or_default().to_owned();
    name.push(format!("-{:05}-of-{count:05}.gguf", no + 1));
    path.with_file_name(name)
}

/// The path that `part`, one of `count`, would have if the model were in one file; `None` where it is not
/// named as parts are.
pub fn whole_path(part: &Path, split: Split) -> Option<PathBuf> {
    let name = part.file_name()?.to_str()?;
    let ending = format!("-{:05}-of-{:05}.gguf", split.no + 1, split.count);
    let prefix = name.strip_suffix(&ending)?;
    Some(part.with_file_name(format!("{prefix}.gguf")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_named_as_llama_cpp_names_them() {
        for (whole, part) in [
            ("a/model.gguf", "a/model-00002-of-00012.gguf"),
            ("model.v1", "model.v1-00002-of-00012.gguf"),
            ("b.c/model.GGUF", "b.c/model-00002-of-00012.gguf"),
        ] {
            assert_eq!(path(Path::new(whole), 1, 12), Path::new(part), "{whole}");
        }
        let split = Split {
            no: 1,
            count: 12,
            tensors: 3,
        };
        let whole = |part: &str| whole_path(Path::new(part), split);
        assert_eq!(
            whole("a/m-00002-of-00012.gguf"),
            Some(Path::new("a/m.gguf").to_owned())
        );
        assert_eq!(whole("a/m-00001-of-00012.gguf"), None);
        assert_eq!(whole("a/m.gguf"), None);
    }
}
