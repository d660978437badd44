//! A checkpoint on the hub: small files go through the cache, tensors are read by ranges.

use std::{collections::BTreeMap, path::PathBuf};

use super::{
    Checkpoint, Origin, SourceError,
    checkpoint::{INDEX_FILE, Index, Joined, OTHER_FILES, SINGLE_FILE, open_local, read_json},
    shard::Shard,
};
use crate::hub::{Cache, Client, Event, Options, Repo, Snapshot};

/// A repository at a commit, its small files in the cache.
struct HubFolder {
    snapshot: Snapshot,
    dir: PathBuf,
    /// The index, where there is one, and the names of the shards.
    index: Option<Index>,
    shards: Vec<String>,
}

impl HubFolder {
    fn open(client: &Client, repo: &Repo) -> Result<Self, SourceError> {
        let snapshot = client.snapshot(repo)?;
        snapshot.file("config.json")?;
        let has = |name: &&str| snapshot.contains(name);
        let small: Vec<&str> = OTHER_FILES.into_iter().filter(has).collect();
        let dir =
            cache(client).download(client, &snapshot, &small, &Options::default(), &|_| ())?;
        let index_path = dir.join(INDEX_FILE);
        let index: Option<Index> = match snapshot.contains(INDEX_FILE) {
            true => Some(read_json(&index_path)?),
            false => None,
        };
        let shards = match &index {
            Some(index) => index.shards(&index_path)?,
            None => vec![SINGLE_FILE],
        };
        Ok(Self {
            shards: shards.into_iter().map(str::to_owned).collect(),
            snapshot,
            dir,
            index,
        })
    }
}

fn cache(client: &Client) -> Cache {
    Cache::new(&client.config().cache)
}

impl Checkpoint {
    /// Opens a repository of the hub: small files are fetched into the cache, of the shards only
    /// the headers are read, and their tensors later by ranges. A shard that the cache has is
    /// read there.
    ///
    /// # Errors
    /// When the hub does not give what is needed, or it is not what it should be.
    pub fn open_hub(client: &Client, repo: &Repo) -> Result<Self, SourceError> {
        let HubFolder {
            snapshot,
            dir,
            index,
            shards,
        } = HubFolder::open(client, repo)?;
        let config = read_json(&dir.join("config.json"))?;
        let label = repo.to_string();
        let place = |name: &str| match dir.join(name) {
            cached if cached.is_file() => cached,
            _ => PathBuf::from(format!("{label}:{name}")),
        };

        let mut joined = Joined::default();
        let mut etags = Vec::new();
        for name in shards {
            let etag = match snapshot.file(&name)?.digest.as_ref() {
                Some(digest) => digest.hex().to_owned(),
                None => client.metadata(&snapshot, &name)?.etag,
            };
            let path = place(&name);
            joined.add(match path.is_file() {
                true => open_local(path)?,
                false => Shard::remote(&label, client.open(&snapshot, &name)?),
            })?;
            etags.push((name, etag));
        }
        if let Some(index) = index {
            joined.require_as_indexed(&index, &dir.join(INDEX_FILE), place)?;
        }
        Ok(Self {
            origin: Some(Origin {
                repo: repo.id.as_str().to_owned(),
                commit: snapshot.commit,
                shards: etags,
            }),
            dir,
            config,
            shards: joined.shards,
            tensors: joined.tensors,
            skipped: BTreeMap::new(),
            notes: Vec::new(),
        })
    }

    /// Fetches all files of a checkpoint into the cache, and tells the folder they are in. Offline,
    /// what the cache has is taken.
    ///
    /// # Errors
    /// When the hub does not give them, or they are not what the hub says.
    pub fn download(
        client: &Client,
        repo: &Repo,
        progress: &dyn Fn(Event<'_>),
    ) -> Result<PathBuf, SourceError> {
        if client.config().offline
            && let Some(dir) = cache(client).snapshot_folder(repo)
        {
            return Ok(dir);
        }
        let folder = HubFolder::open(client, repo)?;
        let shards: Vec<&str> = folder.shards.iter().map(String::as_str).collect();
        let options = Options::default();
        Ok(cache(client).download(client, &folder.snapshot, &shards, &options, progress)?)
    }
}
