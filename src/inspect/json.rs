//! A file as JSON.

use std::path::Path;

use serde_json::{Map, Number, Value as Json, json};

use super::Summary;
use crate::gguf::{Array, Gguf, TensorInfo, Value, escape};

/// Arrays of more elements than this are shown by their head.
const WHOLE_ARRAY: usize = 64;

/// Elements in the head of a long array.
const HEAD: usize = 8;

/// What is in the file at `path`, as one JSON object that ends with a line break.
///
/// A key-value is `{"type", "value"}`; an array `{"type": "arr", "element_type", "len"}` with
/// `"value"` (all elements) up to 64 elements, and `"head"` (the first 8) beyond. Strings that
/// are not UTF-8 are escaped (`\xNN`) and marked with `"escaped": true`; floats that JSON has no
/// number for are the strings `"NaN"`, `"inf"` and `"-inf"`.
pub fn json(gguf: &Gguf, path: &Path) -> String {
    let summary = Summary::new(gguf);
    let types: Vec<Json> = summary
        .types
        .iter()
        .map(|count| {
            json!({
                "type": count.ty.name(),
                "tensors": count.tensors,
                "parameters": count.parameters,
                "bytes": count.bytes,
                "share": summary.share(count.bytes),
            })
        })
        .collect();
    let key_values: Map<String, Json> = gguf
        .key_values
        .iter()
        .map(|(key, value)| (key.clone(), key_value(value)))
        .collect();
    let tensors: Vec<Json> = gguf.tensors.iter().map(tensor).collect();
    let object = json!({
        "file": path.to_string_lossy(),
        "file_bytes": summary.file_bytes,
        "gguf_version": gguf.version,
        "alignment": gguf.alignment,
        "data_offset": gguf.data_offset,
        "name": summary.name,
        "architecture": summary.architecture,
        "size_label": summary.size_label,
        "file_type": summary.file_type.map(|id| json!({
            "id": id,
            "name": crate::gguf::file_type_name(id),
        })),
        "parameters": summary.parameters,
        "tensor_bytes": summary.tensor_bytes,
        "bits_per_weight": summary.bits_per_weight(),
        "experts": summary.experts.map(|experts| json!({
            "count": experts.n_expert,
            "used": experts.n_expert_used,
            "shared": experts.shared,
            "leading_dense_layers": experts.leading_dense_layers,
            "active_parameters": experts.active_parameters,
        })),
        "split": summary.split.map(|split| json!({
            "number": split.number,
            "count": split.count,
        })),
        "types": types,
        "key_values": key_values,
        "tensors": tensors,
    });
    format!("{}\n", without_controls(&format!("{object:#}")))
}

/// JSON as it is, but for the characters beyond ASCII that a terminal would obey or hide (serde
/// escapes those of ASCII): they can only stand in strings, where an escape means the same.
pub(crate) fn without_controls(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '\u{7f}'..='\u{9f}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            _ => out.push(c),
        }
    }
    out
}

pub(crate) fn tensor(tensor: &TensorInfo) -> Json {
    json!({
        "name": tensor.name,
        "dims": tensor.dims,
        "type": tensor.ty.name(),
        "offset": tensor.offset,
        "bytes": tensor.size(),
    })
}

pub(crate) fn key_value(value: &Value) -> Json {
    let mut object = Map::new();
    object.insert("type".to_owned(), value.value_type().name().into());
    match value {
        Value::Array(array) => {
            object.insert(
                "element_type".to_owned(),
                array.element_type().name().into(),
            );
            object.insert("len".to_owned(), array.len().into());
            let (key, shown) = if array.len() > WHOLE_ARRAY {
                ("head", HEAD)
            } else {
                ("value", array.len())
            };
            let elements: Vec<Json> = (0..shown)
                .filter_map(|index| array.get(index))
                .map(|v| scalar(&v))
                .collect();
            object.insert(key.to_owned(), elements.into());
            if is_escaped(array, shown) {
                object.insert("escaped".to_owned(), true.into());
            }
        }
        scalar_value => {
            object.insert("value".to_owned(), scalar(scalar_value));
            if matches!(scalar_value, Value::String(s) if std::str::from_utf8(s).is_err()) {
                object.insert("escaped".to_owned(), true.into());
            }
        }
    }
    Json::Object(object)
}

fn is_escaped(array: &Array, shown: usize) -> bool {
    matches!(array, Array::String(strings)
        if strings.iter().take(shown).any(|s| std::str::from_utf8(s).is_err()))
}

fn scalar(value: &Value) -> Json {
    match value {
        Value::U8(v) => (*v).into(),
        Value::I8(v) => (*v).into(),
        Value::U16(v) => (*v).into(),
        Value::I16(v) => (*v).into(),
        Value::U32(v) => (*v).into(),
        Value::I32(v) => (*v).into(),
        Value::F32(v) => float(&v.to_string()),
        Value::Bool(v) => (*v).into(),
        Value::String(v) => std::str::from_utf8(v).map_or_else(|_| escape(v).into(), Json::from),
        // An array holds no arrays, and the one at hand is taken apart by `key_value`.
        Value::Array(_) => Json::Null,
        Value::U64(v) => (*v).into(),
        Value::I64(v) => (*v).into(),
        Value::F64(v) => float(&v.to_string()),
    }
}

/// A float from its shortest decimal form, so that an f32 is 1e-5 and not 9.999999747378752e-6.
fn float(shortest: &str) -> Json {
    match shortest.parse().ok().and_then(Number::from_f64) {
        Some(number) => Json::Number(number),
        None => shortest.into(),
    }
}
