//! What was found, for people.

use std::{collections::BTreeMap, fmt::Write as _, path::Path};

use swallow_quant::GgmlType;

use super::{Against, Fidelity, Soundness, TensorFidelity, Unmatched, Verification, remarks};
use crate::{
    compare::Deviation,
    gguf::escape,
    inspect::text::bytes,
    table::{
        Cell::{self, Left, Right},
        aligned, grouped,
    },
};

impl Verification {
    /// What was found, as text that ends with a line break: a summary line, what is wrong, and
    /// against a checkpoint a line for each tensor.
    pub fn text(&self) -> String {
        let mut out = match &self.structure {
            Err(error) => format!("{}: BROKEN: {error}\n", shown(&self.file)),
            Ok(soundness) => soundness_text(&self.file, soundness),
        };
        if let Some(against) = &self.against {
            against_text(&mut out, against);
        }
        out
    }
}

/// One wrong number makes many tensors wrong.
const SHOWN_MISMATCHES: usize = 20;

fn shown(path: &Path) -> String {
    escape(path.as_os_str().as_encoded_bytes())
}

fn soundness_text(file: &Path, soundness: &Soundness) -> String {
    let damaged = match soundness.not_finite.len() {
        0 => None,
        1 => Some("DAMAGED: 1 tensor has weights that are not finite".to_owned()),
        n => Some(format!(
            "DAMAGED: {n} tensors have weights that are not finite"
        )),
    };
    let inconsistent = match soundness.mismatches.len() {
        0 => None,
        1 => Some("INCONSISTENT: 1 thing does not fit the rest".to_owned()),
        n => Some(format!("INCONSISTENT: {n} things do not fit the rest")),
    };
    let verdict = match (damaged, inconsistent) {
        (None, None) => "sound".to_owned(),
        (Some(one), None) | (None, Some(one)) => one,
        (Some(damaged), Some(inconsistent)) => format!("{damaged}, and {inconsistent}"),
    };
    let mut out = format!(
        "{}: {verdict}; {}, {} key-values, {} tensors, {} weights checked\n",
        shown(file),
        bytes(soundness.file_bytes),
        soundness.key_values,
        soundness.tensors,
        grouped(soundness.weights)
    );
    let rows: Vec<Vec<Cell>> = soundness
        .not_finite
        .iter()
        .map(|bad| {
            let (block, total) = (grouped(bad.block), grouped(bad.total));
            vec![
                Left(escape(bad.tensor.as_bytes())),
                Left(bad.ty.to_string()),
                Left(format!(
                    "block {block} of {total} is the first that is not finite"
                )),
            ]
        })
        .collect();
    out.push_str(&aligned(&rows));
    // Writing to a String cannot fail, here and below.
    for mismatch in soundness.mismatches.iter().take(SHOWN_MISMATCHES) {
        let _ = writeln!(out, "  {mismatch}");
    }
    let more = soundness.mismatches.len().saturating_sub(SHOWN_MISMATCHES);
    if more > 0 {
        let _ = writeln!(out, "  and {more} more, which `--json` lists");
    }
    for remark in remarks::lines(soundness) {
        let _ = writeln!(out, "note: {remark}");
    }
    let mut not_read: BTreeMap<GgmlType, usize> = BTreeMap::new();
    for (_, ty) in &soundness.not_read {
        *not_read.entry(*ty).or_default() += 1;
    }
    for (ty, count) in not_read {
        let _ = writeln!(
            out,
            "note: {ty} is not read yet, so {count} tensors were not checked"
        );
    }
    out
}

fn against_text(out: &mut String, against: &Against) {
    let count = against.tensors.len();
    let _ = writeln!(
        out,
        "\nagainst {} ({count} tensors{})",
        escape(against.source.as_bytes()),
        match against.compared < against.weights {
            true => format!(
                ", a sample of {} of {} weights",
                grouped(against.compared),
                grouped(against.weights)
            ),
            false => String::new(),
        }
    );
    let heads = ["tensor", "type"].map(|head| Left(head.to_owned()));
    let figures = ["SNR dB", "RMSE", "relative", "worst block", "its RMSE"]
        .map(|head| Right(head.to_owned()));
    let mut rows: Vec<Vec<Cell>> = vec![heads.into_iter().chain(figures).collect()];
    rows[0].push(Left(String::new()));
    let worst = worst_of_types(&against.tensors);
    let is_worst = |at: usize| worst.values().any(|&(worst, _)| worst == at);
    for (at, tensor) in against.tensors.iter().enumerate() {
        let mut row = vec![
            Left(escape(tensor.name.as_bytes())),
            Left(tensor.ty.to_string()),
        ];
        row.extend(figures_of(&tensor.fidelity).map(Right));
        row.push(Left(match () {
            () if tensor.is_foreign() => "NOT the checkpoint's".to_owned(),
            () if tensor.lost.is_some() => "LOST".to_owned(),
            () if is_worst(at) => format!("worst of {}", tensor.ty),
            () => String::new(),
        }));
        rows.push(row);
    }
    out.push_str(&aligned(&rows));

    for unmatched in &against.unmatched {
        let line = match unmatched {
            Unmatched::Missing(name) => format!("`{name}` is missing from the file"),
            Unmatched::Unknown(name) => {
                format!("`{}` is not of this checkpoint", escape(name.as_bytes()))
            }
            Unmatched::Shape {
                name,
                expected,
                found,
            } => format!("`{name}` has shape {found:?}, the checkpoint's has {expected:?}"),
        };
        let _ = writeln!(out, "tensor {line}");
    }
    for tensor in &against.tensors {
        if let Some(lost) = &tensor.lost {
            let name = escape(tensor.name.as_bytes());
            let _ = writeln!(out, "tensor `{name}`: {}", remarks::lost(lost));
        }
    }
    let foreign = against.tensors.iter().filter(|t| t.is_foreign()).count();
    if foreign > 0 {
        let _ = writeln!(out, "{foreign} of {count} tensors are NOT the checkpoint's");
    }
    let mut whole = Deviation::default();
    for tensor in &against.tensors {
        if let Fidelity::Measured(deviation) = &tensor.fidelity {
            whole.add(deviation);
        }
    }
    let [snr, rmse, relative, ..] = figures_of(&Fidelity::Measured(whole));
    let _ = writeln!(
        out,
        "all weights: SNR {snr} dB, RMSE {rmse}, relative {relative}"
    );
}

fn figures_of(fidelity: &Fidelity) -> [String; 5] {
    let none = || "-".to_owned();
    match fidelity {
        Fidelity::NotRead => ["not read".to_owned(), none(), none(), none(), none()],
        Fidelity::Measured(deviation) if deviation.is_exact() => {
            let zero = || "0".to_owned();
            ["exact".to_owned(), zero(), zero(), none(), none()]
        }
        Fidelity::Measured(deviation) => {
            let worst = deviation.worst_block();
            [
                format!("{:.2}", deviation.snr_db()),
                format!("{:.3e}", deviation.rmse()),
                format!("{:.3e}", deviation.relative()),
                worst.map_or_else(none, |(block, _)| grouped(block)),
                worst.map_or_else(none, |(_, rmse)| format!("{rmse:.3e}")),
            ]
        }
    }
}

/// For each type that several tensors have: which has the lowest ratio, unless all are exact.
fn worst_of_types(tensors: &[TensorFidelity]) -> BTreeMap<GgmlType, (usize, f64)> {
    let mut worst: BTreeMap<GgmlType, (usize, f64)> = BTreeMap::new();
    for (at, tensor) in tensors.iter().enumerate() {
        if let Fidelity::Measured(deviation) = &tensor.fidelity {
            let snr = deviation.snr_db();
            let lowest = worst.entry(tensor.ty).or_insert((at, snr));
            if snr < lowest.1 {
                *lowest = (at, snr);
            }
        }
    }
    let several = |ty: GgmlType| tensors.iter().filter(|t| t.ty == ty).count() > 1;
    worst.retain(|&ty, (_, snr)| snr.is_finite() && several(ty));
    worst
}
