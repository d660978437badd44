//! A checkpoint on the hub: small files go through the cache, tensors are read by ranges. One that the
//! cache has whole is a folder like any other.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use super::{
    Checkpoint, Origin, SourceError, WeightsError,
    checkpoint::{INDEX_FILE, Index, Joined, OTHER_FILES, open_local, read_json},
    folder::{self, ADAPTER_FILE, CONFIG_FILE},
    shard::Shard,
    weights_files::{self, WeightFiles},
};
use crate::hub::{
    Cache, CachedSnapshot, Client, Event, HubError, MAX_POINTER, NotCached, Options, Place, Repo,
    Snapshot, ggufs, quoted,
};

/// The model's card, which is never a reason to stop.
const CARD: &str = "README.md";

/// Files any of which is a tokenizer.
const TOKENIZERS: [&str; 4] = [
    "tokenizer.model",
    "tokenizer.json",
    "tekken.json",
    "hy.tiktoken",
];

/// A repository at a commit, its small files in the cache.
struct HubFolder {
    snapshot: Snapshot,
    dir: PathBuf,
    /// The index, where that is what names the shards.
    index: Option<Index>,
    shards: Vec<String>,
    notes: Vec<String>,
}

impl HubFolder {
    fn open(client: &Client, snapshot: Snapshot) -> Result<Self, SourceError> {
        if !snapshot.contains(CONFIG_FILE) {
            return Err(without_config(client, &snapshot));
        }
        let mut notes = Vec::new();
        let names = snapshot.files.iter().map(|file| file.path.as_str());
        let chosen = weights_files::choose(names, &mut notes)
            .map_err(|problem| without_weights(&snapshot, &problem))?;
        let has = |name: &&str| snapshot.contains(name);
        let small: Vec<&str> = OTHER_FILES.into_iter().filter(has).collect();
        let dir = fetch(client, &snapshot, &small)?;
        let index_path = dir.join(INDEX_FILE);
        let (index, shards) = match chosen {
            WeightFiles::Single(name) => (None, vec![name]),
            WeightFiles::Numbered(names) => (None, names),
            WeightFiles::Indexed => {
                let index: Index = read_json(&index_path)?;
                let shards = index.shards(&index_path)?;
                let shards = shards.into_iter().map(str::to_owned).collect();
                (Some(index), shards)
            }
        };
        // What is as small as a pointer may be one, and is looked at.
        let is_tiny = |name: &&str| {
            let size = snapshot.file(name).ok().and_then(|file| file.size);
            size.is_some_and(|size| size <= MAX_POINTER)
        };
        let tiny: Vec<&str> = shards.iter().map(String::as_str).filter(is_tiny).collect();
        fetch(client, &snapshot, &tiny)?;
        Ok(Self {
            snapshot,
            dir,
            index,
            shards,
            notes,
        })
    }

    /// The path of a shard that the cache has whole.
    fn cached(&self, name: &str) -> Result<Option<PathBuf>, HubError> {
        let size = self.snapshot.file(name)?.size;
        let path = self.dir.join(name);
        let found = path.metadata().ok().filter(|found| found.is_file());
        let is_whole = found.is_some_and(|found| size.is_none_or(|size| size == found.len()));
        Ok(is_whole.then_some(path))
    }
}

/// The error for a repository without a config.json: what it is instead, where that can be told.
fn without_config(client: &Client, snapshot: &Snapshot) -> SourceError {
    let names: Vec<&str> = snapshot.files.iter().map(|f| f.path.as_str()).collect();
    let reason = if names.contains(&ADAPTER_FILE) {
        let config = fetch(client, snapshot, &[ADAPTER_FILE])
            .and_then(|dir| read_json(&dir.join(ADAPTER_FILE)));
        Some(folder::an_adapter(&config.unwrap_or_default()))
    } else {
        only_ggufs(snapshot, &names)
    };
    match (reason, snapshot.file(CONFIG_FILE)) {
        (Some(reason), _) => not_a_checkpoint(snapshot, reason),
        (None, Err(error)) => error.into(),
        (None, Ok(_)) => not_a_checkpoint(snapshot, "it cannot be told what it is".into()),
    }
}

/// The error for a repository with a config.json and without weights that we read.
fn without_weights(snapshot: &Snapshot, problem: &WeightsError) -> SourceError {
    let names: Vec<&str> = snapshot.files.iter().map(|f| f.path.as_str()).collect();
    let ggufs = match problem {
        WeightsError::Gguf { .. } | WeightsError::Missing => only_ggufs(snapshot, &names),
        _ => None,
    };
    not_a_checkpoint(snapshot, ggufs.unwrap_or_else(|| problem.to_string()))
}

/// What is said of a repository of GGUFs; `None` where it has none.
fn only_ggufs(snapshot: &Snapshot, names: &[&str]) -> Option<String> {
    let ggufs = ggufs(names.iter().copied());
    let first = ggufs.first()?;
    let repo = &snapshot.repo;
    Some(format!(
        "it holds GGUF files, {}: `quantize` and `run` take one as `{repo}:{first}`",
        quoted(&ggufs)
    ))
}

fn not_a_checkpoint(snapshot: &Snapshot, reason: String) -> SourceError {
    let repo = snapshot.repo.to_string();
    HubError::NotACheckpoint { repo, reason }.into()
}

fn cache(client: &Client) -> Cache {
    Cache::new(&client.config().cache)
}

fn fetch(client: &Client, snapshot: &Snapshot, paths: &[&str]) -> Result<PathBuf, SourceError> {
    Ok(cache(client).download(client, snapshot, paths, &Options::default(), &|_| ())?)
}

/// Whether the cache has a checkpoint whole: its config, all of its weights, and of the other files
/// no link to nothing. `false` where a tokenizer is not among them, which the hub may have.
///
/// What cannot be read, or is no checkpoint, counts as whole: it is the opening that tells.
fn is_whole(cached: &CachedSnapshot) -> Result<bool, NotCached> {
    let names: BTreeSet<String> = cached.names_beside("").into_iter().collect();
    let is_other = names.contains(ADAPTER_FILE)
        || names
            .iter()
            .any(|name| name.to_ascii_lowercase().ends_with(".gguf"));
    if !names.contains(CONFIG_FILE) && is_other {
        return Ok(false);
    }
    cached.file(CONFIG_FILE)?;
    let weights = match weights_files::choose(names.iter().map(String::as_str), &mut Vec::new()) {
        Ok(WeightFiles::Single(name)) => vec![name],
        Ok(WeightFiles::Numbered(names)) => names,
        Ok(WeightFiles::Indexed) => {
            let path = cached.file(INDEX_FILE)?;
            let index = read_json(&path);
            let shards = index.and_then(|index: Index| {
                let shards = index.shards(&path)?;
                Ok(shards.into_iter().map(str::to_owned).collect())
            });
            shards.unwrap_or_default()
        }
        Err(WeightsError::Incomplete { missing, .. }) => missing,
        Err(WeightsError::Missing) => return Err(cached.without_weights()),
        Err(_) => Vec::new(),
    };
    for name in weights {
        cached.file(&name)?;
    }
    let others = OTHER_FILES.iter().filter(|name| names.contains(**name));
    for name in others.filter(|name| **name != CARD) {
        cached.file(name)?;
    }
    Ok(TOKENIZERS.iter().any(|name| names.contains(*name)))
}

impl Checkpoint {
    /// Opens a repository of the hub: small files are fetched into the cache, of the shards only
    /// the headers are read, and their tensors later by ranges. A shard that the cache has is
    /// read there. What the cache has whole is taken as it is, where [`Cache::locate`] says so.
    ///
    /// # Errors
    /// When the hub does not give what is needed, or it is not what it should be.
    pub fn open_hub(client: &Client, repo: &Repo) -> Result<Self, SourceError> {
        match cache(client).locate(client, repo, &is_whole)? {
            Place::Cached(cached, unreachable) => {
                let mut checkpoint = Self::open_cached(&cached)?;
                let note = unreachable.map(|unreachable| unreachable.to_string());
                checkpoint.notes.splice(0..0, note);
                Ok(checkpoint)
            }
            Place::Hub(snapshot) => match Self::open_remote(client, snapshot.clone()) {
                Err(SourceError::Hub(error)) => Self::open_instead(client, &snapshot, error),
                opened => opened,
            },
        }
    }

    /// Opens what the cache has of the same commit where a file cannot be fetched or stored, as in a
    /// cache that may only be read: it is whole, if perhaps without a file that the hub has.
    fn open_instead(
        client: &Client,
        snapshot: &Snapshot,
        error: HubError,
    ) -> Result<Self, SourceError> {
        if !matches!(error, HubError::Io { .. } | HubError::GaveUp { .. }) {
            return Err(error.into());
        }
        let pinned = Repo::new(snapshot.repo.id.clone(), Some(&snapshot.commit))?;
        let cached = cache(client).snapshot(&pinned);
        let whole = cached.and_then(|cached| is_whole(&cached).map(|_| cached));
        let Ok(cached) = whole else {
            return Err(error.into());
        };
        let mut checkpoint = Self::open_cached(&cached)?;
        let note = format!("{} is as the cache has it: {error}", snapshot.repo);
        checkpoint.notes.insert(0, note);
        Ok(checkpoint)
    }

    fn open_cached(cached: &CachedSnapshot) -> Result<Self, SourceError> {
        let mut checkpoint = Self::open(&cached.dir)?;
        let shards = checkpoint.shards.iter().map(Shard::path);
        checkpoint.origin = Some(Origin {
            repo: cached.repo.id.as_str().to_owned(),
            commit: cached.commit.clone(),
            shards: Origin::etags(shards).unwrap_or_default(),
        });
        if !cached.dir.join(CARD).exists() && !cached.is_known_to_lack(CARD) {
            checkpoint.notes.push(format!(
                "the cache does not have `{CARD}` of {}, which may tell name, license and base models",
                cached.repo
            ));
        }
        Ok(checkpoint)
    }

    fn open_remote(client: &Client, snapshot: Snapshot) -> Result<Self, SourceError> {
        let folder = HubFolder::open(client, snapshot)?;
        let (dir, snapshot) = (&folder.dir, &folder.snapshot);
        let config = read_json(&dir.join(CONFIG_FILE))?;
        let label = snapshot.repo.to_string();

        let mut joined = Joined::default();
        let mut etags = Vec::new();
        for name in &folder.shards {
            let etag = match snapshot.file(name)?.digest.as_ref() {
                Some(digest) => digest.hex().to_owned(),
                None => client.metadata(snapshot, name)?.etag,
            };
            joined.add(match folder.cached(name)? {
                Some(path) => open_local(path)?,
                None => Shard::remote(&label, client.open(snapshot, name)?),
            })?;
            etags.push((name.clone(), etag));
        }
        if let Some(index) = &folder.index {
            let place = |name: &str| match folder.cached(name) {
                Ok(Some(path)) => path,
                _ => PathBuf::from(format!("{label}:{name}")),
            };
            joined.require_as_indexed(index, &dir.join(INDEX_FILE), place)?;
        }
        Ok(Self {
            origin: Some(Origin {
                repo: snapshot.repo.id.as_str().to_owned(),
                commit: snapshot.commit.clone(),
                shards: etags,
            }),
            dir: folder.dir,
            config,
            shards: joined.shards,
            tensors: joined.tensors,
            skipped: BTreeMap::new(),
            notes: folder.notes,
        })
    }

    /// Fetches all files of a checkpoint into the cache, and tells the folder they are in. What the
    /// cache has whole is taken, where [`Cache::locate`] says so.
    ///
    /// # Errors
    /// When the hub does not give them, or they are not what the hub says.
    pub fn download(
        client: &Client,
        repo: &Repo,
        progress: &dyn Fn(Event<'_>),
    ) -> Result<PathBuf, SourceError> {
        let snapshot = match cache(client).locate(client, repo, &is_whole)? {
            Place::Cached(cached, unreachable) => {
                if let Some(unreachable) = &unreachable {
                    progress(Event::Unreachable(unreachable));
                }
                return Ok(cached.dir);
            }
            Place::Hub(snapshot) => snapshot,
        };
        let folder = HubFolder::open(client, snapshot)?;
        let shards: Vec<&str> = folder.shards.iter().map(String::as_str).collect();
        let options = Options::default();
        Ok(cache(client).download(client, &folder.snapshot, &shards, &options, progress)?)
    }
}
