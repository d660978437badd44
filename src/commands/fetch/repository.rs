//! A repository of the hub from which a model is to be chosen.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use super::Display;
use crate::{
    gguf::Gguf,
    hub::{
        Cache, CachedSnapshot, Client, Config, GgufModel, HubError, NotCached, Options, Place,
        Repo, RetryPolicy, quoted,
    },
};

/// How long the hub is waited for where what is here will do.
const PATIENCE: Duration = Duration::from_secs(3);

/// Bytes of a GGUF that are read first for its header, and the most that are.
const HEADER: std::ops::RangeInclusive<u64> = 2 << 20..=64 << 20;

/// A repository, as it is on the hub now, or in the cache.
pub(in crate::commands) struct Repository {
    client: Client,
    cache: Cache,
    repo: Repo,
    place: Place,
}

impl Repository {
    /// Asks for what is in a repository; `tag` says which model of it is wanted. What the cache has is
    /// taken where the hub cannot be reached.
    pub(in crate::commands) fn open(
        client: Client,
        repo: Repo,
        tag: Option<&str>,
    ) -> Result<Self, HubError> {
        let cache = Cache::new(&client.config().cache);
        let has_some = |cached: &CachedSnapshot| {
            let files = files_in(cached);
            let models = models_among(&files);
            let found = match tag {
                Some(tag) => !GgufModel::tagged(&models, tag).is_empty(),
                None => !models.is_empty(),
            };
            match found || tag.is_none() && is_checkpoint(&files) {
                // The hub may have more.
                true => Ok(false),
                false => Err(missing(cached, tag)),
            }
        };
        let place = cache.locate(&client, &repo, &has_some)?;
        if let Place::Cached(_, Some(unreachable)) = &place {
            crate::chat::note(&unreachable.to_string());
        }
        Ok(Self {
            client,
            cache,
            repo,
            place,
        })
    }

    /// Its files, each with its size.
    fn files(&self) -> Vec<(String, Option<u64>)> {
        match &self.place {
            Place::Cached(cached, _) => files_in(cached),
            Place::Hub(snapshot) => {
                let files = snapshot.files.iter();
                files.map(|file| (file.path.clone(), file.size)).collect()
            }
        }
    }

    /// The models among its GGUF files.
    pub(in crate::commands) fn models(&self) -> Vec<GgufModel> {
        models_among(&self.files())
    }

    /// Whether it holds a checkpoint.
    pub(in crate::commands) fn is_checkpoint(&self) -> bool {
        is_checkpoint(&self.files())
    }

    /// The one model that `tag` stands for; `None` where none does.
    pub(in crate::commands) fn tagged(&self, tag: &str) -> Result<Option<GgufModel>, HubError> {
        let models = self.models();
        match GgufModel::tagged(&models, tag)[..] {
            [] => Ok(None),
            [one] => Ok(Some(one.clone())),
            ref several => {
                let names: Vec<&str> = several.iter().map(|model| model.first()).collect();
                Err(HubError::name(
                    &format!("{}:{tag}", self.repo),
                    format!(
                        "several files are of that type, name one of them: {}",
                        quoted(&names)
                    ),
                ))
            }
        }
    }

    /// The error for a tag that nothing in it is named after.
    pub(in crate::commands) fn without(&self, tag: &str) -> HubError {
        let models = self.models();
        let names: Vec<&str> = models.iter().map(GgufModel::first).collect();
        let reason = match (&names[..], self.is_checkpoint()) {
            ([], true) => {
                let repo = &self.repo;
                format!(
                    "it has no GGUF file but a checkpoint: `run {repo} --type TYPE` converts it"
                )
            }
            ([], false) => "it has no GGUF file".to_owned(),
            (names, _) => format!("it has no GGUF file of that type: it has {}", quoted(names)),
        };
        HubError::name(&format!("{}:{tag}", self.repo), reason)
    }

    /// Fetches a model into the cache; where its first file is there.
    pub(in crate::commands) fn fetch(&self, model: &GgufModel) -> Result<PathBuf, HubError> {
        let folder = match &self.place {
            Place::Cached(cached, _) => cached.dir.clone(),
            Place::Hub(snapshot) => {
                let paths: Vec<&str> = model.paths.iter().map(String::as_str).collect();
                let display = Display::new();
                let options = Options::default();
                self.cache
                    .download(&self.client, snapshot, &paths, &options, &|event| {
                        display.show(event);
                    })?
            }
        };
        Ok(folder.join(model.first()))
    }

    /// Whether the cache has all files of a model.
    pub(in crate::commands) fn is_cached(&self, model: &GgufModel) -> bool {
        let dir = match &self.place {
            Place::Cached(..) => return true,
            Place::Hub(snapshot) => {
                let pinned = Repo::new(snapshot.repo.id.clone(), Some(&snapshot.commit));
                pinned.ok().and_then(|repo| self.cache.snapshot(&repo).ok())
            }
        };
        dir.is_some_and(|cached| model.paths.iter().all(|path| cached.file(path).is_ok()))
    }

    /// The header of a model's first file; `None` where it cannot be had.
    pub(in crate::commands) fn header(&self, model: &GgufModel) -> Option<Gguf> {
        let snapshot = match &self.place {
            Place::Cached(cached, _) => return Gguf::open(&cached.dir.join(model.first())).ok(),
            Place::Hub(snapshot) => snapshot,
        };
        let file = self.client.open(snapshot, model.first()).ok()?;
        let mut len = *HEADER.start();
        loop {
            let mut bytes = vec![0; len.min(file.size()) as usize];
            file.read_exact_at(&mut bytes, 0).ok()?;
            match Gguf::parse(&bytes, file.size()) {
                Ok(gguf) => return Some(gguf),
                Err(_) if len < file.size() && len < *HEADER.end() => len *= 4,
                Err(_) => return None,
            }
        }
    }
}

/// The commit that a repository is at now; an error says why the hub did not tell in time.
pub(in crate::commands) fn commit_now(config: &Config, repo: &Repo) -> Result<String, String> {
    if repo.is_pinned() {
        return Ok(repo.revision.to_lowercase());
    }
    let policy = RetryPolicy {
        attempts: 1,
        first_attempts: 1,
        total: PATIENCE,
        connect_timeout: PATIENCE,
        read_timeout: PATIENCE,
        ..RetryPolicy::default()
    };
    let stop = Arc::new(AtomicBool::new(false));
    let client = Client::new(config.clone(), policy, Arc::clone(&stop));
    let (answer, answered) = mpsc::channel();
    let repo = repo.clone();
    // The time-outs of a request are for its steps; this one is for all of them.
    thread::spawn(move || {
        let _ = answer.send(client.snapshot(&repo));
    });
    match answered.recv_timeout(PATIENCE) {
        Ok(Ok(snapshot)) => Ok(snapshot.commit),
        Ok(Err(HubError::GaveUp { last, .. })) => Err(last),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => {
            stop.store(true, Ordering::Relaxed);
            Err(format!("no answer within {} s", PATIENCE.as_secs()))
        }
    }
}

fn models_among(files: &[(String, Option<u64>)]) -> Vec<GgufModel> {
    let files: Vec<(&str, Option<u64>)> =
        files.iter().map(|(p, size)| (p.as_str(), *size)).collect();
    GgufModel::among(&files)
}

fn is_checkpoint(files: &[(String, Option<u64>)]) -> bool {
    let has = |is: &dyn Fn(&str) -> bool| files.iter().any(|(path, _)| is(path));
    let is_shard = |path: &str| path.ends_with(".safetensors") && !path.contains('/');
    has(&|path| path == "config.json") && has(&is_shard)
}

/// The files that the cache has of a repository, those of folders in it included.
fn files_in(cached: &CachedSnapshot) -> Vec<(String, Option<u64>)> {
    let mut names = Vec::new();
    for name in cached.names_beside("") {
        match cached.dir.join(&name).is_dir() {
            true => {
                let inner = format!("{name}/");
                let beside = cached.names_beside(&inner).into_iter();
                names.extend(beside.map(|other| inner.clone() + &other));
            }
            false => names.push(name),
        }
    }
    let size = |name: &str| Some(cached.file(name).ok()?.metadata().ok()?.len());
    let files = names.into_iter().filter_map(|name| {
        let size = size(&name)?;
        Some((name, Some(size)))
    });
    files.collect()
}

/// What the cache does not have.
fn missing(cached: &CachedSnapshot, tag: Option<&str>) -> NotCached {
    let wanted = format!("*{}.gguf", tag.unwrap_or_default());
    match cached.file(&wanted) {
        Err(missing) => missing,
        Ok(_) => cached.without_weights(),
    }
}
