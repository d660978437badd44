//! Where a model is that a recipe names: a folder, or a repository of the hub.

use std::{
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
};

use super::MergeError;
use crate::{
    convert::{CheckpointSource, ConvertError},
    file_kind::{FileKind, SAMPLE},
    hub::{Client, Repo},
    model::SkipPattern,
    nearest,
    source::Checkpoint,
};

/// What makes two references the same model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A folder, by its whole path.
    Folder(PathBuf),
    /// A repository of the hub.
    Hub(Repo),
}

/// Where a model is.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) place: Place,
    pub(super) source: CheckpointSource,
    /// The folder that it may have meant where it is looked for on the hub: where that would be, and
    /// the nearest one there is.
    meant: Option<(PathBuf, Option<String>)>,
}

impl Found {
    /// The model but for what `skip` leaves out by hand.
    pub(super) fn without(mut self, skip: &[SkipPattern]) -> Self {
        self.source = self.source.without(skip);
        self
    }

    /// Opens the model, which the recipe names as `reference`.
    pub(super) fn open(&self, reference: &str) -> Result<Checkpoint, MergeError> {
        self.source
            .open()
            .map_err(|error| match (error, &self.meant) {
                (error @ ConvertError::Hub(_), Some((folder, nearest))) => MergeError::Nowhere {
                    parent: reference.into(),
                    folder: folder.clone(),
                    hint: nearest
                        .as_ref()
                        .map_or_else(String::new, |name| format!(" (did you mean `{name}`?)")),
                    error: Box::new(error),
                },
                (error, _) => MergeError::parent(reference, error),
            })
    }
}

/// Where the model is that `reference` names: `hf:ORG/NAME[@REVISION]`, a folder, or as mergekit has it
/// `ORG/NAME` of the hub where there is no such folder. Folders are relative to `dir`, the recipe's; `~/`
/// is the user's own, which no shell has put in here.
pub(super) fn find(reference: &str, dir: &Path, client: &Client) -> Result<Found, MergeError> {
    let folder = match (reference.strip_prefix("~/"), std::env::home_dir()) {
        (Some(rest), Some(home)) if !dir.join(reference).exists() => home.join(rest),
        _ => dir.join(reference.strip_prefix("./").unwrap_or(reference)),
    };
    if folder.is_file() {
        return Err(MergeError::NoFolder {
            parent: reference.into(),
            found: what_file(reference, &folder),
        });
    }
    if folder.exists() {
        let place = fs::canonicalize(&folder).unwrap_or_else(|_| folder.clone());
        return Ok(Found {
            place: Place::Folder(place),
            source: CheckpointSource::Folder(folder),
            meant: None,
        });
    }
    if reference.contains('+') && !Repo::is_remote(reference) {
        return Err(MergeError::Lora {
            reference: reference.into(),
        });
    }
    let nearest = nearest_folder(reference, &folder);
    let (text, meant) = match Repo::is_remote(reference) {
        true => (reference.to_owned(), None),
        false => match hub_id(reference) {
            Some(id) => (format!("hf:{id}"), Some((folder, nearest))),
            None => {
                let hint = match nearest {
                    Some(name) => format!("did you mean `{name}`?"),
                    None => "expected a folder from the recipe's on, or `hf:ORG/NAME`".to_owned(),
                };
                return Err(MergeError::NoFolder {
                    parent: reference.into(),
                    found: format!(": there is no folder `{}`, {hint}", folder.display()),
                });
            }
        },
    };
    let repo = Repo::parse(&text, &client.config().endpoint)
        .map_err(|error| MergeError::parent(reference, error.into()))?;
    Ok(Found {
        place: Place::Hub(repo.clone()),
        source: CheckpointSource::Hub(client.clone(), repo),
        meant,
    })
}

/// `ORG/NAME[@REVISION]`, where that and no path is meant.
fn hub_id(reference: &str) -> Option<&str> {
    let (org, name) = reference.split_once('/')?;
    let is_path = reference.starts_with(['.', '/', '~']) || reference.contains('\\');
    let is_path = is_path || name.contains('/');
    (!is_path && !org.is_empty() && !name.is_empty()).then_some(reference)
}

/// What `reference` should have been for a folder that is there: one whose name is nearly that of
/// `folder`, which is not, or the same with the other kind of slashes.
fn nearest_folder(reference: &str, folder: &Path) -> Option<String> {
    let slashes = reference.replace('\\', "/");
    if slashes != reference {
        let there = slashes.strip_prefix("./").unwrap_or(&slashes);
        let parent = folder.parent().unwrap_or(Path::new(""));
        return parent.join(there).is_dir().then_some(slashes);
    }
    let (name, is_dir) = (folder.file_name()?.to_str()?, |path: &Path| path.is_dir());
    let name_there = nearest::in_folder(folder.parent()?, name, is_dir)?;
    let place = reference.trim_end_matches('/').strip_suffix(name)?;
    Some(format!("{place}{name_there}"))
}

/// What a file is that stands in the place of a folder, as the end of a sentence.
fn what_file(reference: &str, path: &Path) -> String {
    const EXPECTED: &str = "expected the folder of a checkpoint with safetensors";
    let mut sample = Vec::new();
    let file = File::open(path).map(|file| file.take(SAMPLE as u64));
    // What cannot be read is a file all the same.
    let _ = file.and_then(|mut file| file.read_to_end(&mut sample));
    match FileKind::recognize(&sample) {
        Some(FileKind::Gguf) => {
            format!(" is a GGUF file, {EXPECTED}: of a GGUF nothing can be merged")
        }
        Some(FileKind::Safetensors) => match reference.rsplit_once('/') {
            Some((folder, _)) => format!(" is a safetensors file, did you mean `{folder}`?"),
            None => format!(" is a safetensors file, {EXPECTED}"),
        },
        _ => format!(" is a file, {EXPECTED}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_the_hub_are_told_from_paths() {
        for id in ["mistralai/Mistral-7B-v0.1", "org/name@abc"] {
            assert_eq!(hub_id(id), Some(id));
        }
        for path in [
            "./a", "../a", "/a/b", "a", "a/b/c", "~/a", "a/", "/a", ".\\a", "C:\\a/b",
        ] {
            assert_eq!(hub_id(path), None, "{path}");
        }
    }

    #[test]
    fn the_nearest_folder_is_named_as_the_recipe_would() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("models/Swallow-7b")).unwrap();
        fs::write(dir.path().join("models/Swallow-7c"), "").unwrap();
        for (reference, expected) in [
            ("./models/swallow-7b", Some("./models/Swallow-7b")),
            ("models/Swallow7b/", Some("models/Swallow-7b")),
            ("model", Some("models")),
            (".\\models\\Swallow-7b", Some("./models/Swallow-7b")),
            ("models\\none", None),
            ("./elsewhere", None),
            ("none/Swallow-7b", None),
            ("..", None),
        ] {
            let found = nearest_folder(reference, &dir.path().join(reference));
            assert_eq!(found.as_deref(), expected, "{reference}");
        }
    }
}
