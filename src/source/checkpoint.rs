//! A checkpoint folder: its config and the tensors of all its shards.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    ops::Range,
    path::{Component, Path, PathBuf},
};

use serde::Deserialize;

use super::{
    Origin,
    error::SourceError,
    safetensors::{self, Entry},
    shard::Shard,
};

pub(super) const INDEX_FILE: &str = "model.safetensors.index.json";
pub(super) const SINGLE_FILE: &str = "model.safetensors";

/// What a checkpoint has besides its shards.
pub(super) const OTHER_FILES: [&str; 12] = [
    "config.json",
    "generation_config.json",
    INDEX_FILE,
    "tokenizer.model",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    "mergekit_moe_config.yml",
    "README.md",
];

/// The largest JSON file we read whole: real ones are far smaller.
const MAX_JSON_BYTES: u64 = 256 << 20;

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
    /// What it is on the hub, if that is known.
    pub origin: Option<Origin>,
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
        let not_a_checkpoint = |reason: &str| SourceError::NotACheckpoint {
            path: dir.into(),
            reason: reason.into(),
        };
        match fs::metadata(dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(not_a_checkpoint("there is no such folder"));
            }
            Err(error) => {
                return Err(SourceError::Io {
                    path: dir.into(),
                    error,
                });
            }
            Ok(m) if !m.is_dir() => {
                return Err(not_a_checkpoint(
                    "it is a file, expected the folder that holds `config.json`",
                ));
            }
            Ok(_) => {}
        }
        let config_path = dir.join("config.json");
        if !config_path.is_file() {
            return Err(not_a_checkpoint("it has no `config.json`"));
        }
        let config = read_json(&config_path)?;
        let (shards, tensors) = open_shards(dir)?;
        let names = shards.iter().map(|shard| shard.path());
        Ok(Self {
            origin: Origin::of_cache(dir, names),
            dir: dir.into(),
            config,
            shards,
            tensors,
        })
    }

    /// Every file that belongs to the checkpoint; an output must be none of them.
    pub fn files(&self) -> impl Iterator<Item = PathBuf> {
        let shards = self.shards.iter().map(|shard| shard.path().to_owned());
        shards.chain(OTHER_FILES.iter().map(|name| self.dir.join(name)))
    }
}

/// Reads and parses a JSON file of a checkpoint.
///
/// # Errors
/// When the file cannot be read, is far too large or is not JSON.
pub(super) fn read_json<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<T, SourceError> {
    let io_error = |error| SourceError::Io {
        path: path.into(),
        error,
    };
    let len = fs::metadata(path).map_err(io_error)?.len();
    if len > MAX_JSON_BYTES {
        return Err(SourceError::malformed(
            path,
            format!("expected a JSON file of at most {MAX_JSON_BYTES} bytes, found {len}"),
        ));
    }
    let text = fs::read(path).map_err(io_error)?;
    serde_json::from_slice(&text)
        .map_err(|error| SourceError::malformed(path, format!("broken JSON: {error}")))
}

type Shards = (Vec<Shard>, BTreeMap<String, SourceTensor>);

fn open_shards(dir: &Path) -> Result<Shards, SourceError> {
    let index_path = dir.join(INDEX_FILE);
    if index_path.is_file() {
        let index: Index = read_json(&index_path)?;
        return open_indexed(dir, &index_path, &index);
    }
    let path = dir.join(SINGLE_FILE);
    if !path.is_file() {
        let reason = if has_pickle(dir) {
            format!("its weights are PyTorch pickles, expected `{SINGLE_FILE}` or `{INDEX_FILE}`")
        } else {
            format!("it has neither `{SINGLE_FILE}` nor `{INDEX_FILE}`")
        };
        return Err(SourceError::NotACheckpoint {
            path: dir.into(),
            reason,
        });
    }
    let mut joined = Joined::default();
    joined.add(open_local(path)?)?;
    Ok((joined.shards, joined.tensors))
}

/// Opens one safetensors file by itself: the file, as the only shard, and its tensors by name.
///
/// # Errors
/// When it cannot be read or is not what it should be.
pub fn open_safetensors(path: &Path) -> Result<Shards, SourceError> {
    let mut joined = Joined::default();
    joined.add(open_local(path.into())?)?;
    Ok((joined.shards, joined.tensors))
}

pub(super) fn open_local(path: PathBuf) -> Result<Shard, SourceError> {
    match File::open(&path) {
        Ok(file) => Ok(Shard::new(path, file)),
        Err(error) => Err(SourceError::Io { path, error }),
    }
}

fn has_pickle(dir: &Path) -> bool {
    ["pytorch_model.bin", "pytorch_model.bin.index.json"]
        .iter()
        .any(|f| dir.join(f).is_file())
}

fn open_indexed(dir: &Path, index_path: &Path, index: &Index) -> Result<Shards, SourceError> {
    let mut joined = Joined::default();
    for name in index.shards(index_path)? {
        let path = dir.join(name);
        if !path.is_file() {
            return Err(SourceError::ShardMissing {
                path,
                index: index_path.into(),
            });
        }
        joined.add(open_local(path)?)?;
    }
    joined.require_as_indexed(index, index_path, |shard| dir.join(shard))?;
    Ok((joined.shards, joined.tensors))
}

impl Index {
    /// The names of the shards, each once and in order.
    pub(super) fn shards(&self, path: &Path) -> Result<Vec<&str>, SourceError> {
        let mut names: Vec<&str> = Vec::new();
        for (tensor, shard) in &self.weight_map {
            if !is_plain_name(shard) {
                return Err(SourceError::ShardOutsideFolder {
                    index: path.into(),
                    tensor: tensor.clone(),
                    shard: shard.clone(),
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
                        "it is in `{}` too",
                        self.shards[first.shard].path().display()
                    )
                };
                return Err(SourceError::Tensor {
                    path: path.into(),
                    tensor: name,
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
                    tensor: tensor.clone(),
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
