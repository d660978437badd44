//! The conversion of a checkpoint folder.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use serde_json::Value as Json;

use super::{Conversion, ConvertError};
use crate::{
    gguf::KeyValues,
    hub::{Client, Repo},
    model::{
        Identity, ModelCard, ModelConfig, ModelTensor, SkipPattern, chat_template, metadata,
        tensors,
        vocabulary::{self, PreTokenizer, VocabularyRequest},
    },
    plan::{ConversionPlan, Fitting, PlanError, Wishes},
    source::{Checkpoint, Origin, Shard},
};

/// Where a checkpoint is.
#[derive(Clone, Debug)]
pub enum CheckpointSource {
    /// In a folder.
    Folder(PathBuf),
    /// On the hub, from where it is read as it is needed.
    Hub(Client, Repo),
    /// Another one, without the tensors that are left out by hand.
    Without(Box<Self>, Vec<SkipPattern>),
}

impl CheckpointSource {
    /// Opens the checkpoint; reads headers and small files only.
    ///
    /// # Errors
    /// When the checkpoint is not whole and consistent, or the hub does not give it.
    pub fn open(&self) -> Result<Checkpoint, ConvertError> {
        Ok(match self {
            Self::Folder(dir) => Checkpoint::open(dir)?,
            Self::Hub(client, repo) => Checkpoint::open_hub(client, repo)?,
            Self::Without(source, patterns) => {
                let mut checkpoint = source.open()?;
                tensors::leave_out(&mut checkpoint, patterns)?;
                checkpoint
            }
        })
    }

    /// The same without the tensors in whose names one of `patterns` is found.
    pub fn without(self, patterns: &[SkipPattern]) -> Self {
        match patterns.is_empty() {
            true => self,
            false => Self::Without(Box::new(self), patterns.to_vec()),
        }
    }
}

impl fmt::Display for CheckpointSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(dir) => write!(f, "{}", dir.display()),
            Self::Hub(_, repo) => write!(f, "{repo}"),
            Self::Without(source, _) => source.fmt(f),
        }
    }
}

/// Which checkpoint to convert, and to what.
#[derive(Clone, Debug)]
pub struct CheckpointOptions {
    /// Where the checkpoint is.
    pub source: CheckpointSource,
    /// The file type to write, and what changes it.
    pub wishes: Wishes,
    /// A chat template to embed: the Jinja text.
    pub chat_template: Option<String>,
    /// The pre-tokenizer to name, instead of the one that is recognized.
    pub pre: Option<PreTokenizer>,
}

impl Conversion {
    /// Opens a checkpoint and plans its conversion; reads headers and tokenizer files only.
    ///
    /// # Errors
    /// When the checkpoint is not whole and consistent, or not of a kind we convert.
    pub fn of_checkpoint(options: &CheckpointOptions) -> Result<Self, ConvertError> {
        let wishes = &options.wishes;
        Self::of_checkpoint_by(options, &|tensors, key_values| {
            ConversionPlan::new(tensors, key_values, wishes)
        })
    }

    /// As [`Conversion::of_checkpoint`], with the first of some file types that fits.
    ///
    /// # Errors
    /// As [`Conversion::of_checkpoint`].
    pub fn of_checkpoint_fitting(
        options: &CheckpointOptions,
        fitting: &Fitting<'_>,
    ) -> Result<Self, ConvertError> {
        let wishes = &options.wishes;
        Self::of_checkpoint_by(options, &|tensors, key_values| {
            ConversionPlan::fitting(tensors, key_values, wishes, fitting)
        })
    }

    fn of_checkpoint_by(
        options: &CheckpointOptions,
        planner: Planner<'_>,
    ) -> Result<Self, ConvertError> {
        let checkpoint = options.source.open()?;
        let config = ModelConfig::from_json(&checkpoint.config)?;
        let mut conversion = Self::of_described(
            Described {
                source: options.source.to_string(),
                inputs: checkpoint.files().collect(),
                tensors: tensors::map(&config, &checkpoint)?,
                config: &checkpoint.config,
                dir: &checkpoint.dir,
                origin: checkpoint.origin.as_ref(),
                shards: checkpoint.shards,
            },
            planner,
            options.chat_template.clone(),
            options.pre,
        )?;
        conversion.origins = checkpoint.origin.into_iter().collect();
        conversion.notes.splice(0..0, checkpoint.notes);
        conversion.skipped = checkpoint.skipped.into_keys().collect();
        Ok(conversion)
    }

    /// Plans the conversion of a checkpoint whose tensors are known.
    pub(crate) fn of_described(
        checkpoint: Described<'_>,
        planner: Planner<'_>,
        chat_template: Option<String>,
        pre: Option<PreTokenizer>,
    ) -> Result<Self, ConvertError> {
        let dir = checkpoint.dir;
        let config = ModelConfig::from_json(checkpoint.config)?;
        let vocabulary = vocabulary::read(&VocabularyRequest {
            dir,
            vocab_size: config.n_vocab as usize,
            config: checkpoint.config,
            policy: config.architecture.tokenizer,
            chat_template,
            pre,
        })?;

        let (card, card_note) = ModelCard::read(dir);
        let count = tensors::count_parameters(&checkpoint.tensors);
        let identity = Identity::find(dir, &card, &count);
        let mut notes: Vec<String> = card_note.into_iter().chain(vocabulary.notes).collect();
        notes.extend(config.rope_scaling.note());
        if vocabulary.chat_template.is_none() && is_swallow(&identity, &card) {
            notes.push(
                "this is a Swallow model without a chat template: `--chat-template swallow` embeds its prompt"
                    .into(),
            );
        }

        let mut key_values = metadata::general(
            &config,
            &identity,
            &card,
            dir,
            checkpoint.origin,
            &mut notes,
        )?;
        key_values.extend(metadata::merge(&card, dir, &mut notes));
        metadata::add_hyper_parameters(&mut key_values, &config)?;
        key_values.extend(vocabulary.key_values);
        let plan = planner(checkpoint.tensors, key_values)?;
        notes.extend_from_slice(&plan.notes);
        Ok(Self {
            source: checkpoint.source,
            inputs: checkpoint.inputs,
            origins: Vec::new(),
            shards: checkpoint.shards,
            default_file_name: identity.file_name(plan.file_type),
            name: identity.name,
            plan,
            notes,
            skipped: Vec::new(),
        })
    }
}

/// What makes the plan of tensors and metadata.
pub(crate) type Planner<'a> =
    &'a dyn Fn(Vec<ModelTensor>, KeyValues) -> Result<ConversionPlan, PlanError>;

/// A checkpoint whose tensors are known: one in a folder or on the hub, or one that a merge would
/// write.
pub(crate) struct Described<'a> {
    /// Where it comes from, for people.
    pub(crate) source: String,
    /// Every file of it; an output must be none of them.
    pub(crate) inputs: Vec<PathBuf>,
    /// The tensors of the GGUF.
    pub(crate) tensors: Vec<ModelTensor>,
    /// What their parts are read from.
    pub(crate) shards: Vec<Shard>,
    /// config.json.
    pub(crate) config: &'a Json,
    /// The folder of the tokenizer files and the card.
    pub(crate) dir: &'a Path,
    /// What it is on the hub.
    pub(crate) origin: Option<&'a Origin>,
}

fn is_swallow(identity: &Identity, card: &ModelCard) -> bool {
    let base_models = card
        .list(&["base_model", "base_models"])
        .unwrap_or_default();
    let mut names = vec![identity.name.as_str()];
    names.extend(base_models.iter().map(String::as_str));
    chat_template::is_swallow(&names)
}
