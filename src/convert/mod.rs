//! A conversion from end to end: open the checkpoint, plan, write.
//!
//! [`Conversion::open`] reads headers and makes the plan; [`Conversion::write`] executes it in one
//! pass over the weights.

pub(crate) mod chunks;
mod error;
mod output;
mod pipeline;
mod quantize;
pub(crate) mod read;

use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
    time::{Duration, Instant},
};

pub use error::ConvertError;
pub use pipeline::{MAX_BUFFER_BYTES, Progress, Times};

use crate::{
    model::{
        Identity, ModelCard, ModelConfig, chat_template, metadata, tensors,
        vocabulary::{self, VocabularyRequest},
    },
    plan::{ConversionPlan, Wishes},
    source::Checkpoint,
};

/// What to convert, and to what.
#[derive(Clone, Debug)]
pub struct Options {
    /// The checkpoint folder.
    pub source: PathBuf,
    /// The file type to write, and what changes it.
    pub wishes: Wishes,
    /// A chat template to embed: the Jinja text.
    pub chat_template: Option<String>,
}

/// An opened checkpoint and the plan of its GGUF.
#[derive(Debug)]
pub struct Conversion {
    checkpoint: Checkpoint,
    /// Who the model is.
    pub identity: Identity,
    /// The model's hyper-parameters.
    pub config: ModelConfig,
    /// What will be written.
    pub plan: ConversionPlan,
    /// What the user should know, a line each.
    pub notes: Vec<String>,
}

/// What a finished conversion cost.
#[derive(Clone, Copy, Debug)]
pub struct Written {
    /// Bytes of the file.
    pub file_bytes: u64,
    /// From the first byte read to the file being whole on disk.
    pub elapsed: Duration,
    /// How long each stage was busy.
    pub times: Times,
}

impl Conversion {
    /// Opens a checkpoint and plans its conversion; reads headers and tokenizer files only.
    ///
    /// # Errors
    /// When the checkpoint is not whole and consistent, or not of a kind we convert.
    pub fn open(options: &Options) -> Result<Self, ConvertError> {
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
        let plan = ConversionPlan::new(&config, model_tensors, key_values, &options.wishes)?;
        notes.extend_from_slice(&plan.notes);
        Ok(Self {
            checkpoint,
            identity,
            config,
            plan,
            notes,
        })
    }

    /// The file name by convention.
    pub fn default_file_name(&self) -> String {
        self.identity.file_name(self.plan.file_type)
    }

    /// Resident memory that writing takes at most, besides the vocabulary: the buffers.
    pub fn memory_bytes(&self) -> u64 {
        MAX_BUFFER_BYTES + 2 * self.plan.header.len() as u64
    }

    /// Writes the GGUF to `path`: beside it first, and in its place once it is whole and on disk.
    /// `cancel` is looked at all the time; `progress` is called from another thread.
    ///
    /// # Errors
    /// When there is no room, something cannot be read or written, a weight is not finite, or
    /// `cancel` was set. Nothing is left behind then, and a file at `path` is as it was.
    pub fn write(
        &self,
        path: &Path,
        replace: bool,
        threads: Option<NonZeroUsize>,
        cancel: &AtomicBool,
        progress: &(dyn Fn(Progress<'_>) + Sync),
    ) -> Result<Written, ConvertError> {
        let start = Instant::now();
        let mut output = output::Output::create(path, replace, &self.checkpoint)?;
        output.require_space(self.plan.file_bytes())?;
        let mut times = pipeline::run(
            &self.checkpoint,
            &self.plan,
            &mut output,
            threads,
            cancel,
            progress,
        )?;
        let sync = Instant::now();
        output.finish(cancel)?;
        times.sync = sync.elapsed();
        Ok(Written {
            file_bytes: self.plan.file_bytes(),
            elapsed: start.elapsed(),
            times,
        })
    }

    /// Fails where `path` is not a place to write to, before any work is done.
    ///
    /// # Errors
    /// As [`Conversion::write`].
    pub fn check_output(&self, path: &Path, replace: bool) -> Result<(), ConvertError> {
        output::check(path, replace, &self.checkpoint)
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
