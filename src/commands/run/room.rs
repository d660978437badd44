//! What of a model fits into the memory that is free now.

use std::cell::RefCell;

use anyhow::bail;
use indicatif::DecimalBytes;

use crate::{
    chat::note,
    cli::RunArgs,
    gguf::Gguf,
    memory::{Demand, Fit, Machine, Shape, Usage, demand},
    plan::ConversionPlan,
};

/// The memory that is free, and what is to be kept of a conversation.
pub(super) struct Room {
    machine: Machine,
    context: Option<u32>,
    /// What was looked at: its name, how much it takes, and how it fits.
    seen: RefCell<Vec<Seen>>,
}

struct Seen {
    name: String,
    bytes: u64,
    context: u32,
    fit: Fit,
}

impl Room {
    pub(super) fn now(args: &RunArgs) -> Self {
        Self {
            machine: Machine::now(Vec::new()),
            context: (args.engine.ctx_size > 0).then_some(args.engine.ctx_size),
            seen: RefCell::default(),
        }
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

    /// What a model of this shape takes whose files have so many bytes.
    fn demand(&self, shape: &Shape, bytes: u64) -> Demand {
        let usage = Usage::on_cpu(shape.context(self.context));
        Demand {
            weights: bytes,
            ..demand(shape, &usage)
        }
    }

    fn look(&self, name: &str, shape: &Shape, demand: &Demand) -> bool {
        let fit = self.machine.fit(demand);
        self.seen.borrow_mut().push(Seen {
            name: name.to_owned(),
            bytes: demand.on_host().total(),
            context: shape.context(self.context),
            fit,
        });
        fit == Fit::Resident
    }

    /// Says why the last one that was looked at is taken; `what` it is, a type or a file, and what takes
    /// it `anyway`.
    ///
    /// # Errors
    /// Where that cannot be run at all, with what would help.
    pub(super) fn say_choice(&self, what: &str, anyway: &str) -> anyhow::Result<()> {
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
