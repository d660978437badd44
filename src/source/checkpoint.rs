//! A checkpoint folder: its config and the tensors of all its shards.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    ops::Range,
    path::{Component, Path, PathBuf},
};

use serde::{Deserialize, de::DeserializeOwned};

use super::{
    Origin,
    error::SourceError,
    folder::{self, MAX_JSON_BYTES},
    safetensors::{self, Entry},
    shard::Shard,
    text_file,
    weights_files::{self, WeightFiles},
};

pub(super) use super::weights_files::INDEX_FILE;
use crate::gguf::shown;

/// What a checkpoint has besides its shards.
pub(super) const OTHER_FILES: [&str; 14] = [
    "config.json",
    "generation_config.json",
    INDEX_FILE,
    "tokenizer.model",
    "tokenizer.json",
    "tekken.json",
    "hy.tiktoken",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    "mergekit_moe_config.yml",
    "README.md",
];

/// A tensor of a checkpoint: where its bytes are.
#[derive(Clone, Debug)]
pub struct SourceTensor {
    /// Format as the shard's header writes it, for example `BF16`.
    pub dtype: String,
    /// Outermost dimension first.
    pub shape: Vec<u64>,
    /// Index into [`Checkpoint::shards`].
    pub shard: usize,
    /// Bytes of the shard's file.
    pub bytes: Range<u64>,
}

/// An opened checkpoint folder; nothing but headers has been read.
#[derive(Debug)]
pub struct Checkpoint {
    /// The folder.
    pub dir: PathBuf,
    /// `config.json`.
    pub config: serde_json::Value,
    /// The shards, in the order of their names.
    pub shards: Vec<Shard>,
    /// Every tensor by name.
    pub tensors: BTreeMap<String, SourceTensor>,
    /// Tensors that are left out by hand, each with the pattern that names it.
    pub skipped: BTreeMap<String, String>,
    /// What it is on the hub, if that is known.
    pub origin: Option<Origin>,
    /// What a user should know of the choice of files.
    pub notes: Vec<String>,
}

#[derive(Deserialize)]
pub(super) struct Index {
    weight_map: BTreeMap<String, String>,
}

impl Checkpoint {
    /// Opens the folder `dir` and reads `config.json` and the headers of all shards.
    ///
    /// # Errors
    /// When the folder, the index or a shard's header is not what it should be.
    pub fn open(dir: &Path) -> Result<Self, SourceError> {
        let names = folder::names(dir)?;
        let config = folder::config(dir, &names)?;
        let mut notes = folder::notes(&names);
        let Joined { shards, tensors } = open_shards(dir, &names, &mut notes)?;
        let paths = shards.iter().map(|shard| shard.path());
        Ok(Self {
            origin: Origin::of_cache(dir, paths),
            dir: dir.into(),
            config,
            shards,
            tensors,
            skipped: BTreeMap::new(),
            notes,
        })
    }

    /// Every file that belongs to the checkpoint; an output must be none of them.
    pub fn files(&self) -> impl Iterator<Item = PathBuf> {
        let shards = self.shards.iter().map(|shard| shard.path().to_owned());
        shards.chain(OTHER_FILES.iter().map(|name| self.dir.join(name)))
    }
}

/// Reads a JSON file of a checkpoint that has to be there.
///
/// # Errors
/// When the file cannot be read, is far too large or is not JSON.
pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, SourceError> {
    let read = text_file::read_json(path, MAX_JSON_BYTES);
    match read.map_err(|problem| SourceError::file(path, problem))? {
        Some(parsed) => Ok(parsed),
        None => Err(SourceError::io(path, io::ErrorKind::NotFound.into())),
    }
}

/// Opens the shards in `dir`, which has files of these `names`.
fn open_shards(
    dir: &Path,
    names: &BTreeSet<String>,
    notes: &mut Vec<String>,
) -> Result<Joined, SourceError> {
    let chosen = weights_files::choose(names.iter().map(String::as_str), notes);
    let chosen = chosen.map_err(|problem| SourceError::Weights {
        path: dir.into(),
        problem,
    })?;
    let mut joined = Joined::default();
    match chosen {
        WeightFiles::Single(name) => joined.add(open_local(dir.join(name))?)?,
        WeightFiles::Numbered(shards) => {
            for name in shards {
                joined.add(open_local(dir.join(name))?)?;
            }
        }
        WeightFiles::Indexed => {
            let index_path = dir.join(INDEX_FILE);
            let index: Index = read_json(&index_path)?;
            let shards = index.shards(&index_path)?;
            let missing = shards.iter().filter(|shard| !names.contains(**shard));
            let missing: Vec<String> = missing.map(|&shard| shard.to_owned()).collect();
            if !missing.is_empty() {
                let other = names.iter().find(|name| {
                    name.ends_with(".safetensors") && !shards.contains(&name.as_str())
                });
                return Err(SourceError::ShardMissing {
                    missing,
                    count: shards.len(),
                    index: index_path,
                    hint: other.map_or(String::new(), |other| {
                        format!(" (`{}` is there, which it does not name)", shown(other))
                    }),
                });
            }
            for name in shards {
                joined.add(open_local(dir.join(name))?)?;
            }
            joined.require_as_indexed(&index, &index_path, |shard| dir.join(shard))?;
        }
    }
    Ok(joined)
}

/// Opens one safetensors file by itself: the file, as the only shard, and its tensors by name.
///
/// # Errors
/// When it cannot be read or is not what it should be.
pub fn open_safetensors(
    path: &Path,
) -> Result<(Vec<Shard>, BTreeMap<String, SourceTensor>), SourceError> {
    let mut joined = Joined::default();
    joined.add(open_local(path.into())?)?;
    Ok((joined.shards, joined.tensors))
}

pub(super) fn open_local(path: PathBuf) -> Result<Shard, SourceError> {
    match text_file::open(&path) {
        Ok(Some(file)) => Ok(Shard::new(path, file)),
        Ok(None) => Err(SourceError::io(&path, io::ErrorKind::NotFound.into())),
        Err(problem) => Err(SourceError::file(&path, problem)),
    }
}

impl Index {
    /// The names of the shards, each once and in order.
    pub(super) fn shards(&self, path: &Path) -> Result<Vec<&str>, SourceError> {
        let mut names: Vec<&str> = Vec::new();
        for (tensor, shard) in &self.weight_map {
            if !is_plain_name(shard) {
                return Err(SourceError::ShardOutsideFolder {
                    index: path.into(),
                    tensor: shown(tensor),
                    shard: shown(shard),
                });
            }
            names.push(shard);
        }
        names.sort_unstable();
        names.dedup();
        match names.is_empty() {
            true => Err(SourceError::malformed(path, "its `weight_map` is empty")),
            false => Ok(names),
        }
    }
}

/// Whether `name` names a file in a folder and nothing outside it. Backslashes and colons are
/// separators on some systems, so they are refused on all.
fn is_plain_name(name: &str) -> bool {
    let mut components = Path::new(name).components();
    matches!(components.next(), Some(Component::Normal(c)) if c == name)
        && components.next().is_none()
        && !name.contains(['/', '\\', ':', '\0'])
}

/// Shards and their tensors, in one table.
#[derive(Default)]
pub(super) struct Joined {
    pub(super) shards: Vec<Shard>,
    pub(super) tensors: BTreeMap<String, SourceTensor>,
}

impl Joined {
    /// Reads the header of a shard and adds its tensors.
    pub(super) fn add(&mut self, file: Shard) -> Result<(), SourceError> {
        let path = file.path();
        let shard = self.shards.len();
        for Entry {
            name,
            dtype,
            shape,
            bytes,
        } in safetensors::read_header(&file)?
        {
            if let Some(first) = self.tensors.get(&name) {
                let reason = if first.shard == shard {
                    "it is there twice".to_owned()
                } else {
                    format!(
                        "it is in `{}` too, expected in one of them",
                        self.shards[first.shard].path().display()
                    )
                };
                return Err(SourceError::Tensor {
                    path: path.into(),
                    tensor: shown(&name),
                    reason,
                });
            }
            self.tensors.insert(
                name,
                SourceTensor {
                    dtype,
                    shape,
                    shard,
                    bytes,
                },
            );
        }
        self.shards.push(file);
        Ok(())
    }

    /// Fails where a tensor is not in the shard that the index places it in.
    pub(super) fn require_as_indexed(
        &self,
        index: &Index,
        index_path: &Path,
        place: impl Fn(&str) -> PathBuf,
    ) -> Result<(), SourceError> {
        for (tensor, shard) in &index.weight_map {
            let found = self.tensors.get(tensor);
            let found = found.map(|t| self.shards[t.shard].path());
            if found != Some(place(shard).as_path()) {
                return Err(SourceError::Tensor {
                    path: index_path.into(),
                    tensor: shown(tensor),
                    reason: match found {
                        Some(other) => {
                            format!("expected in `{shard}`, found in `{}`", other.display())
                        }
                        None => format!("expected in `{shard}`, which does not have it"),
                    },
                });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::is_plain_name;

    #[test]
    fn only_names_inside_the_folder_are_plain() {
        assert!(is_plain_name("model-00001-of-00002.safetensors"));
        for bad in [
            "",
            ".",
            "..",
            "../x",
            "/etc/passwd",
            "a/b",
            "a/",
            r"..\x",
            "C:x",
            "./a",
        ] {
            assert!(!is_plain_name(bad), "{bad:?}");
        }
    }
}
