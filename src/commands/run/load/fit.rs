//! Whether the model fits into the machine, and what is done where it does not.

use anyhow::bail;
use indicatif::DecimalBytes;

use super::context_options;
use crate::chat::note;
use crate::cli::{RepackArg, RunArgs};
use crate::memory::{Demand, Fit, Machine, Placement, Shortage, Usage, demand, repacking_pays};
use crate::runner::{
    Device, GpuLayers, LoadOptions, ModelFile, RunnerError,
    devices::{gpus, named},
};

/// How the model is loaded: as asked for, and with weights repacked where that is left to us and there
/// is room.
pub(super) fn load_options(args: &RunArgs, file: &ModelFile) -> anyhow::Result<LoadOptions> {
    let engine = &args.engine;
    let mut placements = engine.override_tensor.clone();
    if let Some(layers) = engine.cpu_moe {
        let layers = (layers != u32::MAX).then_some(layers.min(file.shape.layers()));
        placements.push(Placement::experts_on_host(layers).map_err(anyhow::Error::msg)?);
    }
    let mut options = LoadOptions {
        gpu_layers: engine.gpu_layers.map_or(GpuLayers::Auto, |arg| arg.0),
        devices: engine.devices(),
        split_mode: engine.split_mode,
        main_gpu: engine.main_gpu,
        tensor_split: engine.tensor_split.clone(),
        placements,
        repack: engine.repack != RepackArg::Off,
        mmap: !engine.no_mmap,
        mlock: engine.mlock,
        lora: engine.lora.clone().map(|lora| (lora.path, lora.scale)),
        context: context_options(args),
        verbose: args.verbose,
    };
    options.context.check(&file.shape)?;
    let devices = used_devices(&options)?;
    if engine.repack == RepackArg::Auto {
        let usage = usage(file, &options, &devices);
        options.repack = repacking_pays(&file.shape, &usage, &machine(&devices));
    }
    say_what_is_in_vain(engine.cpu_moe, &options, file);
    Ok(options)
}

/// The devices that layers may go to.
pub(super) fn used_devices(options: &LoadOptions) -> Result<Vec<Device>, RunnerError> {
    match &options.devices {
        None => gpus(),
        Some(names) => named(names),
    }
}

fn machine(devices: &[Device]) -> Machine {
    Machine::now(devices.iter().map(Device::memory).collect())
}

/// How the model uses memory. Where layers are to be chosen they are as many as fit, by our estimate.
fn usage(file: &ModelFile, options: &LoadOptions, devices: &[Device]) -> Usage {
    let usage = options.usage(&file.shape, !devices.is_empty());
    match options.gpu_layers {
        GpuLayers::Auto if !devices.is_empty() => {
            let machine = machine(devices);
            let gpu_layers = crate::memory::layers_that_fit(&file.shape, &usage, &machine);
            Usage {
                gpu_layers,
                ..usage
            }
        }
        _ => usage,
    }
}

/// Refuses a model that cannot be in the machine's memory, and warns of one whose weights the system
/// would have to read again and again.
pub(super) fn check(args: &RunArgs, file: &ModelFile, options: &LoadOptions) -> anyhow::Result<()> {
    let devices = used_devices(options)?;
    let machine = machine(&devices);
    let usage = usage(file, options, &devices);
    let demand = demand(&file.shape, &usage);
    if args.stats {
        note(&needs(&demand, &machine));
    }
    if let Some(shortage) = Shortage::of(&file.shape, &usage, &machine) {
        let path = file.path.display();
        match args.engine.force {
            false => bail!("`{path}` does not fit: {shortage}; `--force` loads it all the same"),
            true => note(&format!("`{path}` does not fit: {shortage}")),
        }
    } else if machine.fit_on_host(&demand) == Fit::Paged {
        note(&format!(
            "the weights are {} and {} are free for them: the system will read pages of the file again \
             and again, which is slow; a smaller file type would be faster",
            DecimalBytes(demand.mapped_only()),
            DecimalBytes(machine.free_on_host(&demand).saturating_sub(demand.held())),
        ));
    }
    Ok(())
}

/// What a model needs and the machine has, in a line.
fn needs(demand: &Demand, machine: &Machine) -> String {
    let on_devices = demand.on_devices.total();
    let mut line = format!(
        "memory: {} of weights, {} of keys and values, {} to compute in",
        DecimalBytes(demand.weights),
        DecimalBytes(demand.kv_cache),
        DecimalBytes(demand.compute),
    );
    if demand.repacked > 0 {
        line += &format!(", {} repacked", DecimalBytes(demand.repacked));
    }
    if on_devices > 0 {
        line += &format!(
            "; {} of it on devices, which have {} free",
            DecimalBytes(on_devices),
            DecimalBytes(machine.free_on_devices()),
        );
    }
    line + &format!("; the machine has {} free", DecimalBytes(machine.free))
}

/// Says which options change nothing for this model.
fn say_what_is_in_vain(cpu_moe: Option<u32>, options: &LoadOptions, file: &ModelFile) {
    if cpu_moe.is_some() && !file.shape.has_experts() {
        note("`--cpu-moe` has no effect: the model has no experts");
    }
    let given = options.placements.len() - usize::from(cpu_moe.is_some());
    for placement in &options.placements[..given] {
        if !file.shape.has_tensor(placement) {
            let pattern = &placement.pattern;
            note(&format!(
                "`--override-tensor {pattern}=…` has no effect: no tensor has that in its name"
            ));
        }
    }
}

/// Says whether weights were repacked, where it was left to us.
pub(super) fn say_repacking(args: &RunArgs, options: &LoadOptions, file: &ModelFile) {
    let all = LoadOptions {
        repack: true,
        ..options.clone()
    };
    let has_some = demand(&file.shape, &all.usage(&file.shape, false)).repacked > 0;
    if args.stats && has_some {
        note(match options.repack {
            true => "weights are repacked for the CPU's kernels",
            false => "weights are used as the file has them (`--repack on` repacks them)",
        });
    }
}

/// The layers that are tried next where so many did not fit.
pub(super) fn fewer_layers(layers: u32) -> Option<u32> {
    (layers > 0).then_some(layers / 2)
}

/// Whether fewer layers may help. What is wrong with an adapter or a name they do not.
pub(super) fn is_for_want_of_memory(error: &RunnerError) -> bool {
    matches!(
        error,
        RunnerError::Load { .. } | RunnerError::Context { .. }
    )
}
