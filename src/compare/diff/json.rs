//! What differs, for programs.

use serde_json::{Map, Value as Json, json};

use super::{DataDiff, Diff, Sides};
use crate::{
    gguf::TensorInfo,
    inspect::json::{key_value, tensor, without_controls},
};

impl Diff {
    /// What differs, as one JSON object that ends with a line break. What is the same is left out
    /// or `null`; a pair is `{"a": …, "b": …}`, of which one is missing where only one file has
    /// something. Values are as `inspect --json` has them.
    pub fn json(&self) -> String {
        let key_values: Vec<Json> = self
            .key_values
            .iter()
            .map(|diff| {
                let mut object = sides(&diff.values, key_value);
                object.insert("key".into(), diff.key.as_str().into());
                Json::Object(object)
            })
            .collect();
        let tensors: Vec<Json> = self
            .tensors
            .iter()
            .map(|diff| {
                let mut object = sides(&diff.infos, |info: &TensorInfo| tensor(info));
                object.insert("name".into(), diff.name().into());
                object.insert("data".into(), diff.data.as_ref().map(data).into());
                Json::Object(object)
            })
            .collect();
        let pair = |a: Json, b: Json| json!({"a": a, "b": b});
        let object = json!({
            "a": self.a.to_string_lossy(),
            "b": self.b.to_string_lossy(),
            "equal": self.is_empty(),
            "version": self.version.map(|(a, b)| pair(a.into(), b.into())),
            "file_bytes": self.file_bytes.map(|(a, b)| pair(a.into(), b.into())),
            "key_values": key_values,
            "key_moved": self.key_moved,
            "tensors": tensors,
            "tensor_moved": self.tensor_moved,
            "equal_key_values": self.equal_key_values,
            "equal_tensors": self.equal_tensors,
        });
        format!("{}\n", without_controls(&format!("{object:#}")))
    }
}

fn sides<T>(sides: &Sides<T>, shown: impl Fn(&T) -> Json) -> Map<String, Json> {
    let (a, b) = match sides {
        Sides::OnlyA(a) => (Some(a), None),
        Sides::OnlyB(b) => (None, Some(b)),
        Sides::Both(a, b) => (Some(a), Some(b)),
    };
    let entries = [("a", a), ("b", b)];
    entries
        .into_iter()
        .filter_map(|(side, it)| Some((side.to_owned(), shown(it?))))
        .collect()
}

/// Figures that JSON has no number for (an infinite relative error) are `null`.
fn data(data: &DataDiff) -> Json {
    let mut object = json!({
        "blocks": data.blocks.map(|blocks| json!({
            "differing": blocks.differing,
            "total": blocks.total,
            "first": blocks.first,
        })),
    });
    match &data.deviation {
        Err(ty) => object["not_read"] = ty.name().into(),
        Ok(deviation) => {
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
