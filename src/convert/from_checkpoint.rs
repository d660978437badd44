//! The conversion of a checkpoint folder.

use std::path::PathBuf;

use super::{Conversion, ConvertError};
use crate::{
    model::{
        Identity, ModelCard, ModelConfig, chat_template, metadata, tensors,
        vocabulary::{self, VocabularyRequest},
    },
    plan::{ConversionPlan, Wishes},
    source::Checkpoint,
};

/// Which checkpoint to convert, and to what.
#[derive(Clone, Debug)]
pub struct CheckpointOptions {
    /// The checkpoint folder.
    pub source: PathBuf,
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
        let checkpoint = Checkpoint::open(&options.source)?;
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

        let mut key_values = metadata::general(&identity, &card, &checkpoint.dir);
        key_values.extend(metadata::hyper_parameters(&config));
        key_values.extend(vocabulary.key_values);
        let plan = ConversionPlan::new(model_tensors, key_values, &options.wishes)?;
        notes.extend_from_slice(&plan.notes);
        Ok(Self {
            source: options.source.display().to_string(),
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
