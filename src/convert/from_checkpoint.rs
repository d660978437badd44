//! The conversion of a checkpoint folder.

use std::{fmt, path::PathBuf};

use super::{Conversion, ConvertError};
use crate::{
    hub::{Client, Repo},
    model::{
        Identity, ModelCard, ModelConfig, chat_template, metadata, tensors,
        vocabulary::{self, VocabularyRequest},
    },
    plan::{ConversionPlan, Wishes},
    source::Checkpoint,
};

/// Where a checkpoint is.
#[derive(Clone, Debug)]
pub enum CheckpointSource {
    /// In a folder.
    Folder(PathBuf),
    /// On the hub, from where it is read as it is needed.
    Hub(Client, Repo),
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
        })
    }
}

impl fmt::Display for CheckpointSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(dir) => write!(f, "{}", dir.display()),
            Self::Hub(_, repo) => write!(f, "{repo}"),
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
}

impl Conversion {
    /// Opens a checkpoint and plans its conversion; reads headers and tokenizer files only.
    ///
    /// # Errors
    /// When the checkpoint is not whole and consistent, or not of a kind we convert.
    pub fn of_checkpoint(options: &CheckpointOptions) -> Result<Self, ConvertError> {
        let checkpoint = options.source.open()?;
        let config = ModelConfig::from_json(&checkpoint.config)?;
        let model_tensors = tensors::map(&config, &checkpoint)?;
        let vocabulary = vocabulary::read(&VocabularyRequest {
            dir: &checkpoint.dir,
            vocab_size: config.n_vocab as usize,
            config: &checkpoint.config,
            chat_template: options.chat_template.clone(),
        })?;

        let (card, card_note) = ModelCard::read(&checkpoint.dir);
        let count = tensors::count_parameters(&model_tensors);
        let identity = Identity::find(&checkpoint.dir, &card, &count);
        let mut notes: Vec<String> = card_note.into_iter().chain(vocabulary.notes).collect();
        if vocabulary.chat_template.is_none() && is_swallow(&identity, &card) {
            notes.push(
                "this is a Swallow model without a chat template: `--chat-template swallow` embeds its prompt"
                    .into(),
            );
        }

        let mut key_values = metadata::general(
            &identity,
            &card,
            &checkpoint.dir,
            checkpoint.origin.as_ref(),
        );
        key_values.extend(metadata::hyper_parameters(&config));
        key_values.extend(vocabulary.key_values);
        let plan = ConversionPlan::new(model_tensors, key_values, &options.wishes)?;
        notes.extend_from_slice(&plan.notes);
        Ok(Self {
            source: options.source.to_string(),
            inputs: checkpoint.files().collect(),
            shards: checkpoint.shards,
            default_file_name: identity.file_name(plan.file_type),
            name: identity.name,
            plan,
            notes,
        })
    }
}

fn is_swallow(identity: &Identity, card: &ModelCard) -> bool {
    let base_models = card
        .list(&["base_model", "base_models"])
        .unwrap_or_default();
    let mut names = vec![identity.name.as_str()];
    names.extend(base_models.iter().map(String::as_str));
    chat_template::is_swallow(&names)
}
