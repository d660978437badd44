//! A loaded model: weights and vocabulary.

use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::model::params::LlamaModelParams;
use llama_cpp_2::token::LlamaToken;
use llama_cpp_2::{LlamaBackendDeviceType, LlamaModelLoadError, list_llama_ggml_backend_devices};

use super::{ModelFile, RunnerError, backend, log, rpc};

/// How to load a model.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// Layers to put on the GPU, the output counted as one; `None` is as many as there are, and
    /// with 0 the CPU computes everything.
    pub gpu_layers: Option<u32>,
    /// Show llama.cpp's log on stderr.
    pub verbose: bool,
}

/// A GPU that llama.cpp can use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Short name, for example `Vulkan0`.
    pub name: String,
    /// What it is, for example `llvmpipe (LLVM 15.0.6, 256 bits)`.
    pub description: String,
}

/// A model in memory.
#[derive(Debug)]
pub struct Model {
    pub(super) llama: LlamaModel,
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
        mut progress: impl FnMut(f32) + 'static,
    ) -> Result<Self, RunnerError> {
        log::install(options.verbose);
        let _computing = rpc::computing();
        let backend = backend()?;
        let devices = gpus();
        let mut params = LlamaModelParams::default().with_progress_callback(move |done| {
            progress(done);
            true
        });
        if let Some(layers) = options.gpu_layers {
            params = params.with_n_gpu_layers(layers);
        }
        if options.gpu_layers == Some(0) {
            // Else llama.cpp copies the weights to a GPU for every long enough batch of a prompt.
            let params_on_cpu = params.with_devices(&[]);
            params = params_on_cpu.map_err(|error| RunnerError::Backend {
                reason: error.to_string(),
            })?;
        }
        let llama = LlamaModel::load_from_file(backend, &file.path, &params);
        let llama = llama.map_err(|error| match error {
            LlamaModelLoadError::PathToStrError(path) => RunnerError::Path { path },
            other => RunnerError::Load {
                path: file.path.clone(),
                reason: log::take_first_error().unwrap_or_else(|| other.to_string()),
            },
        })?;
        let all_layers = llama.n_layer().saturating_add(1);
        let gpu_layers = match devices.is_empty() {
            true => 0,
            false => options.gpu_layers.map_or(all_layers, |n| n.min(all_layers)),
        };
        Ok(Self {
            llama,
            devices,
            gpu_layers,
        })
    }

    /// The GPUs that llama.cpp sees. None in a build without GPU support.
    pub fn devices(&self) -> &[Device] {
        &self.devices
    }

    /// Layers on the GPUs, and layers of the model, the output counted as one.
    pub fn offloaded_layers(&self) -> (u32, u32) {
        (self.gpu_layers, self.llama.n_layer().saturating_add(1))
    }

    /// Tokens of the longest text the model was trained on.
    pub fn trained_context(&self) -> u32 {
        self.llama.n_ctx_train()
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

fn gpus() -> Vec<Device> {
    let is_gpu = |kind| {
        matches!(
            kind,
            LlamaBackendDeviceType::Gpu | LlamaBackendDeviceType::IntegratedGpu
        )
    };
    list_llama_ggml_backend_devices()
        .into_iter()
        .filter(|device| is_gpu(device.device_type))
        .map(|device| Device {
            name: device.name,
            description: device.description,
        })
        .collect()
}
