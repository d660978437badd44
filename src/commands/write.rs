//! What the commands that write a GGUF have in common, from the options on.

mod progress;
mod report;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::Context;

use crate::{
    cli::{KnobArgs, TensorTypeArg, WriteArgs},
    convert::{Conversion, ConvertError, WriteOptions, Written},
    imatrix::{Imatrix, ImatrixError},
    merge::MergedCheckpoint,
    mix::{self, Knobs},
    plan::Wishes,
};

/// Writes what is planned, or shows the plan.
pub(super) fn execute(
    conversion: &Conversion,
    args: &WriteArgs,
    cancel: &AtomicBool,
) -> anyhow::Result<()> {
    show_notes(conversion, args.quiet);
    let output = output_path(args.output.as_deref(), conversion);
    if args.dry_run {
        return show_plan(conversion, &output, args);
    }

    conversion.check_output(&output, args.force)?;
    let written = to_file(conversion, &output, &options(args), args.quiet, cancel)?;
    let summary = report::summary_text(conversion, &written);
    show_written(conversion, &written, &summary, args)
}

/// Writes the checkpoint of a merge into the folder `dir`, or shows the plan.
pub(super) fn execute_checkpoint(
    checkpoint: &MergedCheckpoint,
    dir: &Path,
    args: &WriteArgs,
    cancel: &AtomicBool,
) -> anyhow::Result<()> {
    let conversion = &checkpoint.conversion;
    show_notes(conversion, args.quiet);
    let shards = dir.join(&conversion.default_file_name);
    if args.dry_run {
        return show_plan(conversion, &shards, args);
    }

    checkpoint.check_output(dir)?;
    let written = {
        let progress = progress::Display::start(conversion, dir, args.quiet);
        checkpoint.write(dir, &options(args), cancel, &|p| progress.update(p))?
    };
    let summary = report::checkpoint_text(conversion, &written, dir);
    show_written(conversion, &written, &summary, args)
}

fn options(args: &WriteArgs) -> WriteOptions {
    WriteOptions {
        replace: args.force,
        restart: args.restart,
        checksum: args.checksum,
        threads: args.threads,
        keep: false,
    }
}

/// Writes the GGUF to `output`, and shows how far that is.
pub(super) fn to_file(
    conversion: &Conversion,
    output: &Path,
    options: &WriteOptions,
    quiet: bool,
    cancel: &AtomicBool,
) -> Result<Written, ConvertError> {
    let progress = progress::Display::start(conversion, output, quiet);
    conversion.write(output, options, cancel, &|p| progress.update(p))
}

/// Shows what the user should know of a conversion.
pub(super) fn show_notes(conversion: &Conversion, quiet: bool) {
    if !quiet {
        for note in &conversion.notes {
            eprintln!("note: {note}");
        }
    }
}

fn show_plan(conversion: &Conversion, output: &Path, args: &WriteArgs) -> anyhow::Result<()> {
    super::print(&if args.json {
        report::plan_json(conversion, output)
    } else {
        report::plan_text(conversion, output)
    })
}

fn show_written(
    conversion: &Conversion,
    written: &Written,
    summary: &str,
    args: &WriteArgs,
) -> anyhow::Result<()> {
    if !args.quiet {
        eprint!("{summary}");
    }
    if args.json {
        super::print(&report::summary_json(conversion, written))?;
    }
    Ok(())
}

/// What is asked for, with the rules of the files that are named.
pub(super) fn wishes(args: &WriteArgs) -> anyhow::Result<Wishes> {
    Ok(Wishes {
        knobs: knobs(&args.knobs)?,
        overrides: args.knobs.overrides.clone(),
        imatrix: imatrix(args)?,
        search: args.search,
        split_max_bytes: args.split_max_size,
        ..args.file_type.into()
    })
}

fn imatrix(args: &WriteArgs) -> Result<Option<Arc<Imatrix>>, ImatrixError> {
    let Some(path) = &args.imatrix else {
        return Ok(None);
    };
    let mut imatrix = Imatrix::open(path)?;
    imatrix.select(&args.include_weights, &args.exclude_weights);
    Ok(Some(Arc::new(imatrix)))
}

fn knobs(args: &KnobArgs) -> anyhow::Result<Knobs> {
    let mut tensor_types = Vec::new();
    for given in &args.tensor_types.0 {
        match given {
            TensorTypeArg::Rule(rule) => tensor_types.push(rule.clone()),
            TensorTypeArg::File(path) => tensor_types.extend(mix::read_rules(path)?),
        }
    }
    Ok(Knobs {
        output_type: args.output_tensor_type,
        token_embedding_type: args.token_embedding_type,
        leave_output: args.leave_output_tensor,
        pure: args.pure,
        tensor_types,
        experts_type: args.experts_type,
        attn_type: args.attn_type,
    })
}

/// The file asked for; named by convention where a folder or nothing is.
fn output_path(asked: Option<&Path>, conversion: &Conversion) -> PathBuf {
    let name = &conversion.default_file_name;
    match asked {
        None => name.into(),
        Some(dir) if dir.is_dir() => dir.join(name),
        Some(file) => file.into(),
    }
}

/// A flag that Ctrl-C sets; the conversion then ends, with what it has written removed or kept.
pub(super) fn cancel_on_interrupt() -> anyhow::Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    let set = Arc::clone(&flag);
    ctrlc::set_handler(move || set.store(true, Ordering::Relaxed))
        .context("cannot watch for Ctrl-C")?;
    Ok(flag)
}
