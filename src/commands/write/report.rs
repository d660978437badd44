//! What a conversion will do, and what it did: for people and for programs.

use std::{
    fmt::Write,
    path::{Path, PathBuf},
};

use indicatif::{DecimalBytes, HumanDuration};
use serde_json::{Value as Json, json};

use crate::{
    convert::{Conversion, Written},
    gguf::escape,
    model::TensorData,
    plan::PlannedTensor,
};

/// The table of `--dry-run`: every tensor, then the totals.
pub(super) fn plan_text(conversion: &Conversion, output: &Path) -> String {
    let plan = &conversion.plan;
    let header = ["tensor", "shape", "type", "bytes", "from", "reason"].map(str::to_owned);
    let rows: Vec<[String; 6]> = plan
        .tensors
        .iter()
        .map(|t| {
            let dims: Vec<String> = t.info.dims.iter().map(u64::to_string).collect();
            [
                t.info.name.clone(),
                dims.join("×"),
                t.info.ty.name().into(),
                t.info.size().to_string(),
                source_text(t),
                reason_text(t),
            ]
        })
        .collect();
    let mut out = String::new();
    let all = || std::iter::once(&header).chain(&rows);
    let width = |column: usize| all().map(|r| r[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 5] = std::array::from_fn(width);
    for [name, dims, ty, bytes, from, reason] in all() {
        let [n, d, t, b, f] = widths;
        let _ = writeln!(
            out,
            "{name:n$}  {dims:d$}  {ty:t$}  {bytes:>b$}  {from:f$}  {reason}"
        );
    }
    let _ = writeln!(out);
    for (ty, tensors, bytes) in plan.type_histogram() {
        let _ = writeln!(
            out,
            "{ty:6} {tensors:>5} tensors  {:>10}",
            DecimalBytes(bytes).to_string()
        );
    }
    let files = conversion.paths(output);
    let rows = [
        ("output", files_text(&files)),
        (
            "size",
            format!(
                "{} ({} bytes), {:.2} bits per weight",
                gigabytes(plan.file_bytes()),
                plan.file_bytes(),
                plan.bits_per_weight()
            ),
        ),
        ("reads", format!("{}, once", gigabytes(plan.source_bytes()))),
        (
            "disk",
            format!("{} free while it is written", gigabytes(plan.file_bytes())),
        ),
        (
            "memory",
            format!(
                "at most {} of buffers",
                DecimalBytes(conversion.memory_bytes())
            ),
        ),
    ];
    let _ = writeln!(out);
    out += &left_out_text(&conversion.skipped);
    for (label, text) in rows {
        let _ = writeln!(out, "{label:7} {text}");
    }
    out
}

/// The plan for programs.
pub(super) fn plan_json(conversion: &Conversion, output: &Path) -> String {
    let plan = &conversion.plan;
    let tensors: Vec<Json> = plan
        .tensors
        .iter()
        .map(|t| {
            json!({
                "name": t.info.name,
                "dims": t.info.dims,
                "type": t.info.ty.name(),
                "bytes": t.info.size(),
                "file": t.file,
                "offset": t.info.offset,
                "source": sources(t),
                "reason": reason_text(t),
            })
        })
        .collect();
    let mut summary = totals(conversion, &conversion.paths(output));
    summary["memory_bytes"] = conversion.memory_bytes().into();
    summary["tensors"] = tensors.into();
    format!("{summary:#}\n")
}

/// The lines that follow a finished conversion.
pub(super) fn summary_text(conversion: &Conversion, written: &Written) -> String {
    let plan = &conversion.plan;
    let mut out = left_out_text(&conversion.skipped);
    let _ = writeln!(
        out,
        "wrote {}: {} tensors, {}, {:.2} bits per weight, in {} ({}/s)",
        files_text(&written.paths),
        plan.tensors.len(),
        gigabytes(written.file_bytes),
        plan.bits_per_weight(),
        seconds(written),
        DecimalBytes(rate(written)),
    );
    // A model in several files is opened by the first.
    if let Some(first) = written.paths.first() {
        let path = first.display().to_string();
        let quoted = shlex::try_quote(&path).map_or(path.clone(), |q| q.into_owned());
        let _ = writeln!(out, "next: swallow-gguf run {quoted}");
    }
    out
}

/// What was left out by hand: all of it is in the JSON.
fn left_out_text(skipped: &[String]) -> String {
    const SHOWN: usize = 20;
    let mut out = String::new();
    for name in skipped.iter().take(SHOWN) {
        let _ = writeln!(out, "left out `{}`", escape(name.as_bytes()));
    }
    if let Some(more) = skipped.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        let _ = writeln!(out, "left out {more} more");
    }
    out
}

/// The lines that follow a finished checkpoint.
pub(super) fn checkpoint_text(conversion: &Conversion, written: &Written, dir: &Path) -> String {
    let plan = &conversion.plan;
    let path = dir.display().to_string();
    let quoted = shlex::try_quote(&path).map_or(path.clone(), |q| q.into_owned());
    left_out_text(&conversion.skipped)
        + &format!(
            "wrote `{path}`: {} tensors in {}, {}, in {} ({}/s)\nnext: swallow-gguf convert {quoted}\n",
            plan.tensors.len(),
            match plan.files.len() {
                1 => "1 shard".to_owned(),
                n => format!("{n} shards"),
            },
            gigabytes(written.file_bytes),
            seconds(written),
            DecimalBytes(rate(written)),
        )
}

/// `a.gguf`, or the first and the last of several.
fn files_text(paths: &[PathBuf]) -> String {
    match paths {
        [first, .., last] => format!(
            "`{}` to `{}`",
            first.display(),
            last.file_name().unwrap_or_default().display()
        ),
        _ => paths
            .iter()
            .map(|path| format!("`{}`", path.display()))
            .collect(),
    }
}

/// The summary for programs.
pub(super) fn summary_json(conversion: &Conversion, written: &Written) -> String {
    let mut summary = totals(conversion, &written.paths);
    summary["seconds"] = written.elapsed.as_secs_f64().into();
    summary["source_bytes_per_second"] = rate(written).into();
    format!("{summary:#}\n")
}

fn totals(conversion: &Conversion, paths: &[PathBuf]) -> Json {
    let plan = &conversion.plan;
    let types: serde_json::Map<String, Json> = plan
        .type_histogram()
        .into_iter()
        .map(|(ty, tensors, bytes)| {
            (
                ty.name().into(),
                json!({"tensors": tensors, "bytes": bytes}),
            )
        })
        .collect();
    json!({
        "output": paths.first().map(|path| path.display().to_string()),
        "files": plan.files.iter().zip(paths).map(|(file, path)| {
            json!({"path": path.display().to_string(), "bytes": file.bytes(), "tensors": file.tensors.len()})
        }).collect::<Vec<_>>(),
        "name": conversion.name,
        "file_type": plan.file_type.name(),
        "file_bytes": plan.file_bytes(),
        "source_bytes": plan.source_bytes(),
        "tensor_count": plan.tensors.len(),
        "parameters": plan.parameters(),
        "bits_per_weight": plan.bits_per_weight(),
        "types": types,
        "notes": conversion.notes,
        "skipped_tensors": conversion.skipped,
    })
}

fn rate(written: &Written) -> u64 {
    (written.source_bytes as f64 / written.elapsed.as_secs_f64().max(1e-9)) as u64
}

fn seconds(written: &Written) -> String {
    match written.elapsed.as_secs_f64() {
        s if s < 60.0 => format!("{s:.1} s"),
        _ => HumanDuration(written.elapsed).to_string(),
    }
}

/// Two decimals from a gigabyte on, where the model's size is what one asks for.
fn gigabytes(bytes: u64) -> String {
    match bytes {
        1_000_000_000.. => format!("{:.2} GB", bytes as f64 / 1e9),
        _ => DecimalBytes(bytes).to_string(),
    }
}

/// `model.layers.0.mlp.up_proj.weight BF16`; of a stack of experts the first, and how many.
fn source_text(tensor: &PlannedTensor) -> String {
    match &tensor.data {
        TensorData::Computed(_) if is_gate(&tensor.info.name) => "gates".into(),
        TensorData::Computed(_) => "config.json".into(),
        TensorData::Rows { parts, .. } => {
            let mut text = String::new();
            if let Some(first) = parts.first() {
                let _ = write!(text, "{} {}", first.tensor, first.ty);
            }
            match (parts.len(), &tensor.info.dims[..]) {
                (1, _) => {}
                (_, [_, _, experts]) => {
                    let _ = write!(text, ", {experts} experts");
                }
                (n, _) => {
                    let _ = write!(text, ", {n} runs of rows");
                }
            }
            text
        }
    }
}

/// Whether this is a router, of a GGUF or of a checkpoint.
fn is_gate(name: &str) -> bool {
    name.ends_with("ffn_gate_inp.weight") || name.ends_with(".gate.weight")
}

fn sources(tensor: &PlannedTensor) -> Json {
    match &tensor.data {
        TensorData::Computed(_) => json!([]),
        TensorData::Rows { parts, .. } => parts
            .iter()
            .map(|p| {
                json!({
                    "tensor": p.tensor,
                    "type": p.ty.name(),
                    "first_row": p.first_row,
                    "rows": p.rows,
                })
            })
            .collect(),
    }
}

fn reason_text(tensor: &PlannedTensor) -> String {
    match tensor.choice.fell_back_from {
        None => tensor.choice.reason.to_string(),
        Some(wanted) => format!(
            "{}; rows of {} do not divide into blocks of {wanted}",
            tensor.choice.reason, tensor.info.dims[0]
        ),
    }
}
