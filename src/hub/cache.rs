//! The Hugging Face cache: whole files, kept where their own library keeps and looks for them.
//!
//! ```text
//! ~/.cache/huggingface/hub/                       HF_HUB_CACHE
//!   models--ORG--NAME/
//!     refs/REVISION                               the commit that a branch or tag stood for
//!     snapshots/COMMIT/PATH ─► ../../blobs/ETAG   the files of a commit, as links
//!     blobs/ETAG                                  the bytes; ETAG is their SHA-256, or git's id
//!     blobs/ETAG.incomplete                       bytes that have come so far
//!   .locks/models--ORG--NAME/ETAG.lock            held (flock) while a blob is fetched
//! ```
//!
//! A blob is fetched under its lock into `.incomplete`, in order, so that what is there is always
//! the file's beginning and the next run goes on behind it. (The library did the same; as of 2.4
//! each of its processes has an incomplete file of its own, and neither minds the other's.) It is
//! hashed on the way, put on disk, and moved in place if the digest is the hub's. Then the link is
//! made, and when all files are there, the ref.
//!
//! Why not the crate hf-hub, which has this layout too: as of 1.0 it fetches a file by one request,
//! which is not made again when the body breaks off, begins `.incomplete` anew each time and checks
//! no digest; it would also bring an async runtime and the client of another protocol, some 280
//! crates.

mod download;
mod lock;

use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

use super::{
    client::Client,
    error::HubError,
    read_ahead,
    repo::{Repo, RepoFile, RepoId, is_commit},
    snapshot::Snapshot,
};
use download::Download;

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
    /// The hub cannot be reached, and the cache has the file.
    Unreachable {
        /// The file's path in the repository.
        path: &'a str,
    },
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

impl Cache {
    /// The cache in a folder, which need not be there yet.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The folder with the files of a repository that the cache has; of a branch or tag, as of when
    /// it was last asked for. Not all files of the repository need be in it.
    pub fn snapshot_folder(&self, repo: &Repo) -> Option<PathBuf> {
        let folder = self.folder(&repo.id);
        let commit = match repo.is_pinned() {
            true => repo.revision.to_lowercase(),
            false => read_ref(&folder.join("refs").join(&repo.revision))?,
        };
        let snapshot = folder.join("snapshots").join(commit);
        snapshot.is_dir().then_some(snapshot)
    }

    /// The path of a file that the cache has.
    pub fn find(&self, file: &RepoFile) -> Option<PathBuf> {
        let path = self.snapshot_folder(&file.repo)?.join(&file.path);
        path.is_file().then_some(path)
    }

    /// The path of a file in the cache, fetched if need be. At a commit, or offline, what the cache
    /// has is taken without asking the hub; so it is when the hub cannot be reached.
    ///
    /// # Errors
    /// [`HubError`]: offline and not in the cache, or as [`Client::snapshot`] and
    /// [`Cache::download`].
    pub fn fetch(
        &self,
        client: &Client,
        file: &RepoFile,
        options: &read_ahead::Options,
        progress: &dyn Fn(Event<'_>),
    ) -> Result<PathBuf, HubError> {
        let offline = client.config().offline;
        if offline || file.repo.is_pinned() {
            if let Some(path) = self.find(file) {
                return Ok(path);
            }
            if offline {
                return Err(HubError::Offline {
                    what: format!("`{}` of {}", file.path, file.repo),
                    cache: self.root.clone(),
                });
            }
        }
        let snapshot = match client.snapshot(&file.repo) {
            Ok(snapshot) => snapshot,
            Err(error @ HubError::GaveUp { .. }) => {
                let path = self.find(file).ok_or(error)?;
                progress(Event::Unreachable { path: &file.path });
                return Ok(path);
            }
            Err(error) => return Err(error),
        };
        let folder = self.download(client, &snapshot, &[&file.path], options, progress)?;
        Ok(folder.join(&file.path))
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

/// The commit that a branch or tag stood for.
fn read_ref(path: &Path) -> Option<String> {
    let mut text = String::new();
    let file = fs::File::open(path).ok()?;
    file.take(256).read_to_string(&mut text).ok()?;
    Some(text.trim().to_owned()).filter(|commit| is_commit(commit))
}

/// Writes down what a branch or tag stands for, so that no reader sees half of it.
fn write_ref(path: &Path, commit: &str) -> Result<(), HubError> {
    if read_ref(path).as_deref() == Some(commit) {
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
