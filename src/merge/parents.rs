//! The models that a recipe names: each opened once, however often it is named.

use std::path::Path;

use super::{
    MergeError,
    output::Output,
    recipe::Recipe,
    reference::{self, Found},
    rope::Rope,
};
use crate::{
    convert::{CheckpointSource, ConvertError},
    hub::Client,
    model::{
        ModelCard, ModelConfig, ModelTensor, SkipPattern, TensorData, identity, tensors,
        vocabulary::PreTokenizer,
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
    /// The pre-tokenizer to name, instead of the one that is recognized.
    pub(super) pre: Option<PreTokenizer>,
    /// Index of its first shard among those of all parents.
    pub(super) first_shard: usize,
}

/// All parents of a merge, each once, the base first.
#[derive(Debug)]
pub(super) struct Parents {
    pub(super) all: Vec<Parent>,
    /// The parent of each expert: indices into `all`.
    pub(super) experts: Vec<usize>,
    /// The same of each shared expert.
    pub(super) shared: Vec<usize>,
}

impl Parents {
    /// Opens the models of `recipe`, whose folders are relative to `dir`.
    pub(super) fn open(
        recipe: &Recipe,
        dir: &Path,
        client: &Client,
        skip: &[SkipPattern],
        pre: Option<PreTokenizer>,
    ) -> Result<Self, MergeError> {
        let mut all: Vec<Parent> = Vec::new();
        let mut places = Vec::new();
        let mut indices = Vec::new();
        for reference in recipe.models() {
            let found = reference::find(reference, dir, client)?;
            let known = places.iter().position(|known| *known == found.place);
            indices.push(match known {
                Some(index) => index,
                None => {
                    let first_shard = all.iter().map(|p| p.checkpoint.shards.len()).sum();
                    let is_base = all.is_empty();
                    let found = found.without(skip);
                    all.push(Parent {
                        pre,
                        ..Parent::open(reference, &found, is_base, first_shard)?
                    });
                    places.push(found.place);
                    all.len() - 1
                }
            });
        }
        // The first reference is the base's, and those of shared experts are the last.
        let mut experts = indices.split_off(1);
        let shared = experts.split_off(recipe.experts.len());
        Ok(Self {
            all,
            experts,
            shared,
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

    /// Fails where a parent has a bias that `output` has not.
    pub(super) fn require_biases_of(&self, output: Output) -> Result<(), MergeError> {
        let known = |tensor: &ModelTensor| {
            let mut biases = output.biases().iter();
            biases.any(|bias| tensor.name.ends_with(bias))
        };
        for parent in &self.all {
            let mut biases = parent.tensors.iter().filter(|t| t.name.ends_with(".bias"));
            if let Some(bias) = biases.find(|bias| !known(bias)) {
                return Err(MergeError::Bias {
                    output: output.name(),
                    parent: parent.reference.clone(),
                    tensor: match &bias.data {
                        TensorData::Rows { parts, .. } if !parts.is_empty() => {
                            parts[0].tensor.clone()
                        }
                        _ => bias.name.clone(),
                    },
                });
            }
        }
        Ok(())
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
        found: &Found,
        is_base: bool,
        first_shard: usize,
    ) -> Result<Self, MergeError> {
        let of_parent = |error: ConvertError| MergeError::parent(reference, error);
        let checkpoint = found.open(reference)?;
        // Nothing of an expert's turns positions.
        let config = match is_base {
            true => ModelConfig::from_json(&checkpoint.config),
            false => ModelConfig::from_json(&Rope::left_out(&checkpoint.config)),
        };
        let config = config.map_err(|e| of_parent(e.into()))?;
        if config.experts.is_some() {
            return Err(MergeError::NotDense {
                parent: reference.into(),
            });
        }
        let tensors = tensors::map(&config, &checkpoint).map_err(|e| of_parent(e.into()))?;
        let (card, _) = ModelCard::read(&checkpoint.dir);
        Ok(Self {
            reference: reference.to_owned(),
            source: found.source.clone(),
            id: match &checkpoint.origin {
                Some(origin) => origin.repo.clone(),
                None => identity::model_id(&checkpoint.dir, &card),
            },
            config,
            tensors,
            card,
            checkpoint,
            first_shard,
            pre: None,
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
