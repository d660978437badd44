//! `swallow-gguf bench`

use std::io::{self, Write};

use crate::bench::quantize::{self, Machine, Measurement};
use crate::cli::{Bench, BenchQuantizeArgs};

pub(super) fn execute(args: Bench) -> anyhow::Result<()> {
    match args {
        Bench::Quantize(args) => quantize(&args),
        Bench::Convert(args) => anyhow::bail!("not built yet: {args:?}"),
    }
}

fn quantize(args: &BenchQuantizeArgs) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    let machine = Machine::look();
    let types = if args.types.is_empty() {
        &quantize::TYPES
    } else {
        args.types.as_slice()
    };
    let measurements = types.iter().map(|&ty| quantize::measure(ty, args.seconds));
    if args.json {
        let kernels: Vec<Measurement> = measurements.flatten().collect();
        let report = serde_json::json!({ "machine": machine, "kernels": kernels });
        writeln!(out, "{report:#}")?;
    } else {
        writeln!(out, "{machine}")?;
        writeln!(
            out,
            "bf16 to f32 to blocks: ggml by its own functions, the others by ours\n"
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
