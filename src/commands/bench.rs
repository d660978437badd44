//! `swallow-gguf bench`

mod running;

use std::io::{self, Write};

use anyhow::{Context, bail};

use crate::bench::{
    convert::{self, Measured},
    quantize::{self, Machine, Measurement},
    search,
};
use crate::{
    cli::{Bench, BenchConvertArgs, BenchQuantizeArgs},
    plan::Search,
};

pub(super) fn execute(args: Bench) -> anyhow::Result<()> {
    match args {
        Bench::Quantize(args) => quantize(&args),
        Bench::Convert(args) => convert(&args),
        Bench::Run(args) => running::run(args),
        Bench::Speculate(args) => running::speculate(args),
    }
}

fn quantize(args: &BenchQuantizeArgs) -> anyhow::Result<()> {
    if args.search == Some(Search::Best) {
        return search(args);
    }
    let mut out = io::stdout().lock();
    let machine = Machine::look();
    let types = if args.types.is_empty() {
        &quantize::TYPES
    } else {
        args.types.as_slice()
    };
    let measurements = types
        .iter()
        .map(|&ty| quantize::measure(ty, args.imatrix, args.seconds));
    if args.json {
        let kernels: Vec<Measurement> = measurements.flatten().collect();
        let report = serde_json::json!({
            "machine": machine,
            "importance_matrix": args.imatrix,
            "kernels": kernels,
        });
        writeln!(out, "{report:#}")?;
    } else {
        writeln!(out, "{machine}")?;
        writeln!(
            out,
            "bf16 to f32 to blocks{}: ggml by its own functions, the others by ours\n",
            with_imatrix(args)
        )?;
        writeln!(out, "{}", Measurement::HEADER)?;
        for lines in measurements {
            for line in lines {
                writeln!(out, "{line}")?;
            }
        }
    }
    Ok(())
}

/// What the heading of a table says of it.
fn with_imatrix(args: &BenchQuantizeArgs) -> &'static str {
    if args.imatrix {
        ", with an importance matrix"
    } else {
        ""
    }
}

fn search(args: &BenchQuantizeArgs) -> anyhow::Result<()> {
    let types = if args.types.is_empty() {
        &search::TYPES
    } else {
        args.types.as_slice()
    };
    if let Some(ty) = types
        .iter()
        .find(|&&ty| !swallow_quant::can_search_best(ty))
    {
        bail!("there is no better search for {ty}: `--search best` knows Q4_K, Q5_K and Q6_K");
    }
    let mut out = io::stdout().lock();
    let machine = Machine::look();
    let measurements = types
        .iter()
        .map(|&ty| search::measure(ty, args.imatrix, args.seconds));
    if args.json {
        let searches: Vec<search::Measurement> = measurements.flatten().collect();
        let report = serde_json::json!({
            "machine": machine,
            "importance_matrix": args.imatrix,
            "searches": searches,
        });
        writeln!(out, "{report:#}")?;
    } else {
        writeln!(out, "{machine}")?;
        writeln!(
            out,
            "f32 to blocks{}: ggml by its own search, the others by the better one\n",
            with_imatrix(args)
        )?;
        writeln!(out, "{}", search::Measurement::HEADER)?;
        for line in measurements.flatten() {
            writeln!(out, "{line}")?;
        }
    }
    Ok(())
}

fn convert(args: &BenchConvertArgs) -> anyhow::Result<()> {
    let temporary;
    let dir = match &args.dir {
        Some(dir) => dir.as_path(),
        None => {
            temporary = tempfile::Builder::new()
                .prefix("swallow-gguf-bench-")
                .tempdir_in(".")
                .context("cannot make a folder in the current one: name another with `--dir`")?;
            temporary.path()
        }
    };
    let bench = convert::Bench::prepare(dir, args.layers)
        .with_context(|| format!("cannot make a checkpoint in `{}`", dir.display()))?;
    let mut out = io::stdout().lock();
    writeln!(out, "{}", Measured::HEADER)?;
    for &file_type in &args.file_types {
        writeln!(out, "{}", bench.run(file_type, args.threads)?)?;
    }
    Ok(())
}
