//! The models that a recipe names: each opened once, however often it is named.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{MergeError, recipe::Recipe};
use crate::{
    convert::{CheckpointSource, ConvertError},
    hub::{Client, Repo},
    model::{
        ModelCard, ModelConfig, ModelTensor, SkipPattern, config::ModelClass, identity, tensors,
    },
    source::{Checkpoint, Shard},
};

/// An opened model.
#[derive(Debug)]
pub(super) struct Parent {
    /// As the recipe names it.
    pub(super) reference: String,
    /// Where it is.
    pub(super) source: CheckpointSource,
    /// `ORG/NAME`, or what else is known of its name.
    pub(super) id: String,
    pub(super) checkpoint: Checkpoint,
    pub(super) config: ModelConfig,
    /// The tensors of its own GGUF; the parts' shards are its own.
    pub(super) tensors: Vec<ModelTensor>,
    pub(super) card: ModelCard,
    /// Index of its first shard among those of all parents.
    pub(super) first_shard: usize,
}

/// All parents of a merge, each once, the base first.
#[derive(Debug)]
pub(super) struct Parents {
    pub(super) all: Vec<Parent>,
    /// The parent of each expert: indices into `all`.
    pub(super) experts: Vec<usize>,
}

/// What makes two references the same model.
#[derive(PartialEq)]
enum Place {
    Folder(PathBuf),
    Hub(String),
}

impl Parents {
    /// Opens the models of `recipe`, whose folders are relative to `dir`.
    pub(super) fn open(
        recipe: &Recipe,
        dir: &Path,
        client: &Client,
        skip: &[SkipPattern],
    ) -> Result<Self, MergeError> {
        let references = std::iter::once(&recipe.base_model)
            .chain(recipe.experts.iter().map(|expert| &expert.source_model));
        let mut all: Vec<Parent> = Vec::new();
        let mut places = Vec::new();
        let mut indices = Vec::new();
        for reference in references {
            let (place, source) = find(reference, dir, client)?;
            let known = places.iter().position(|known| *known == place);
            indices.push(match known {
                Some(index) => index,
                None => {
                    let first_shard = all.iter().map(|p| p.checkpoint.shards.len()).sum();
                    all.push(Parent::open(reference, source.without(skip), first_shard)?);
                    places.push(place);
                    all.len() - 1
                }
            });
        }
        // The first reference is the base's.
        Ok(Self {
            all,
            experts: indices.split_off(1),
        })
    }

    /// What a user should know of how each was read.
    pub(super) fn notes(&self) -> Vec<String> {
        let of_parent = |parent: &Parent| {
            let notes = parent.checkpoint.notes.iter();
            let named = notes.map(|note| format!("`{}`: {note}", parent.reference));
            named.collect::<Vec<_>>()
        };
        self.all.iter().flat_map(of_parent).collect()
    }

    pub(super) fn base(&self) -> &Parent {
        &self.all[0]
    }

    /// Hands out the shards of all parents, in their order.
    pub(super) fn take_shards(&mut self) -> Vec<Shard> {
        let parents = self.all.iter_mut();
        let shards = parents.map(|parent| std::mem::take(&mut parent.checkpoint.shards));
        shards.flatten().collect()
    }
}

impl Parent {
    fn open(
        reference: &str,
        source: CheckpointSource,
        first_shard: usize,
    ) -> Result<Self, MergeError> {
        let of_parent = |error: ConvertError| MergeError::parent(reference, error);
        let checkpoint = source.open().map_err(of_parent)?;
        let config = ModelConfig::from_json(&checkpoint.config).map_err(|e| of_parent(e.into()))?;
        if config.class == ModelClass::Mixtral {
            return Err(MergeError::NotDense {
                parent: reference.into(),
            });
        }
        let tensors = tensors::map(&config, &checkpoint).map_err(|e| of_parent(e.into()))?;
        if let Some(bias) = tensors.iter().find(|t| t.name.ends_with(".bias")) {
            return Err(MergeError::Bias {
                parent: reference.into(),
                tensor: bias.name.clone(),
            });
        }
        let (card, _) = ModelCard::read(&checkpoint.dir);
        Ok(Self {
            reference: reference.to_owned(),
            source,
            id: match &checkpoint.origin {
                Some(origin) => origin.repo.clone(),
                None => identity::model_id(&checkpoint.dir, &card),
            },
            config,
            tensors,
            card,
            checkpoint,
            first_shard,
        })
    }

    /// The tensor of its GGUF with this name.
    pub(super) fn tensor(&self, name: &str) -> Option<&ModelTensor> {
        self.tensors.iter().find(|tensor| tensor.name == name)
    }

    /// Its vocabulary's `vocab_size`.
    pub(super) fn n_vocab(&self) -> usize {
        self.config.n_vocab as usize
    }
}

/// Where the model is that `reference` names: `hf:ORG/NAME[@REVISION]`, a folder, or as mergekit has it
/// `ORG/NAME` of the hub where there is no such folder.
fn find(
    reference: &str,
    dir: &Path,
    client: &Client,
) -> Result<(Place, CheckpointSource), MergeError> {
    let folder = dir.join(reference);
    if folder.exists() {
        let place = fs::canonicalize(&folder).unwrap_or_else(|_| folder.clone());
        return Ok((Place::Folder(place), CheckpointSource::Folder(folder)));
    }
    if reference.contains('+') && !Repo::is_remote(reference) {
        return Err(MergeError::Lora {
            reference: reference.into(),
        });
    }
    let of_hub = match Repo::is_remote(reference) {
        true => Some(reference.to_owned()),
        false => hub_id(reference).map(|id| format!("hf:{id}")),
    };
    let Some(text) = of_hub else {
        // Opening it says what is missing.
        return Ok((
            Place::Folder(folder.clone()),
            CheckpointSource::Folder(folder),
        ));
    };
    let repo = Repo::parse(&text, &client.config().endpoint)
        .map_err(|error| MergeError::parent(reference, error.into()))?;
    let place = Place::Hub(repo.to_string());
    Ok((place, CheckpointSource::Hub(client.clone(), repo)))
}

/// `ORG/NAME[@REVISION]`, where that and no path is meant.
fn hub_id(reference: &str) -> Option<&str> {
    let (org, name) = reference.split_once('/')?;
    let is_path = reference.starts_with(['.', '/', '~']) || name.contains(['/', '\\']);
    (!is_path && !org.is_empty() && !name.is_empty()).then_some(reference)
}

#[cfg(test)]
mod tests {
    use super::hub_id;

    #[test]
    fn ids_of_the_hub_are_told_from_paths() {
        for id in ["mistralai/Mistral-7B-v0.1", "org/name@abc"] {
            assert_eq!(hub_id(id), Some(id));
        }
        for path in ["./a", "../a", "/a/b", "a", "a/b/c", "~/a", "a/", "/a"] {
            assert_eq!(hub_id(path), None, "{path}");
        }
    }
}
