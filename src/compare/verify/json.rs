//! What was found, for programs.

use serde_json::{Value as Json, json};

use super::{Against, Fidelity, Soundness, TensorFidelity, Unmatched, Verification};
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
        }
    }
    object
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
