//! What a model takes of the memory, and what the machine has: asked before anything is loaded, of a
//! header alone, and of a header that is not written yet.
//!
//! Pure but for [`Machine::now`], and without llama.cpp: what its devices have is handed in.
//!
//! - [`Shape`]: what the header says of layers, keys and values, and tensors
//! - [`Usage`]: how the model is to be run
//! - [`demand`]: the bytes of both, as llama.cpp's log names them: model, KV and compute buffers
//! - [`Machine`], [`Fit`]: whether that is there
//! - [`Shortage`], [`repacking_pays`], [`layers_that_fit`]: what is done about it

mod advice;
mod cache;
mod compute;
mod machine;
mod placement;
mod repacking;
mod resident;
mod shape;
#[cfg(test)]
mod tests;

use swallow_quant::GgmlType;

pub use advice::{Shortage, layers_that_fit, repacking_pays};
pub use machine::{DeviceMemory, Fit, Machine};
pub use placement::Placement;
pub use repacking::Repacking;
pub use resident::Resident;
pub use shape::{DEFAULT_CONTEXT, Shape};

/// How a model is run, as far as it decides about memory.
#[derive(Clone, Debug)]
pub struct Usage {
    /// Tokens of the context.
    pub context: u32,
    /// Type of the keys that are kept.
    pub key_type: GgmlType,
    /// Type of the values that are kept.
    pub value_type: GgmlType,
    /// Tokens evaluated at once.
    pub ubatch: u32,
    /// Whether attention is computed without its whole matrix of scores.
    pub flash_attn: bool,
    /// Layers on a device, the output counted as one; 0 where all is on the CPU.
    pub gpu_layers: u32,
    /// Tensors that lie elsewhere than their layer.
    pub placements: Vec<Placement>,
    /// What is repacked for the CPU's kernels.
    pub repack: Repacking,
    /// Whether the weights are mapped from the file, so that the system can take their pages back.
    pub mmap: bool,
}

impl Usage {
    /// Tokens evaluated at once on the CPU: no slower than more, and Ctrl-C is heard in between.
    pub const UBATCH_CPU: u32 = 128;

    /// Tokens evaluated at once on a device, as llama.cpp's programs do.
    pub const UBATCH_GPU: u32 = 512;

    /// A context of `context` tokens on the CPU, all else as it is unasked; nothing is repacked.
    pub fn on_cpu(context: u32) -> Self {
        Self {
            context,
            key_type: GgmlType::F16,
            value_type: GgmlType::F16,
            ubatch: Self::UBATCH_CPU,
            flash_attn: true,
            gpu_layers: 0,
            placements: Vec::new(),
            repack: Repacking::NONE,
            mmap: true,
        }
    }
}

/// Bytes that a part of the machine gives to a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// Tensors.
    pub weights: u64,
    /// Keys and values of the context, and the states of recurrent layers.
    pub kv_cache: u64,
    /// What llama.cpp computes in.
    pub compute: u64,
}

impl Part {
    /// All of it.
    pub fn total(self) -> u64 {
        self.weights
            .saturating_add(self.kv_cache)
            .saturating_add(self.compute)
    }
}

/// Bytes that a model takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// Tensors, wherever they lie.
    pub weights: u64,
    /// Keys and values of the context, and the states of recurrent layers, wherever they lie.
    pub kv_cache: u64,
    /// What llama.cpp computes in, on the CPU and on devices.
    pub compute: u64,
    /// Of the weights, those that are copied in another order for the CPU's kernels.
    pub repacked: u64,
    /// Of all that, what lies on devices.
    pub on_devices: Part,
    /// Whether the weights that stay in the machine's memory are mapped from the file.
    pub mapped: bool,
}

impl Demand {
    /// What lies in the machine's own memory.
    pub fn on_host(&self) -> Part {
        Part {
            weights: self.weights.saturating_sub(self.on_devices.weights),
            kv_cache: self.kv_cache.saturating_sub(self.on_devices.kv_cache),
            compute: self.compute.saturating_sub(self.on_devices.compute),
        }
    }

    /// Bytes of weights that are nothing but mapped pages while the model is used: what is repacked is
    /// read once, and its pages may go.
    pub fn mapped_only(&self) -> u64 {
        match self.mapped {
            true => self.on_host().weights.saturating_sub(self.repacked),
            false => 0,
        }
    }

    /// Bytes of the machine's own memory that the system cannot take back while the model is used.
    pub fn held(&self) -> u64 {
        let host = self.on_host();
        let weights = if self.mapped {
            self.repacked
        } else {
            host.weights
        };
        weights
            .saturating_add(host.kv_cache)
            .saturating_add(host.compute)
    }
}

/// What a model of this shape takes, used in this way.
pub fn demand(shape: &Shape, usage: &Usage) -> Demand {
    let layers = shape.layers();
    // As llama.cpp fills devices: from the last layer, the output first.
    let first_on_device = (layers + 1).saturating_sub(usage.gpu_layers);
    let output_on_device = usage.gpu_layers > 0;
    let mut demand = Demand {
        mapped: usage.mmap,
        ..Demand::default()
    };
    for tensor in shape.tensors() {
        let placed = usage.placements.iter().find(|p| p.takes(&tensor.name));
        let on_device = match (placed, tensor.layer) {
            (Some(placement), _) => !placement.is_host(),
            (None, Some(layer)) => layer >= first_on_device,
            (None, None) => output_on_device && !tensor.is_input,
        };
        demand.weights = demand.weights.saturating_add(tensor.bytes);
        if on_device {
            let on_devices = &mut demand.on_devices.weights;
            *on_devices = on_devices.saturating_add(tensor.bytes);
        } else if usage.repack.repacks(tensor) {
            demand.repacked = demand.repacked.saturating_add(tensor.bytes);
        }
    }
    if output_on_device && let Some(bytes) = shape.tied_output() {
        // The device gets a copy of the embedding to compute logits with.
        demand.weights = demand.weights.saturating_add(bytes);
        demand.on_devices.weights = demand.on_devices.weights.saturating_add(bytes);
    }
    for layer in 0..layers {
        let bytes = cache::layer(shape, layer, usage);
        demand.kv_cache = demand.kv_cache.saturating_add(bytes);
        if layer >= first_on_device {
            demand.on_devices.kv_cache = demand.on_devices.kv_cache.saturating_add(bytes);
        }
    }
    let compute = compute::graph(shape, usage);
    if output_on_device {
        demand.on_devices.compute = compute;
        // Layers that stay compute as much as those that go; a model that goes whole leaves inputs.
        let placed = usage.placements.iter().any(Placement::is_host);
        let stays = first_on_device > 0 || placed;
        let host = if stays {
            compute
        } else {
            compute::inputs(shape, usage)
        };
        demand.compute = compute.saturating_add(host);
    } else {
        demand.compute = compute;
    }
    demand
}
