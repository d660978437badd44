//! What is done about memory: repacking where there is plenty, layers for devices, and what would help
//! where a model does not fit.

use std::fmt;

use indicatif::DecimalBytes;
use swallow_quant::GgmlType;

use super::shape::Tensor;
use super::{Demand, Fit, Machine, Shape, Usage, demand};

/// Of the free memory, the part that a model may take with its repacked weights where nobody asked for
/// them. They lie beside the file's own pages, so the rest is what the other programs, and the cache
/// that makes the next start quick, still have.
const PLENTY: f64 = 0.6;

/// Memory of each device that the layers leave free, as llama.cpp's programs do.
const MARGIN: u64 = 1 << 30;

/// The smallest context that is advised.
const MIN_CONTEXT: u32 = 256;

/// Tokens at once that are advised.
const SMALL_UBATCH: u32 = 32;

/// Whether repacking for the CPU's kernels is worth its memory, used as `usage` says: most of what is
/// repacked gets faster by it, and the file's pages, the copies and all else take a part of what is free.
pub fn repacking_pays(shape: &Shape, usage: &Usage, machine: &Machine) -> bool {
    let repacked = |tensor: &&Tensor| usage.repack.repacks(tensor);
    let (faster, slower): (Vec<_>, Vec<_>) = shape
        .tensors
        .iter()
        .filter(repacked)
        .partition(|tensor| usage.repack.is_faster(tensor.ty));
    let bytes = |tensors: &[&Tensor]| tensors.iter().map(|tensor| tensor.bytes).sum::<u64>();
    if bytes(&faster) <= bytes(&slower) {
        return false;
    }
    let demand = demand(shape, usage);
    let all = demand.on_host().total().saturating_add(demand.repacked);
    let plenty = PLENTY * machine.free_on_host(&demand) as f64;
    demand.repacked > 0 && all as f64 <= plenty
}

/// The most layers, the output counted as one, whose part fits into the devices' free memory.
pub fn layers_that_fit(shape: &Shape, usage: &Usage, machine: &Machine) -> u32 {
    let margins = MARGIN.saturating_mul(machine.devices.len() as u64);
    let free = machine.free_on_devices().saturating_sub(margins);
    let fits = |gpu_layers: &u32| {
        let usage = Usage {
            gpu_layers: *gpu_layers,
            ..usage.clone()
        };
        demand(shape, &usage).on_devices.total() <= free
    };
    (1..=shape.layers() + 1).rev().find(fits).unwrap_or(0)
}

/// A model that cannot be in the machine's memory, and what would help.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shortage {
    /// What the model takes.
    pub demand: Demand,
    /// What is free for it.
    pub free: u64,
    /// Options that help, the least painful first; each alone is enough, and what is given together
    /// is enough only together.
    pub help: Vec<String>,
}

impl Shortage {
    /// What is missing for a model used in this way, if anything is.
    pub fn of(shape: &Shape, usage: &Usage, machine: &Machine) -> Option<Self> {
        let demand = demand(shape, usage);
        (machine.fit_on_host(&demand) == Fit::Refused).then(|| Self {
            free: machine.free_on_host(&demand),
            help: help(shape, usage, machine),
            demand,
        })
    }
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.demand.on_host();
        let weights = match self.demand.mapped {
            true => self.demand.repacked,
            false => host.weights,
        };
        let parts: Vec<String> = [
            ("of weights", weights),
            ("of keys and values", host.kv_cache),
            ("to compute in", host.compute),
        ]
        .into_iter()
        .filter(|(_, bytes)| *bytes > 0)
        .map(|(what, bytes)| format!("{} {what}", DecimalBytes(bytes)))
        .collect();
        write!(
            f,
            "{} of memory are needed ({}), and {} are free",
            DecimalBytes(self.demand.held()),
            parts.join(", "),
            DecimalBytes(self.free),
        )?;
        match self.help.split_last() {
            None if weights > 0 => write!(f, "; a smaller file type would help"),
            None => Ok(()),
            Some((one, [])) => write!(f, "; {one} would do"),
            Some((last, others)) => write!(f, "; {} or {last} would do", others.join(", ")),
        }
    }
}

/// A change of how a model is used, and what it is called on the command line.
struct Change {
    option: String,
    usage: Usage,
}

/// Options each of which alone makes the model fit, else all of them together where that does.
fn help(shape: &Shape, usage: &Usage, machine: &Machine) -> Vec<String> {
    let fits = |usage: &Usage| machine.fit_on_host(&demand(shape, usage)) != Fit::Refused;
    let mut helpful: Vec<Change> = Vec::new();
    let smaller = |usage: &Usage| {
        let context = |context: u32| Change {
            option: format!("-c {context}"),
            usage: Usage {
                context,
                ..usage.clone()
            },
        };
        // Powers of two, the largest that fits or else the smallest.
        let largest = usage.context.saturating_sub(1).checked_ilog2()?;
        let sizes = (MIN_CONTEXT.ilog2()..=largest)
            .rev()
            .map(|log| context(1 << log));
        let mut changes: Vec<Change> = sizes.collect();
        let first = changes.iter().position(|change| fits(&change.usage));
        let first = first.or(changes.len().checked_sub(1))?;
        Some(changes.swap_remove(first))
    };
    let mut changes: Vec<Change> = smaller(usage).into_iter().collect();
    changes.extend(with_small_cache(shape, usage));
    changes.extend(without_copies(usage));
    changes.extend(with_fewer_layers(shape, usage, machine));
    changes.extend(with_small_batch(usage));
    for change in changes {
        if fits(&change.usage) {
            helpful.push(change);
        }
    }
    if !helpful.is_empty() {
        let options = helpful.into_iter();
        return options
            .map(|change| format!("`{}`", change.option))
            .collect();
    }
    // Nothing alone is enough: everything that can be given up, and the context last.
    let mut together = usage.clone();
    let mut options = Vec::new();
    let steps: [fn(&Shape, &Usage) -> Option<Change>; 3] = [
        |shape, usage| with_small_cache(shape, usage),
        |_, usage| without_copies(usage),
        |_, usage| with_small_batch(usage),
    ];
    let mut give_up = |change: Option<Change>, together: &mut Usage| {
        if let Some(change) = change {
            options.push(change.option);
            *together = change.usage;
        }
    };
    for step in steps {
        give_up(step(shape, &together), &mut together);
    }
    if !fits(&together) {
        give_up(smaller(&together), &mut together);
    }
    match fits(&together) {
        true => vec![format!("`{}`", options.join(" "))],
        false => Vec::new(),
    }
}

/// Keys and values of half the bytes.
fn with_small_cache(shape: &Shape, usage: &Usage) -> Option<Change> {
    let block = GgmlType::Q8_0.block_len() as u64;
    let (key, value) = shape.head_sizes();
    let can = usage.flash_attn && key.is_multiple_of(block) && value.is_multiple_of(block);
    let is_large = [usage.key_type, usage.value_type]
        .iter()
        .any(|ty| !ty.is_quantized());
    (can && is_large).then(|| Change {
        option: "--kv-type q8_0".to_owned(),
        usage: Usage {
            key_type: GgmlType::Q8_0,
            value_type: GgmlType::Q8_0,
            ..usage.clone()
        },
    })
}

/// Weights as mapped pages and nothing else.
fn without_copies(usage: &Usage) -> Option<Change> {
    let repacks = usage.repack != super::Repacking::NONE;
    let option = match (usage.mmap, repacks) {
        (true, false) => return None,
        (true, true) => "--repack off",
        (false, true) => "--mmap --repack off",
        (false, false) => "--mmap",
    };
    Some(Change {
        option: option.to_owned(),
        usage: Usage {
            mmap: true,
            repack: super::Repacking::NONE,
            ..usage.clone()
        },
    })
}

/// Fewer layers on a device that shares the machine's memory: there their weights cannot be mapped.
fn with_fewer_layers(shape: &Shape, usage: &Usage, machine: &Machine) -> Option<Change> {
    let most = usage.gpu_layers.min(shape.layers() + 1);
    (0..most)
        .rev()
        .map(|gpu_layers| Change {
            option: format!("--gpu-layers {gpu_layers}"),
            usage: Usage {
                gpu_layers,
                ..usage.clone()
            },
        })
        .find(|change| machine.fit_on_host(&demand(shape, &change.usage)) != Fit::Refused)
}

/// Fewer tokens at once.
fn with_small_batch(usage: &Usage) -> Option<Change> {
    (usage.ubatch > SMALL_UBATCH).then(|| Change {
        option: format!("--ubatch {SMALL_UBATCH}"),
        usage: Usage {
            ubatch: SMALL_UBATCH,
            ..usage.clone()
        },
    })
}
