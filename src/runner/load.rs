//! How a model is loaded: what llama.cpp is told, in its own parameters.
//!
//! Not through `LlamaModelParams`, which knows neither of repacking nor of another device for a tensor
//! than the CPU.

use std::ffi::{CStr, CString, c_void};
use std::mem;
use std::path::{Path, PathBuf};
use std::ptr::{self, NonNull};

use llama_cpp_2::model::LlamaModel;
use llama_cpp_sys_2::{
    ggml_backend_buffer_type_t, ggml_backend_dev_t, llama_model, llama_model_params,
    llama_model_tensor_buft_override,
};

use super::devices::{self, Device, DeviceKind};
use super::{ContextOptions, RunnerError, log};
use crate::memory::{Placement, Repacking, Shape, Usage};

/// How to load a model.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// Layers to put on devices.
    pub gpu_layers: GpuLayers,
    /// The devices they go to, by name; `None` is those that llama.cpp takes, an empty list the CPU
    /// alone.
    pub devices: Option<Vec<String>>,
    /// How a model is divided among several devices.
    pub split_mode: SplitMode,
    /// The device that computes alone with [`SplitMode::None`], by its place among them.
    pub main_gpu: u32,
    /// Shares of the devices; none are by their free memory.
    pub tensor_split: Vec<f32>,
    /// Tensors that go elsewhere than their layer; the first that fits a tensor counts.
    pub placements: Vec<Placement>,
    /// Whether weights are copied in another order for the CPU's kernels where it has some.
    pub repack: bool,
    /// Whether weights are mapped from the file and not read.
    pub mmap: bool,
    /// Whether the system is asked to keep them in memory.
    pub mlock: bool,
    /// An adapter, and how strong it is.
    pub lora: Option<(PathBuf, f32)>,
    /// What the layers on devices leave room for, where they are chosen by their number.
    pub context: ContextOptions,
    /// Show llama.cpp's log on stderr.
    pub verbose: bool,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self {
            gpu_layers: GpuLayers::Auto,
            devices: None,
            split_mode: SplitMode::Layer,
            main_gpu: 0,
            tensor_split: Vec::new(),
            placements: Vec::new(),
            repack: true,
            mmap: true,
            mlock: false,
            lora: None,
            context: ContextOptions::default(),
            verbose: false,
        }
    }
}

impl LoadOptions {
    /// How a model of this shape, loaded so, uses memory where there are devices or none; with as many
    /// layers on them as are asked for, all where they are to be chosen.
    pub fn usage(&self, shape: &Shape, has_devices: bool) -> Usage {
        let all = shape.layers() + 1;
        let gpu_layers = match self.gpu_layers {
            _ if !has_devices => 0,
            GpuLayers::Auto | GpuLayers::All => all,
            GpuLayers::Count(layers) => layers.min(all),
        };
        Usage {
            placements: self.placements.clone(),
            repack: match self.repack {
                true => devices::repacking(),
                false => Repacking::NONE,
            },
            mmap: self.mmap,
            ..self.context.usage(shape, gpu_layers)
        }
    }
}

/// How many layers go to devices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GpuLayers {
    /// As many as fit.
    #[default]
    Auto,
    /// All.
    All,
    /// So many, the output counted as one.
    Count(u32),
}

/// How a model is divided among several devices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum SplitMode {
    /// One device has all
    None,
    /// Whole layers, one device after the other
    #[default]
    Layer,
    /// The rows of each matrix
    Row,
}

/// Memory that llama.cpp's choice of layers leaves free on each device, as its programs do.
const MARGIN: usize = 1 << 30;

/// llama.cpp's parameters, and what they point to.
pub(super) struct Params {
    raw: llama_model_params,
    devices: Vec<ggml_backend_dev_t>,
    tensor_split: Vec<f32>,
    patterns: Vec<CString>,
    overrides: Vec<llama_model_tensor_buft_override>,
}

impl Params {
    /// The parameters that `options` ask for, with all layers on `gpus` where they do not say how many.
    pub(super) fn new(options: &LoadOptions, gpus: &[Device]) -> Result<Self, RunnerError> {
        // SAFETY: it takes nothing and returns plain values and nulls.
        let mut raw = unsafe { llama_cpp_sys_2::llama_model_default_params() };
        let layers = match options.gpu_layers {
            _ if gpus.is_empty() => Some(0),
            GpuLayers::Auto | GpuLayers::All => None,
            GpuLayers::Count(layers) => Some(layers),
        };
        // What is not set is all of them, and for `fit` to choose.
        if let Some(layers) = layers {
            raw.n_gpu_layers = i32::try_from(layers).unwrap_or(i32::MAX);
        }
        raw.split_mode = match options.split_mode {
            SplitMode::None => llama_cpp_sys_2::LLAMA_SPLIT_MODE_NONE,
            SplitMode::Layer => llama_cpp_sys_2::LLAMA_SPLIT_MODE_LAYER,
            SplitMode::Row => llama_cpp_sys_2::LLAMA_SPLIT_MODE_ROW,
        };
        raw.main_gpu = i32::try_from(options.main_gpu).unwrap_or(i32::MAX);
        raw.load_mode = match (options.mmap, options.mlock) {
            (true, false) => llama_cpp_sys_2::LLAMA_LOAD_MODE_MMAP,
            (true, true) => llama_cpp_sys_2::LLAMA_LOAD_MODE_MMAP_MLOCK,
            (false, false) => llama_cpp_sys_2::LLAMA_LOAD_MODE_NONE,
            (false, true) => llama_cpp_sys_2::LLAMA_LOAD_MODE_MLOCK,
        };
        raw.use_extra_bufts = options.repack;
        let mut params = Self {
            raw,
            devices: Vec::new(),
            tensor_split: Vec::new(),
            patterns: Vec::new(),
            overrides: Vec::new(),
        };
        // With no layers there, llama.cpp would still copy weights to a GPU for every long enough batch;
        // a device that only tensors are placed on has to be there.
        let has_layers = layers != Some(0);
        let is_placed = |device: &&Device| {
            let mut placements = options.placements.iter();
            placements.any(|placement| placement.device.eq_ignore_ascii_case(&device.name))
        };
        let used = gpus.iter().filter(|gpu| has_layers || is_placed(gpu));
        params.devices = used.filter_map(devices::handle).collect();
        params.devices.push(ptr::null_mut());
        if !options.tensor_split.is_empty() {
            params.tensor_split = vec![0.0; max_devices()];
            let shares = params.tensor_split.iter_mut().zip(&options.tensor_split);
            shares.for_each(|(to, from)| *to = *from);
        }
        if !options.placements.is_empty() {
            params.place(&options.placements, gpus)?;
        }
        Ok(params)
    }

    /// Sets the devices of tensors: the CPU, and those that the model may use. llama.cpp would end the
    /// program over another.
    fn place(&mut self, placements: &[Placement], gpus: &[Device]) -> Result<(), RunnerError> {
        let mut all = devices::devices()?;
        // By name: how much is free there is another number each time it is asked.
        let is_used = |device: &Device| gpus.iter().any(|gpu| gpu.name == device.name);
        all.retain(|device| device.kind == DeviceKind::Cpu || is_used(device));
        for placement in placements {
            let device = devices::find(&all, &placement.device, |_| true)?;
            let buffer = devices::handle(device).map(buffer_type);
            let pattern = CString::new(placement.pattern.as_str()).ok();
            if let (Some(buft), Some(pattern)) = (buffer, pattern) {
                self.patterns.push(pattern);
                self.overrides.push(llama_model_tensor_buft_override {
                    pattern: ptr::null(),
                    buft,
                });
            }
        }
        self.overrides.push(END_OF_OVERRIDES);
        Ok(())
    }

    /// Whether layers go to a device.
    fn uses_devices(&self) -> bool {
        self.devices.len() > 1
    }

    /// Lets llama.cpp choose what goes to the devices, so that it leaves room for the context. False
    /// where it cannot: it does not with tensors that the user places.
    pub(super) fn fit(&mut self, path: &CStr, context: &ContextOptions, size: u32) -> bool {
        if !self.uses_devices() || !self.overrides.is_empty() {
            return !self.uses_devices();
        }
        let mut raw = self.pointing();
        let mut split = vec![0.0; max_devices()];
        // SAFETY: it takes nothing.
        let max_overrides = unsafe { llama_cpp_sys_2::llama_max_tensor_buft_overrides() };
        let mut overrides = vec![END_OF_OVERRIDES; max_overrides + 1];
        let mut margins = vec![MARGIN; max_devices().max(1)];
        let mut context = context.raw(size, true);
        // SAFETY: the parameters point to what `self` keeps; the buffers are as long as asked for, and
        // what is written into them (patterns of llama.cpp's own, which live as long as the program)
        // is kept in `self`.
        let status = unsafe {
            llama_cpp_sys_2::llama_rs_fit_params(
                path.as_ptr(),
                &raw mut raw,
                &raw mut context,
                split.as_mut_ptr(),
                overrides.as_mut_ptr(),
                margins.as_mut_ptr(),
                size,
                ptr::null(),
                llama_cpp_sys_2::GGML_LOG_LEVEL_ERROR,
            )
        };
        let fits = status == 0;
        if fits {
            self.raw.n_gpu_layers = raw.n_gpu_layers;
            if self.tensor_split.is_empty() && split.iter().any(|share| *share > 0.0) {
                self.tensor_split = split;
            }
            if !overrides[0].pattern.is_null() {
                self.overrides = overrides;
            }
        }
        // What it says of what does not fit is no reason of a failure.
        let _ = log::take_first_error();
        fits
    }

    /// Puts so many layers on the devices.
    pub(super) fn set_layers(&mut self, layers: u32) {
        self.raw.n_gpu_layers = i32::try_from(layers).unwrap_or(i32::MAX);
    }

    /// Layers that go to devices, of so many.
    pub(super) fn layers(&self, all: u32) -> u32 {
        if !self.uses_devices() {
            return 0;
        }
        u32::try_from(self.raw.n_gpu_layers).map_or(all, |layers| layers.min(all))
    }

    /// The parameters with their pointers, valid as long as `self` is not changed.
    fn pointing(&mut self) -> llama_model_params {
        let mut raw = self.raw;
        raw.devices = self.devices.as_mut_ptr();
        if !self.tensor_split.is_empty() {
            raw.tensor_split = self.tensor_split.as_ptr();
        }
        if !self.overrides.is_empty() {
            for (to, pattern) in self.overrides.iter_mut().zip(&self.patterns) {
                to.pattern = pattern.as_ptr();
            }
            raw.tensor_buft_overrides = self.overrides.as_ptr();
        }
        raw
    }

    /// Loads the model; `progress` is told how far it is, from 0 to 1.
    pub(super) fn load(
        &mut self,
        path: &CStr,
        mut progress: impl FnMut(f32),
    ) -> Option<LlamaModel> {
        let mut raw = self.pointing();
        let mut progress: &mut dyn FnMut(f32) = &mut progress;
        raw.progress_callback = Some(on_progress);
        raw.progress_callback_user_data = (&raw mut progress).cast::<c_void>();
        // SAFETY: the path and all that the parameters point to outlive the call, and llama.cpp keeps
        // none of it; the callback gets the pointer that it expects.
        let model = unsafe { llama_cpp_sys_2::llama_model_load_from_file(path.as_ptr(), raw) };
        NonNull::new(model).map(owned)
    }
}

const END_OF_OVERRIDES: llama_model_tensor_buft_override = llama_model_tensor_buft_override {
    pattern: ptr::null(),
    buft: ptr::null_mut(),
};

unsafe extern "C" fn on_progress(done: f32, user_data: *mut c_void) -> bool {
    // SAFETY: `Params::load` gives a pointer to its closure, which lives while llama.cpp loads.
    let progress = unsafe { &mut *user_data.cast::<&mut dyn FnMut(f32)>() };
    progress(done);
    true
}

/// A model as the bindings own it, which free it.
fn owned(model: NonNull<llama_model>) -> LlamaModel {
    // SAFETY: `LlamaModel` is `repr(transparent)` over a non-null pointer to the model, in the version
    // that we are pinned to; the model is ours alone.
    unsafe { mem::transmute::<NonNull<llama_model>, LlamaModel>(model) }
}

fn buffer_type(device: ggml_backend_dev_t) -> ggml_backend_buffer_type_t {
    // SAFETY: the handle is one of ggml's own, which live as long as the program.
    unsafe { llama_cpp_sys_2::ggml_backend_dev_buffer_type(device) }
}

fn max_devices() -> usize {
    // SAFETY: it takes nothing.
    unsafe { llama_cpp_sys_2::llama_max_devices() }
}

/// A path as llama.cpp takes it.
pub(super) fn c_path(path: &Path) -> Result<CString, RunnerError> {
    path.to_str()
        .and_then(|path| CString::new(path).ok())
        .ok_or_else(|| RunnerError::Path { path: path.into() })
}
