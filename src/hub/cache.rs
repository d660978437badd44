//! The Hugging Face cache: whole files, kept where their own library keeps and looks for them.
//!
//! ```text
//! ~/.cache/huggingface/hub/                       HF_HUB_CACHE
//!   models--ORG--NAME/
//!     refs/REVISION                               the commit that a branch or tag stood for
//!     snapshots/COMMIT/PATH ─► ../../blobs/ETAG   the files of a commit, as links
//!     blobs/ETAG                                  the bytes; ETAG is their SHA-256, or git's id
//!     blobs/ETAG.incomplete                       bytes that have come so far
//!     .no_exist/COMMIT/PATH                       that the commit has no such file
//!   .locks/models--ORG--NAME/ETAG.lock            held (flock) while a blob is fetched
//! ```
//!
//! A blob is fetched under its lock into `.incomplete`, in order, so that what is there is always
//! the file's beginning and the next run goes on behind it. (The library did the same; as of 2.4
//! each of its processes has an incomplete file of its own, and neither minds the other's.) It is
//! hashed on the way, put on disk, and moved in place if the digest is the hub's. Then the link is
//! made, and when all files are there, the ref.
//!
//! Whoever wants something of a repository asks [`Cache::locate`], which alone decides between the
//! cache and the hub.
//!
//! Why not the crate hf-hub, which has this layout too: as of 1.0 it fetches a file by one request,
//! which is not made again when the body breaks off, begins `.incomplete` anew each time and checks
//! no digest; it would also bring an async runtime and the client of another protocol, some 280
//! crates.

mod download;
mod lookup;

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use super::{
    client::Client,
    error::HubError,
    read_ahead,
    repo::{Repo, RepoFile, RepoId},
    snapshot::Snapshot,
};
use download::Download;
pub(crate) use lookup::MAX_POINTER;
use lookup::read_ref;
pub use lookup::{CachedSnapshot, NotCached};

/// The cache's folder.
#[derive(Clone, Debug)]
pub struct Cache {
    root: PathBuf,
}

/// What a download is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// Another process is fetching the same file, and we wait for it.
    Waiting {
        /// The file's path in the repository.
        path: &'a str,
    },
    /// The hub cannot be reached, and the cache has what is needed.
    Unreachable(&'a Unreachable),
    /// So many bytes are there.
    Fetching {
        /// The file's path in the repository.
        path: &'a str,
        /// Bytes that have come, those of earlier runs included.
        done: u64,
        /// Bytes of the file.
        size: u64,
    },
}

/// Where the files of a repository are to be read.
#[derive(Clone, Debug)]
pub enum Place {
    /// In the cache: because the hub is not to be asked, or cannot be.
    Cached(CachedSnapshot, Option<Unreachable>),
    /// On the hub, at this commit.
    Hub(Snapshot),
}

/// That the hub cannot be reached, and the cache's copy is taken in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreachable {
    /// The repository.
    pub repo: String,
    /// The commit that the cache has.
    pub commit: String,
    /// What came of the last attempt.
    pub reason: String,
}

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the hub cannot be reached, {} is as the cache has it, of commit {:.12}: {}",
            self.repo, self.commit, self.reason
        )
    }
}

impl Cache {
    /// The cache in a folder, which need not be there yet.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Where the files of a repository are to be read. At a commit, or offline, what the cache has is
    /// taken without asking the hub; so it is when the hub cannot be reached.
    ///
    /// `needed` says whether the cache's copy has what is needed: `true` where the hub can have
    /// nothing to add, and an error that names what is missing.
    ///
    /// # Errors
    /// [`HubError`]: not in the cache, and the hub is not to be asked or cannot be; or as
    /// [`Client::snapshot`].
    pub fn locate(
        &self,
        client: &Client,
        repo: &Repo,
        needed: &dyn Fn(&CachedSnapshot) -> Result<bool, NotCached>,
    ) -> Result<Place, HubError> {
        let cached = self
            .snapshot(repo)
            .and_then(|snapshot| Ok((needed(&snapshot)?, snapshot)));
        if let Some(variable) = client.config().offline {
            return match cached {
                Ok((_, snapshot)) => Ok(Place::Cached(snapshot, None)),
                Err(missing) => Err(HubError::Offline {
                    variable,
                    missing: missing.to_string(),
                }),
            };
        }
        let cached = match cached {
            Ok((true, snapshot)) if repo.is_pinned() => return Ok(Place::Cached(snapshot, None)),
            Ok((_, snapshot)) => Ok(snapshot),
            Err(missing) => Err(missing),
        };
        let attempts = match &cached {
            Ok(_) => client.attempts().while_cached(),
            Err(_) => client.attempts(),
        };
        match (client.snapshot_by(repo, attempts), cached) {
            (Ok(snapshot), _) => Ok(Place::Hub(snapshot)),
            (Err(HubError::GaveUp { last, .. }), Ok(snapshot)) => {
                let unreachable = Unreachable {
                    repo: repo.to_string(),
                    commit: snapshot.commit.clone(),
                    reason: last,
                };
                Ok(Place::Cached(snapshot, Some(unreachable)))
            }
            (Err(error), cached) => Err(beside(error, cached)),
        }
    }

    /// The path of a file in the cache, fetched if need be.
    ///
    /// # Errors
    /// As [`Cache::fetch_all`].
    pub fn fetch(
        &self,
        client: &Client,
        file: &RepoFile,
        options: &read_ahead::Options,
        progress: &dyn Fn(Event<'_>),
    ) -> Result<PathBuf, HubError> {
        let folder = self.fetch_all(client, &file.repo, &[&file.path], options, progress)?;
        Ok(folder.join(&file.path))
    }

    /// The folder in the cache with files of a repository, all of one commit, fetched if need be.
    ///
    /// # Errors
    /// As [`Cache::locate`] and [`Cache::download`].
    pub fn fetch_all(
        &self,
        client: &Client,
        repo: &Repo,
        paths: &[&str],
        options: &read_ahead::Options,
        progress: &dyn Fn(Event<'_>),
    ) -> Result<PathBuf, HubError> {
        let has_all = |cached: &CachedSnapshot| {
            for path in paths {
                cached.file(path)?;
            }
            Ok(true)
        };
        match self.locate(client, repo, &has_all)? {
            Place::Cached(cached, unreachable) => {
                if let Some(unreachable) = &unreachable {
                    progress(Event::Unreachable(unreachable));
                }
                Ok(cached.dir)
            }
            Place::Hub(snapshot) => self.download(client, &snapshot, paths, options, progress),
        }
    }

    /// Fetches the files at `paths` that the cache does not have; the folder they are in.
    ///
    /// # Errors
    /// [`HubError`]: not in the repository, refused, given up, damaged, no room, interrupted. What
    /// has come is kept and gone on with by the next call.
    pub fn download(
        &self,
        client: &Client,
        snapshot: &Snapshot,
        paths: &[&str],
        options: &read_ahead::Options,
        progress: &dyn Fn(Event<'_>),
    ) -> Result<PathBuf, HubError> {
        let folder = self.folder(&snapshot.repo.id);
        let mut fetched = false;
        for path in paths {
            let download = Download {
                client,
                snapshot,
                path,
                folder: &folder,
                locks: &self.root.join(".locks").join(snapshot.repo.id.folder()),
                options,
                progress,
            };
            fetched |= download.run()?;
            let place = download.link();
            if let Some(system) = lookup::pointer(&place) {
                let what = format!("`{path}` of {}", snapshot.repo);
                return Err(HubError::Pointer { what, system });
            }
        }
        let revision = &snapshot.repo.revision;
        if *revision != snapshot.commit {
            let written = write_ref(&folder.join("refs").join(revision), &snapshot.commit);
            // A cache that has all the files may be one that we cannot write.
            if fetched {
                written?;
            }
        }
        Ok(folder.join("snapshots").join(&snapshot.commit))
    }

    fn folder(&self, id: &RepoId) -> PathBuf {
        self.root.join(id.folder())
    }
}

/// What the hub says, with what the cache has or lacks of the same.
fn beside(mut error: HubError, cached: Result<CachedSnapshot, NotCached>) -> HubError {
    match (&mut error, cached) {
        // Of a cache that has nothing of it there is nothing to say.
        (HubError::GaveUp { .. }, Err(NotCached::Repository { .. })) => {}
        (HubError::GaveUp { missing, .. }, Err(lacking)) => *missing = Some(lacking.to_string()),
        (HubError::Refused { advice, .. }, Ok(cached)) => {
            *advice += &format!(
                "; the cache has it as of commit {:.12}, which is taken with HF_HUB_OFFLINE=1",
                cached.commit
            );
        }
        _ => {}
    }
    error
}

/// Writes down what a branch or tag stands for, so that no reader sees half of it.
fn write_ref(path: &Path, commit: &str) -> Result<(), HubError> {
    if read_ref(path).is_ok_and(|found| found.as_deref() == Some(commit)) {
        return Ok(());
    }
    let folder = path.parent().unwrap_or(Path::new("."));
    create_folder(folder)?;
    let written = || -> io::Result<()> {
        let file = tempfile::NamedTempFile::new_in(folder)?;
        fs::write(file.path(), commit)?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    };
    written().map_err(HubError::io(path))
}

fn create_folder(path: &Path) -> Result<(), HubError> {
    fs::create_dir_all(path).map_err(HubError::io(path))
}
