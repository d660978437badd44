//! What the cache has: looked up without the hub, and where something is not there, why.

use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

use super::Cache;
use crate::{
    file_kind::{self, FileKind},
    hub::{
        like,
        repo::{Repo, is_commit},
    },
    nearest,
};

/// The longest ref that is read, in bytes; a commit has 40.
const MAX_REF: u64 = 256;

/// Files above this are no pointers, in bytes: git-lfs has the same limit.
pub(crate) const MAX_POINTER: u64 = 1024;

/// Entries of a folder that are looked at, at most.
const MAX_ENTRIES: usize = 10_000;

/// Why the cache does not have something.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotCached {
    /// It has nothing of the repository.
    #[error("the cache `{cache}` does not have {repo}{}", it_has(there))]
    Repository {
        /// The cache's folder.
        cache: PathBuf,
        /// The repository.
        repo: String,
        /// Others that may have been meant.
        there: Vec<String>,
    },
    /// It has the repository at other revisions.
    #[error(
        "the cache `{cache}` does not have {repo}, only its {}",
        like::quoted(there)
    )]
    Revision {
        /// The cache's folder.
        cache: PathBuf,
        /// The repository, with the revision.
        repo: String,
        /// The revisions it has.
        there: Vec<String>,
    },
    /// What a branch or tag stood for cannot be told.
    #[error("`{path}` {found}, expected a commit of 40 digits in it")]
    Ref {
        /// The file.
        path: PathBuf,
        /// What it holds, or why that cannot be told.
        found: String,
    },
    /// The commit that a branch or tag stood for is not there.
    #[error(
        "`{path}` names the commit {commit}, which the folder `snapshots` beside it does not have"
    )]
    Snapshot {
        /// The file of the branch or tag.
        path: PathBuf,
        /// The commit.
        commit: String,
    },
    /// It has the repository without a file.
    #[error(
        "the cache `{cache}` does not have `{path}` of {repo}{}",
        it_has(there)
    )]
    File {
        /// The cache's folder.
        cache: PathBuf,
        /// The repository.
        repo: String,
        /// The file's path in the repository.
        path: String,
        /// Others of its kind.
        there: Vec<String>,
    },
    /// It has the repository without the weights.
    #[error(
        "the cache `{cache}` does not have the weights of {repo}, neither `model.safetensors` nor `model.safetensors.index.json` with its shards"
    )]
    Weights {
        /// The cache's folder.
        cache: PathBuf,
        /// The repository.
        repo: String,
    },
    /// A file is a link to nothing.
    #[error("`{path}` is a link to `{target}`, which is not there")]
    Link {
        /// The link.
        path: PathBuf,
        /// Where it points.
        target: PathBuf,
    },
    /// There is something else in a file's place.
    #[error("`{path}` is {found}, expected the file")]
    NotTheFile {
        /// The path.
        path: PathBuf,
        /// What it is.
        found: String,
    },
}

/// A repository at a commit, as the cache has it: not all files need be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CachedSnapshot {
    /// The repository, with the revision that was asked for.
    pub repo: Repo,
    /// The commit, 40 hexadecimal digits.
    pub commit: String,
    /// The folder with its files.
    pub dir: PathBuf,
    cache: PathBuf,
}

impl Cache {
    /// What the cache has of a repository; of a branch or tag, as of when it was last asked for.
    ///
    /// # Errors
    /// [`NotCached`], where it has nothing of that revision.
    pub fn snapshot(&self, repo: &Repo) -> Result<CachedSnapshot, NotCached> {
        let folder = self.folder(&repo.id);
        let missing = || match revisions(&folder) {
            none if none.is_empty() => NotCached::Repository {
                cache: self.root.clone(),
                repo: repo.to_string(),
                there: self.like(repo),
            },
            there => NotCached::Revision {
                cache: self.root.clone(),
                repo: match repo.is_default() {
                    true => format!("{repo}@{}", repo.revision),
                    false => repo.to_string(),
                },
                there,
            },
        };
        let snapshots = folder.join("snapshots");
        let commit = match repo.is_pinned() {
            true => repo.revision.to_lowercase(),
            false => {
                let path = folder.join("refs").join(&repo.revision);
                let commit = read_ref(&path)?.ok_or_else(missing)?;
                if !snapshots.join(&commit).is_dir() {
                    return Err(NotCached::Snapshot { path, commit });
                }
                commit
            }
        };
        let dir = snapshots.join(&commit);
        if !dir.is_dir() {
            return Err(missing());
        }
        Ok(CachedSnapshot {
            repo: repo.clone(),
            commit,
            dir,
            cache: self.root.clone(),
        })
    }

    /// Repositories of the cache whose name is nearly that of `repo`.
    fn like(&self, repo: &Repo) -> Vec<String> {
        let is_model = |path: &Path| {
            let name = path.file_name().and_then(|name| name.to_str());
            name.is_some_and(|name| name.starts_with("models--")) && path.is_dir()
        };
        let near = nearest::in_folder(&self.root, &repo.id.folder(), is_model);
        let id = near.and_then(|near| Some(near.strip_prefix("models--")?.replacen("--", "/", 1)));
        id.map(|id| format!("hf:{id}")).into_iter().collect()
    }
}

impl CachedSnapshot {
    /// The path of a file that the cache has.
    ///
    /// # Errors
    /// [`NotCached`], where it does not have it, or something else in its place.
    pub fn file(&self, path: &str) -> Result<PathBuf, NotCached> {
        let full = self.dir.join(path);
        match fs::metadata(&full) {
            Ok(found) if found.is_file() => match pointer(&full) {
                Some(system) => Err(NotCached::NotTheFile {
                    path: full,
                    found: format!("a {system} pointer to the file"),
                }),
                None => Ok(full),
            },
            Ok(found) => Err(NotCached::NotTheFile {
                path: full,
                found: match found.is_dir() {
                    true => "a folder".into(),
                    false => "no regular file".into(),
                },
            }),
            Err(error) => Err(match fs::read_link(&full) {
                Ok(target) if error.kind() == io::ErrorKind::NotFound => {
                    NotCached::Link { path: full, target }
                }
                _ if is_absence(&error) => self.without(path),
                _ => NotCached::NotTheFile {
                    path: full,
                    found: format!("not to be read ({error})"),
                },
            }),
        }
    }

    /// The names of the files beside `path`, those that are links to nothing included.
    pub fn names_beside(&self, path: &str) -> Vec<String> {
        let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
        names_in(&self.dir.join(parent))
    }

    /// Whether the hub has said that there is no file at `path`: the library keeps that, too.
    pub fn is_known_to_lack(&self, path: &str) -> bool {
        let repository = self.dir.parent().and_then(Path::parent);
        repository.is_some_and(|folder| {
            folder
                .join(".no_exist")
                .join(&self.commit)
                .join(path)
                .exists()
        })
    }

    /// That the weights are not there.
    pub fn without_weights(&self) -> NotCached {
        NotCached::Weights {
            cache: self.cache.clone(),
            repo: self.repo.to_string(),
        }
    }

    fn without(&self, path: &str) -> NotCached {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let beside: Vec<String> = self
            .names_beside(path)
            .into_iter()
            .map(|name| match folder {
                "" => name,
                folder => format!("{folder}/{name}"),
            })
            .collect();
        let like = like::like(path, beside.iter().map(String::as_str));
        NotCached::File {
            cache: self.cache.clone(),
            repo: self.repo.to_string(),
            path: path.into(),
            there: like.into_iter().map(str::to_owned).collect(),
        }
    }
}

/// The commit in a ref; `None` where there is no ref.
pub(super) fn read_ref(path: &Path) -> Result<Option<String>, NotCached> {
    let not = |found: String| NotCached::Ref {
        path: path.into(),
        found,
    };
    let mut bytes = Vec::new();
    let read = fs::File::open(path).and_then(|file| file.take(MAX_REF).read_to_end(&mut bytes));
    match read {
        Ok(_) => {}
        // `refs/a` is a folder where there is a branch `a/b`.
        Err(_) if path.is_dir() => return Ok(None),
        Err(error) if is_absence(&error) => {
            return match fs::read_link(path) {
                Ok(target) => Err(NotCached::Link {
                    path: path.into(),
                    target,
                }),
                Err(_) => Ok(None),
            };
        }
        Err(error) => return Err(not(format!("cannot be read ({error})"))),
    }
    let text = String::from_utf8_lossy(&bytes);
    let text = text.trim();
    if is_commit(text) {
        return Ok(Some(text.to_lowercase()));
    }
    Err(not(match text {
        "" => "holds nothing".into(),
        text => format!("holds `{:.50}`", text.escape_debug().to_string()),
    }))
}

/// The revisions that a repository's folder has: branches and tags, then the commits that are none of
/// these.
fn revisions(folder: &Path) -> Vec<String> {
    let snapshots = folder.join("snapshots");
    let mut commits = names_in(&snapshots);
    commits.retain(|name| is_commit(name) && snapshots.join(name).is_dir());
    let mut revisions = Vec::new();
    let refs = folder.join("refs");
    let (mut left, mut looked_at) = (vec![String::new()], 0);
    while let Some(name) = left.pop().filter(|_| looked_at < MAX_ENTRIES) {
        looked_at += 1;
        for entry in names_in(&refs.join(&name)) {
            let name = match name.as_str() {
                "" => entry,
                name => format!("{name}/{entry}"),
            };
            let path = refs.join(&name);
            match read_ref(&path) {
                Ok(Some(commit)) if snapshots.join(&commit).is_dir() => {
                    commits.retain(|other| *other != commit);
                    revisions.push(name);
                }
                // Not through links, which may lead in a circle.
                Ok(None) if fs::symlink_metadata(&path).is_ok_and(|m| m.is_dir()) => {
                    left.push(name)
                }
                _ => {}
            }
        }
    }
    revisions.sort();
    revisions.extend(commits);
    revisions
}

/// The names in a folder, in order; none where there is no folder.
fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().take(MAX_ENTRIES);
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

/// The system for large files that the file at `path` is a pointer of.
pub(super) fn pointer(path: &Path) -> Option<&'static str> {
    let mut sample = Vec::new();
    let file = fs::File::open(path).ok()?;
    if file.metadata().ok()?.len() > MAX_POINTER {
        return None;
    }
    file.take(file_kind::SAMPLE as u64)
        .read_to_end(&mut sample)
        .ok()?;
    match FileKind::recognize(&sample) {
        Some(FileKind::Pointer { system, .. }) => Some(system),
        _ => None,
    }
}

fn is_absence(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

fn it_has(there: &[String]) -> String {
    match there {
        [] => String::new(),
        there => format!(", it has {}", like::quoted(there)),
    }
}
