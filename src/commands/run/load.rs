//! The model in memory, and how its answers are made.

use std::hash::{BuildHasher, Hasher, RandomState};

use indicatif::DecimalBytes;

use crate::chat::{StatusLine, note};
use crate::cli::RunArgs;
use crate::runner::{ContextOptions, LoadOptions, Model, ModelFile, Sampling, SessionOptions};

pub(super) fn load(args: &RunArgs, file: &ModelFile) -> anyhow::Result<Model> {
    let options = LoadOptions {
        gpu_layers: args.engine.gpu_layers,
        verbose: args.verbose,
    };
    let mut status = StatusLine::new();
    let name = file.name.clone();
    let size = DecimalBytes(file.size);
    let model = Model::load(file, &options, move |done| {
        if done < 1.0 {
            status.show(&format!("loading {name}, {size}: {:.0} %", done * 100.0));
        } else {
            status.clear();
        }
    })?;
    Ok(model)
}

pub(super) fn session_options(args: &RunArgs) -> SessionOptions {
    SessionOptions {
        context: ContextOptions {
            size: (args.engine.ctx_size > 0).then_some(args.engine.ctx_size),
            threads: args.engine.threads.unwrap_or_else(default_threads),
        },
        sampling: Sampling {
            temperature: args.sampling.temp,
            top_k: args.sampling.top_k,
            top_p: args.sampling.top_p,
            min_p: args.sampling.min_p,
            repeat_penalty: args.sampling.repeat_penalty,
            seed: u32::try_from(args.sampling.seed).unwrap_or_else(|_| random_seed()),
        },
        limit: usize::try_from(args.sampling.n_predict).ok(),
        stops: args.sampling.stop.clone(),
        // With both, a certain number of tokens is asked for, whatever they are.
        loop_stop: !(args.sampling.no_loop_stop || args.raw && args.sampling.n_predict > 0),
    }
}

/// Physical cores, but no more than this process may use: two threads of one core share its
/// arithmetic units, and gain nothing.
pub(in crate::commands) fn default_threads() -> u32 {
    let allowed = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = num_cpus::get_physical().clamp(1, allowed);
    u32::try_from(threads).unwrap_or(1)
}

/// The standard library seeds its hash maps from the system's random source.
fn random_seed() -> u32 {
    RandomState::new().build_hasher().finish() as u32
}

/// Says where the model runs otherwise than asked or expected.
pub(super) fn say_what_differs(args: &RunArgs, model: &Model) {
    let trained = model.trained_context();
    let most = ContextOptions::DEFAULT_SIZE;
    if args.engine.ctx_size == 0 && trained > most {
        note(&format!(
            "the context is {most} tokens, of the {trained} the model was trained for; `-c` makes it larger"
        ));
    } else if args.engine.ctx_size > trained {
        note(&format!(
            "the context is {} tokens, but the model was trained for {trained}",
            args.engine.ctx_size
        ));
    }
    if model.devices().is_empty() && args.engine.gpu_layers.is_some_and(|layers| layers > 0) {
        let reason = match cfg!(any(feature = "cuda", feature = "vulkan", feature = "metal")) {
            true => "llama.cpp finds no GPU on this machine",
            false => {
                "this build has no GPU support (the features `cuda`, `vulkan` and `metal` give it)"
            }
        };
        note(&format!(
            "no layers go to a GPU: {reason}; all run on the CPU"
        ));
    }
}

pub(super) fn list_devices(model: &Model) {
    let (offloaded, layers) = model.offloaded_layers();
    for device in model.devices() {
        note(&format!("GPU: {} ({})", device.name, device.description));
    }
    note(&format!("layers on a GPU: {offloaded} of {layers}"));
}
