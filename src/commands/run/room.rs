//! What of a model fits into the memory that is free now.

use std::cell::RefCell;

use anyhow::bail;
use indicatif::DecimalBytes;

use super::load::fit::{asked, machine, usage, used_devices};
use crate::{
    chat::note,
    cli::{RepackArg, RunArgs},
    gguf::Gguf,
    memory::{Demand, Fit, Machine, Shape, demand},
    plan::ConversionPlan,
    runner::{Device, LoadOptions},
};

/// The memory that is free, and how a model is to be run in it.
pub(super) struct Room<'a> {
    args: &'a RunArgs,
    devices: Vec<Device>,
    machine: Machine,
    /// What was looked at: its name, how much it takes, and how it fits.
    seen: RefCell<Vec<Seen>>,
}

struct Seen {
    name: String,
    bytes: u64,
    context: u32,
    fit: Fit,
}

impl<'a> Room<'a> {
    /// What is free now, on the devices too that `args` has layers go to.
    pub(super) fn now(args: &'a RunArgs) -> anyhow::Result<Self> {
        let devices = used_devices(&asked(args, &Shape::default())?)?;
        Ok(Self {
            args,
            machine: machine(&devices),
            devices,
            seen: RefCell::default(),
        })
    }

    /// Bytes that are free.
    pub(super) fn free(&self) -> u64 {
        self.machine
            .free
            .saturating_add(self.machine.free_on_devices())
    }

    /// Whether a model that is there fits, or nearly: free memory goes up and down.
    pub(super) fn has_place_for(&self, gguf: &Gguf, bytes: u64) -> bool {
        let mut machine = self.machine.clone();
        machine.free = machine.free.saturating_add(machine.free / 10);
        machine.fit(&self.demand(&Shape::of_file(gguf), bytes)) == Fit::Resident
    }

    /// Whether what is planned fits.
    pub(super) fn fits_plan(&self, plan: &ConversionPlan) -> bool {
        let demand = self.demand(&Shape::of_plan(plan), plan.file_bytes());
        self.look(plan.file_type.name(), &Shape::of_plan(plan), &demand)
    }

    /// Whether a model of so many bytes fits that is otherwise as the header says.
    pub(super) fn fits_file(&self, name: &str, gguf: &Gguf, bytes: u64) -> bool {
        let shape = Shape::of_file(gguf);
        self.look(name, &shape, &self.demand(&shape, bytes))
    }

    /// What a model of this shape takes whose files have so many bytes, where it is not repacked.
    fn demand(&self, shape: &Shape, bytes: u64) -> Demand {
        let unknown = || Demand {
            weights: u64::MAX,
            ..Demand::default()
        };
        let Ok(asked) = asked(self.args, shape) else {
            return unknown();
        };
        let options = LoadOptions {
            repack: self.args.engine.repack == RepackArg::On,
            ..asked
        };
        let mut demand = demand(shape, &usage(shape, &options, &self.devices));
        // The header may be that of a model of another size, and of a part of it.
        let on_devices = match demand.weights {
            0 => 0.0,
            weights => demand.on_devices.weights as f64 / weights as f64,
        };
        demand.weights = bytes;
        demand.on_devices.weights = (bytes as f64 * on_devices) as u64;
        demand
    }

    fn look(&self, name: &str, shape: &Shape, demand: &Demand) -> bool {
        let context = self.args.engine.ctx_size;
        let context = (context > 0).then_some(context);
        let fit = self.machine.fit(demand);
        self.seen.borrow_mut().push(Seen {
            name: name.to_owned(),
            bytes: demand
                .weights
                .saturating_add(demand.kv_cache)
                .saturating_add(demand.compute),
            context: shape.context(context),
            fit,
        });
        fit == Fit::Resident
    }

    /// Says why the last one that was looked at is taken; `what` it is, a type or a file, whether that is
    /// so because it was taken `before`, and what takes it `anyway`.
    ///
    /// # Errors
    /// Where that cannot be run at all, with what would help.
    pub(super) fn say_choice(&self, what: &str, before: bool, anyway: &str) -> anyhow::Result<()> {
        let seen = self.seen.borrow();
        let Some(last) = seen.last() else {
            return Ok(());
        };
        let needs = format!(
            "{} with a context of {} tokens, and {} are free",
            DecimalBytes(last.bytes),
            last.context,
            DecimalBytes(self.free())
        );
        match last.fit {
            Fit::Resident if before => {
                note(&format!("{} fits, as before: it takes {needs}", last.name));
            }
            Fit::Resident => {
                let larger = match seen.iter().rev().nth(1) {
                    Some(larger) if larger.bytes > last.bytes => {
                        format!(
                            "; {} would take {}",
                            larger.name,
                            DecimalBytes(larger.bytes)
                        )
                    }
                    _ => String::new(),
                };
                note(&format!(
                    "{} is the largest {what} that fits: it takes {needs}{larger}",
                    last.name
                ));
            }
            Fit::Paged => note(&format!(
                "no {what} fits: {}, the smallest, takes {needs}, so that its weights will be read again and again",
                last.name
            )),
            Fit::Refused => bail!(
                "no {what} fits: {}, the smallest, takes {needs}: `-c` makes the context smaller, {anyway}",
                last.name
            ),
        }
        Ok(())
    }
}
