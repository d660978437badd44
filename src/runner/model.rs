//! A loaded model: weights and vocabulary.

use std::sync::Mutex;

use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::token::LlamaToken;

use super::devices::{self, Device};
use super::load::{GpuLayers, LoadOptions, Params, c_path};
use super::lora::{self, Lora};
use super::{ModelFile, RunnerError, backend, log};
use crate::memory::{Machine, Shape, layers_that_fit};

/// A model in memory.
#[derive(Debug)]
pub struct Model {
    pub(super) llama: LlamaModel,
    /// An adapter that every context uses.
    pub(super) lora: Option<Mutex<Lora>>,
    pub(super) shape: Shape,
    devices: Vec<Device>,
    gpu_layers: u32,
}

impl Model {
    /// Loads `file`. `progress` is told how far it is, from 0 to 1.
    ///
    /// # Errors
    /// Where llama.cpp cannot load it, with llama.cpp's reason.
    pub fn load(
        file: &ModelFile,
        options: &LoadOptions,
        progress: impl FnMut(f32),
    ) -> Result<Self, RunnerError> {
        log::install(options.verbose);
        backend()?;
        let path = c_path(&file.path)?;
        let devices = match &options.devices {
            None => devices::gpus()?,
            Some(names) => devices::named(names)?,
        };
        let mut params = Params::new(options, &devices)?;
        if options.gpu_layers == GpuLayers::Auto && !devices.is_empty() {
            let size = file.shape.context(options.context.size);
            if !params.fit(&path, &options.context, size) {
                let usage = options.usage(&file.shape, true);
                let machine = Machine::now(devices.iter().map(Device::memory).collect());
                params.set_layers(layers_that_fit(&file.shape, &usage, &machine));
            }
        }
        let llama = params.load(&path, progress);
        let mut llama = llama.ok_or_else(|| RunnerError::Load {
            path: file.path.clone(),
            reason: log::take_first_error().unwrap_or_else(|| "it gives no reason".to_owned()),
        })?;
        let lora = match &options.lora {
            Some((path, scale)) => Some(lora::load(path, *scale, file, &mut llama)?),
            None => None,
        };
        let gpu_layers = params.layers(llama.n_layer().saturating_add(1));
        Ok(Self {
            llama,
            lora: lora.map(Mutex::new),
            shape: file.shape.clone(),
            devices,
            gpu_layers,
        })
    }

    /// The devices that layers can go to. None in a build without GPU support.
    pub fn devices(&self) -> &[Device] {
        &self.devices
    }

    /// Layers on devices, and layers of the model, the output counted as one.
    pub fn offloaded_layers(&self) -> (u32, u32) {
        (self.gpu_layers, self.llama.n_layer().saturating_add(1))
    }

    /// Tokens of the longest text the model was trained on.
    pub fn trained_context(&self) -> u32 {
        self.llama.n_ctx_train()
    }

    /// The one token that `text` is, where it is one.
    pub(super) fn token(&self, text: &str) -> Option<LlamaToken> {
        match *self.llama.vocab().tokenize(text.as_bytes(), false, true) {
            [token] => Some(token),
            _ => None,
        }
    }

    /// The tokens of a prompt, special tokens in its text included, with BOS at the beginning
    /// exactly once where the vocabulary wants it.
    pub(super) fn tokenize(&self, prompt: &str) -> Vec<LlamaToken> {
        let vocab = self.llama.vocab();
        let mut tokens = vocab.tokenize(prompt.as_bytes(), false, true);
        let bos = vocab.bos();
        let has_bos = bos.0 >= 0 && vocab.should_add_bos();
        if has_bos && tokens.first() != Some(&bos) {
            tokens.insert(0, bos);
        }
        tokens
    }
}
