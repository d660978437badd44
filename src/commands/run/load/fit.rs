//! Whether the model fits into the machine, and what is done where it does not.

use anyhow::bail;
use indicatif::DecimalBytes;

use super::context_options;
use crate::chat::note;
use crate::cli::{RepackArg, RunArgs};
use crate::memory::{
    Demand, Fit, Machine, Placement, Shape, Shortage, Usage, demand, repacking_pays,
};
use crate::runner::{
    Device, GpuLayers, LoadOptions, ModelFile, RunnerError,
    devices::{gpus, named},
};

/// How the model is loaded: as asked for, and with weights repacked where that is left to us and there
/// is room.
pub(super) fn load_options(args: &RunArgs, file: &ModelFile) -> anyhow::Result<LoadOptions> {
    let engine = &args.engine;
    let mut options = asked(args, &file.shape)?;
    options.context.check(&file.shape)?;
    let devices = used_devices(&options)?;
    if engine.repack == RepackArg::Auto {
        let usage = usage(&file.shape, &options, &devices);
        options.repack = repacking_pays(&file.shape, &usage, &machine(&devices));
    }
    check_division(&options, &devices)?;
    say_what_is_in_vain(engine.cpu_moe, &options, file);
    Ok(options)
}

/// What is asked for; weights are repacked unless that is forbidden.
pub(in crate::commands::run) fn asked(
    args: &RunArgs,
    shape: &Shape,
) -> anyhow::Result<LoadOptions> {
    let engine = &args.engine;
    let mut placements = engine.override_tensor.clone();
    if let Some(layers) = engine.cpu_moe {
        let layers = (layers != u32::MAX).then_some(layers.min(shape.layers()));
        placements.push(Placement::experts_on_host(layers).map_err(anyhow::Error::msg)?);
    }
    Ok(LoadOptions {
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
    })
}

/// The devices that layers may go to.
pub(in crate::commands::run) fn used_devices(
    options: &LoadOptions,
) -> Result<Vec<Device>, RunnerError> {
    match &options.devices {
        None => gpus(),
        Some(names) => named(names),
    }
}

pub(in crate::commands::run) fn machine(devices: &[Device]) -> Machine {
    Machine::now(devices.iter().map(Device::memory).collect())
}

/// How the model uses memory. Where layers are to be chosen they are as many as fit, by our estimate.
pub(in crate::commands::run) fn usage(
    shape: &Shape,
    options: &LoadOptions,
    devices: &[Device],
) -> Usage {
    let usage = options.usage(shape, !devices.is_empty());
    match options.gpu_layers {
        GpuLayers::Auto if !devices.is_empty() => {
            let machine = machine(devices);
            let gpu_layers = crate::memory::layers_that_fit(shape, &usage, &machine);
            Usage {
                gpu_layers,
                ..usage
            }
        }
        _ => usage,
    }
}

/// Refuses a model that cannot be in the machine's memory, and warns of one whose weights the system
/// would have to read again and again. Gives the layers that are expected on devices.
pub(super) fn check(
    args: &RunArgs,
    file: &ModelFile,
    options: &LoadOptions,
) -> anyhow::Result<u32> {
    let devices = used_devices(options)?;
    let machine = machine(&devices);
    let usage = usage(&file.shape, options, &devices);
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
    Ok(usage.gpu_layers)
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

/// Fails where a model is to be divided among other devices than there are.
fn check_division(options: &LoadOptions, devices: &[Device]) -> anyhow::Result<()> {
    let names: Vec<&str> = devices.iter().map(|device| device.name.as_str()).collect();
    let there = match names.as_slice() {
        [] => "none takes layers".to_owned(),
        names => format!("the devices are {}", names.join(", ")),
    };
    let (main, shares) = (options.main_gpu, options.tensor_split.len());
    if main as usize >= devices.len().max(1) {
        bail!("`--main-gpu {main}` is not there, counted from 0: {there}");
    }
    if shares > devices.len().max(1) {
        bail!("`--tensor-split` has {shares} shares: {there}");
    }
    Ok(())
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

/// Says whether weights were repacked, where some could be.
pub(super) fn say_repacking(options: &LoadOptions, file: &ModelFile) {
    let all = LoadOptions {
        repack: true,
        ..options.clone()
    };
    if demand(&file.shape, &all.usage(&file.shape, false)).repacked > 0 {
        note(match options.repack {
            true => "weights are repacked for the CPU's kernels",
            false => "weights are used as the file has them (`--repack on` repacks them)",
        });
    }
}

/// Loads with `asked`, and where memory is wanting and `layers` were to lie on devices, with half as many
/// of them until it goes, saying so.
pub(super) fn with_fewer_layers<T>(
    asked: GpuLayers,
    mut layers: u32,
    mut load: impl FnMut(GpuLayers) -> Result<T, RunnerError>,
    mut say: impl FnMut(&str),
) -> Result<T, RunnerError> {
    let mut now = asked;
    loop {
        match load(now) {
            // What is wrong with an adapter or a name is not healed by fewer layers.
            Err(error @ (RunnerError::Load { .. } | RunnerError::Context { .. })) if layers > 0 => {
                layers /= 2;
                now = GpuLayers::Count(layers);
                say(&match layers {
                    0 => format!("{error}. Trying with all layers on the CPU"),
                    some => format!("{error}. Trying with {some} layers on devices"),
                });
            }
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> RunnerError {
        RunnerError::Load {
            path: "m.gguf".into(),
            reason: "no memory".to_owned(),
        }
    }

    #[test]
    fn what_does_not_fit_on_a_device_is_tried_with_half_as_many_layers() {
        let mut said = Vec::new();
        let loaded = with_fewer_layers(
            GpuLayers::All,
            33,
            |layers| match layers {
                GpuLayers::Count(8) => Ok(layers),
                _ => Err(full()),
            },
            |line| said.push(line.to_owned()),
        );
        assert_eq!(loaded.unwrap(), GpuLayers::Count(8));
        let tried = "llama.cpp cannot load `m.gguf`: no memory. Trying with";
        assert_eq!(
            said,
            [
                format!("{tried} 16 layers on devices"),
                format!("{tried} 8 layers on devices")
            ]
        );
    }

    #[test]
    fn on_the_cpu_and_for_other_reasons_the_error_stands() {
        let mut tries = Vec::new();
        let mut said = String::new();
        let load = |layers| {
            tries.push(layers);
            Err::<(), _>(full())
        };
        let error = with_fewer_layers(GpuLayers::Auto, 3, load, |line| said = line.to_owned());
        assert!(error.is_err());
        let counts = [1, 0].map(GpuLayers::Count);
        assert_eq!(tries, [&[GpuLayers::Auto], &counts[..]].concat());
        assert!(
            said.ends_with("Trying with all layers on the CPU"),
            "{said}"
        );

        let mut tries = 0;
        let load = |_| {
            tries += 1;
            Err::<(), _>(RunnerError::EmptyPrompt)
        };
        assert!(with_fewer_layers(GpuLayers::All, 3, load, |_| {}).is_err());
        assert_eq!(tries, 1);
    }
}
