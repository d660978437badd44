//! What was found, for programs.

use serde_json::{Value as Json, json};

use super::{Against, Fidelity, Lost, Soundness, TensorFidelity, Unmatched, Verification};
use crate::inspect::json::without_controls;

impl Verification {
    /// What was found, as one JSON object that ends with a line break: `"well"` is the verdict,
    /// `"broken"` what is wrong with the structure, or `null`.
    pub fn json(&self) -> String {
        let (broken, soundness) = match &self.structure {
            Ok(soundness) => (None, Some(soundness_json(soundness))),
            Err(error) => (Some(error.to_string()), None),
        };
        let object = json!({
            "file": self.file.to_string_lossy(),
            "well": self.is_well(),
            "broken": broken,
            "soundness": soundness,
            "against": self.against.as_ref().map(against),
        });
        format!("{}\n", without_controls(&format!("{object:#}")))
    }
}

fn soundness_json(soundness: &Soundness) -> Json {
    let not_finite: Vec<Json> = soundness
        .not_finite
        .iter()
        .map(|bad| {
            json!({
                "tensor": bad.tensor,
                "type": bad.ty.name(),
                "block": bad.block,
                "blocks": bad.total,
            })
        })
        .collect();
    let not_read = soundness.not_read.iter();
    let not_read: Vec<Json> = not_read
        .map(|(tensor, ty)| json!({"tensor": tensor, "type": ty.name()}))
        .collect();
    json!({
        "file_bytes": soundness.file_bytes,
        "key_values": soundness.key_values,
        "tensors": soundness.tensors,
        "weights": soundness.weights,
        "not_finite": not_finite,
        "not_read": not_read,
        "mismatches": mismatches(soundness),
        "remarks": remarks(soundness),
    })
}

/// Problems: the file is not well.
fn mismatches(soundness: &Soundness) -> Vec<Json> {
    let all = soundness.mismatches.iter();
    all.map(|m| json!({"what": m.what, "found": m.found, "expected": m.expected}))
        .collect()
}

/// What may be meant: the file may be well.
fn remarks(soundness: &Soundness) -> Json {
    let constant: Vec<Json> = soundness
        .constant
        .iter()
        .map(|c| json!({"tensor": c.tensor, "type": c.ty.name(), "experts": c.experts, "value": c.value}))
        .collect();
    let equal: Vec<Json> = soundness
        .equal_experts
        .iter()
        .map(|equal| json!({"tensor": equal.tensor, "groups": equal.groups}))
        .collect();
    json!({
        "constant": constant,
        "equal_experts": equal,
        "unknown_file_type": soundness.unknown_file_type,
    })
}

fn against(against: &Against) -> Json {
    json!({
        "source": against.source,
        "compared": against.compared,
        "weights": against.weights,
        "tensors": against.tensors.iter().map(tensor).collect::<Vec<Json>>(),
        "unmatched": against.unmatched.iter().map(unmatched).collect::<Vec<Json>>(),
    })
}

/// A ratio that is infinite, for weights that are exact, is `null`.
fn tensor(tensor: &TensorFidelity) -> Json {
    let mut object = json!({"name": tensor.name, "type": tensor.ty.name()});
    match &tensor.fidelity {
        Fidelity::NotRead => object["not_read"] = true.into(),
        Fidelity::Measured(deviation) => {
            object["exact"] = deviation.is_exact().into();
            object["foreign"] = tensor.is_foreign().into();
            object["snr_db"] = deviation.snr_db().into();
            object["rmse"] = deviation.rmse().into();
            object["relative"] = deviation.relative().into();
            object["not_finite"] = deviation.not_finite.into();
            object["worst_block"] = deviation
                .worst_block()
                .map(|(index, rmse)| json!({"index": index, "rmse": rmse}))
                .into();
            object["lost"] = tensor.lost.as_ref().map(lost).into();
        }
    }
    object
}

fn lost(lost: &Lost) -> Json {
    json!({
        "first": lost.first,
        "blocks": lost.blocks,
        "compared": lost.compared,
        "experts": lost.experts,
    })
}

fn unmatched(unmatched: &Unmatched) -> Json {
    match unmatched {
        Unmatched::Missing(name) => json!({"name": name, "what": "missing"}),
        Unmatched::Unknown(name) => json!({"name": name, "what": "unknown"}),
        Unmatched::Shape {
            name,
            expected,
            found,
        } => json!({"name": name, "what": "shape", "expected": expected, "found": found}),
    }
}
