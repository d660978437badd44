//! The model in memory, and how its answers are made.

mod fit;

use indicatif::DecimalBytes;

use self::fit::{check, fewer_layers, is_for_want_of_memory, load_options, say_repacking};
use super::sampling::sampling;
use crate::chat::{StatusLine, note};
use crate::cli::RunArgs;
use crate::memory::Resident;
use crate::runner::{
    ContextOptions, GpuLayers, LoadOptions, Model, ModelFile, RunnerError, Session, SessionOptions,
};

/// Loads the model, with fewer layers on devices where as many as asked for do not fit there after all.
pub(in crate::commands) fn load(args: &RunArgs, file: &ModelFile) -> anyhow::Result<Model> {
    let mut options = load_options(args, file)?;
    check(args, file, &options)?;
    loop {
        let error = match try_to_load(file, &options) {
            Ok(model) => {
                say_repacking(args, &options, file);
                return Ok(model);
            }
            Err((error, layers)) => match fewer_layers(layers) {
                Some(fewer) if is_for_want_of_memory(&error) => {
                    note(&format!("{error}; trying with {fewer} layers on devices"));
                    options.gpu_layers = GpuLayers::Count(fewer);
                    continue;
                }
                _ => error,
            },
        };
        return Err(error.into());
    }
}

/// Loads the model, and where layers lie on devices makes a context, because that may be what has no
/// room there. With an error come the layers that were to lie on devices.
fn try_to_load(file: &ModelFile, options: &LoadOptions) -> Result<Model, (RunnerError, u32)> {
    let mut status = StatusLine::new();
    let (name, size) = (file.name.clone(), DecimalBytes(file.size));
    let progress = move |done: f32| {
        if done < 1.0 {
            status.show(&format!("loading {name}, {size}: {:.0} %", done * 100.0));
        } else {
            status.clear();
        }
    };
    let asked = match options.gpu_layers {
        GpuLayers::Count(layers) => layers.min(file.shape.layers() + 1),
        GpuLayers::Auto | GpuLayers::All => file.shape.layers() + 1,
    };
    let asked = if fit::used_devices(options).is_ok_and(|devices| devices.is_empty()) {
        0
    } else {
        asked
    };
    let model = Model::load(file, options, progress).map_err(|error| (error, asked))?;
    let (layers, _) = model.offloaded_layers();
    if layers > 0 {
        let probe = SessionOptions {
            context: options.context.clone(),
            ..SessionOptions::default()
        };
        if let Err(error) = Session::new(&model, probe) {
            return Err((error, layers));
        }
    }
    Ok(model)
}

/// What `run` evaluates with.
pub(in crate::commands) fn context_options(args: &RunArgs) -> ContextOptions {
    let (key_type, value_type) = args.engine.cache_types();
    ContextOptions {
        size: (args.engine.ctx_size > 0).then_some(args.engine.ctx_size),
        threads: args.engine.threads.unwrap_or_else(default_threads),
        threads_batch: args.engine.threads_batch,
        batch: args.engine.batch,
        ubatch: args.engine.ubatch,
        key_type,
        value_type,
        flash_attn: args.engine.flash_attn,
        rope_freq_base: args.engine.rope_freq_base,
        rope_freq_scale: args.engine.rope_freq_scale,
    }
}

pub(in crate::commands) fn session_options(args: &RunArgs) -> SessionOptions {
    SessionOptions {
        context: context_options(args),
        sampling: sampling(&args.sampling),
        limit: args.sampling.n_predict.0,
        stops: args.sampling.stop.clone(),
        // With both, a certain number of tokens is asked for, whatever they are.
        loop_stop: !(args.sampling.no_loop_stop || args.raw && args.sampling.n_predict.0.is_some()),
        speculate: args.speculation.speculate.0,
    }
}

/// Physical cores, but no more than this process may use: two threads of one core share its
/// arithmetic units, and gain nothing.
fn default_threads() -> u32 {
    let allowed = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = num_cpus::get_physical().clamp(1, allowed);
    u32::try_from(threads).unwrap_or(1)
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
    let asked = args
        .engine
        .gpu_layers
        .is_some_and(|arg| arg.0 != GpuLayers::Count(0));
    if model.devices().is_empty() && asked && args.engine.devices() != Some(Vec::new()) {
        note(&format!(
            "no layers go to a GPU: {}; all run on the CPU",
            super::super::devices::why_no_gpu()
        ));
    }
}

/// Says what the program holds of the memory.
pub(super) fn say_resident() {
    let Some(resident) = Resident::measure() else {
        return;
    };
    let bytes = |name: &str, bytes: Option<u64>| match bytes {
        Some(bytes) => format!(", {} {name}", DecimalBytes(bytes)),
        None => String::new(),
    };
    note(&format!(
        "resident: {}{}{}",
        DecimalBytes(resident.now),
        bytes("of it mapped from files", resident.mapped),
        bytes("at most so far", resident.peak),
    ));
}

pub(super) fn list_devices(model: &Model) {
    let (offloaded, layers) = model.offloaded_layers();
    for device in model.devices() {
        note(&format!("GPU: {} ({})", device.name, device.description));
    }
    note(&format!("layers on a GPU: {offloaded} of {layers}"));
}
