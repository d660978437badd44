//! What is converted to be run, and what it is now.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicBool},
};

use anyhow::Context as _;

use crate::{
    chat::note,
    commands::fetch,
    hub::{Client, Config, Repo, RetryPolicy},
    merge::{Place, places},
    store::{Entry, Key, Part, Store, fingerprint},
};

/// What is converted.
pub(super) enum Source {
    /// The checkpoint in a folder.
    Folder(PathBuf),
    /// A merge by a recipe.
    Recipe(PathBuf),
    /// The checkpoint in a repository.
    Hub(Repo),
}

impl Source {
    /// What names it, wherever one is.
    pub(super) fn name(&self) -> anyhow::Result<String> {
        let whole = |path: &Path| {
            let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
            path.display().to_string()
        };
        Ok(match self {
            Self::Folder(path) | Self::Recipe(path) => whole(path),
            Self::Hub(repo) => repo.to_string(),
        })
    }

    /// What the conversion is known by; of repositories no commit yet, but where it is pinned.
    pub(super) fn key(&self, knobs: String, stop: &Arc<AtomicBool>) -> anyhow::Result<Key> {
        let made_of = match self {
            Self::Folder(dir) => vec![of_folder(dir)?],
            Self::Hub(repo) => vec![of_repo(repo)],
            Self::Recipe(path) => {
                let mut parts = Vec::new();
                for place in places(path, &client(stop)?)? {
                    parts.push(match &place {
                        Place::Folder(dir) => of_folder(dir)?,
                        Place::Hub(repo) => of_repo(repo),
                    });
                }
                let text = fs::read_to_string(path);
                let text = text.with_context(|| format!("cannot read `{}`", path.display()))?;
                parts.insert(0, Part::new("recipe", fingerprint::of_text(&text)));
                parts
            }
        };
        Ok(Key {
            source: self.name()?,
            made_of,
            knobs,
        })
    }
}

pub(super) fn client(stop: &Arc<AtomicBool>) -> anyhow::Result<Client> {
    let config = Config::from_env()?;
    Ok(Client::new(
        config,
        RetryPolicy::default(),
        Arc::clone(stop),
    ))
}

fn of_folder(dir: &Path) -> anyhow::Result<Part> {
    let state = fingerprint::of_folder(dir);
    let state = state.with_context(|| format!("cannot read `{}`", dir.display()))?;
    let whole = fs::canonicalize(dir).unwrap_or_else(|_| dir.to_owned());
    Ok(Part::new(whole.display().to_string(), state))
}

fn of_repo(repo: &Repo) -> Part {
    match repo.is_pinned() {
        true => Part::new(repo.to_string(), repo.revision.to_lowercase()),
        false => Part::unknown(repo.to_string()),
    }
}

/// Asks the hub for the commits of what is made of repositories, where the store has a model of it
/// already: what is there is taken if the hub does not answer soon.
pub(super) fn ask_hub(store: &Store, key: &mut Key) -> anyhow::Result<()> {
    let is_of = |entry: &Entry| entry.whole.is_some() && entry.source() == key.source;
    let entries = store.entries()?;
    let known = entries.iter().find(|entry| is_of(entry));
    let config = Config::from_env()?;
    if known.is_none() || config.offline.is_some() {
        return Ok(());
    }
    for part in key.made_of.iter_mut().filter(|part| part.is.is_none()) {
        let Ok(repo) = Repo::parse(&part.of, &config.endpoint) else {
            continue;
        };
        match fetch::commit_now(&config, &repo) {
            Ok(commit) => part.is = Some(commit),
            Err(reason) => {
                note(&format!(
                    "the hub does not tell whether {repo} has changed, what the store has is taken: {reason}"
                ));
                // It would not tell of the others either.
                break;
            }
        }
    }
    Ok(())
}
