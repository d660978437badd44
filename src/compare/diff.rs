//! What differs between two GGUF files.

mod data;
mod json;
mod text;

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
};

use swallow_quant::GgmlType;

use super::{CompareError, Deviation, file::WeightFile};
use crate::gguf::{Array, KeyValues, TensorInfo, Value};

/// Something of file A, of file B, or of both where it differs.
#[derive(Clone, Debug, PartialEq)]
pub enum Sides<T> {
    /// Only A has it.
    OnlyA(T),
    /// Only B has it.
    OnlyB(T),
    /// Both have it, and not the same.
    Both(T, T),
}

/// A key-value that differs.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyDiff {
    /// The key.
    pub key: String,
    /// Its values. A float differs where its bits do.
    pub values: Sides<Value>,
}

/// A tensor that differs.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorDiff {
    /// Name, shape, type and offset.
    pub infos: Sides<TensorInfo>,
    /// What of the weights differs; `None` where all bytes are equal, and where shapes differ or
    /// one file lacks the tensor, so that there is nothing to compare.
    pub data: Option<DataDiff>,
}

/// Differing weights of two tensors of the same shape.
#[derive(Clone, Debug, PartialEq)]
pub struct DataDiff {
    /// The blocks of other bytes; `None` where the types differ.
    pub blocks: Option<BlockDiff>,
    /// How far B's weights are from A's, or the type that cannot be dequantized. Blocks are those
    /// of the type with the longer ones.
    pub deviation: Result<Deviation, GgmlType>,
}

/// Blocks of other bytes in two tensors of the same type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockDiff {
    /// How many differ.
    pub differing: u64,
    /// Of how many.
    pub total: u64,
    /// Index of the first that differs.
    pub first: u64,
}

/// Everything that differs between two files, but for the padding between tensors.
#[derive(Clone, Debug)]
pub struct Diff {
    /// The first file.
    pub a: PathBuf,
    /// The second file.
    pub b: PathBuf,
    /// GGUF versions, where they differ.
    pub version: Option<(u32, u32)>,
    /// Bytes of the files, where they differ.
    pub file_bytes: Option<(u64, u64)>,
    /// Key-values that differ: in A's order, then those that only B has.
    pub key_values: Vec<KeyDiff>,
    /// The first key in A that stands elsewhere among the common keys of B.
    pub key_moved: Option<String>,
    /// Tensors that differ: in A's order, then those that only B has.
    pub tensors: Vec<TensorDiff>,
    /// The first tensor in A that stands elsewhere among the common tensors of B.
    pub tensor_moved: Option<String>,
    /// Key-values that are the same in both files.
    pub equal_key_values: usize,
    /// Tensors that are the same in both files, offset and bytes included.
    pub equal_tensors: usize,
}

/// Compares two files: headers first, then the weights of every tensor that has the same name and
/// shape in both.
///
/// # Errors
/// When a file is not a GGUF, or its weights cannot be read.
pub fn diff(a: &Path, b: &Path) -> Result<Diff, CompareError> {
    let (a, b) = (WeightFile::open(a)?, WeightFile::open(b)?);
    let key_values = diff_key_values(&a.gguf.key_values, &b.gguf.key_values);
    let tensors = data::diff_tensors(&a, &b)?;
    // What A has and is not reported is the same in B.
    let keys_of_a = |diff: &&KeyDiff| !matches!(diff.values, Sides::OnlyB(_));
    let tensors_of_a = |diff: &&TensorDiff| !matches!(diff.infos, Sides::OnlyB(_));
    let (len_a, tensors_a) = (a.gguf.key_values.len(), a.gguf.tensors.len());
    Ok(Diff {
        version: differing(a.gguf.version, b.gguf.version),
        file_bytes: differing(a.gguf.file_len, b.gguf.file_len),
        key_moved: first_moved(
            a.gguf.key_values.iter().map(|(key, _)| key.as_str()),
            b.gguf.key_values.iter().map(|(key, _)| key.as_str()),
        ),
        tensor_moved: first_moved(
            a.gguf.tensors.iter().map(|tensor| tensor.name.as_str()),
            b.gguf.tensors.iter().map(|tensor| tensor.name.as_str()),
        ),
        equal_key_values: len_a - key_values.iter().filter(keys_of_a).count(),
        equal_tensors: tensors_a - tensors.iter().filter(tensors_of_a).count(),
        a: a.path().to_owned(),
        b: b.path().to_owned(),
        key_values,
        tensors,
    })
}

impl Diff {
    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.version.is_none()
            && self.file_bytes.is_none()
            && self.key_values.is_empty()
            && self.key_moved.is_none()
            && self.tensors.is_empty()
            && self.tensor_moved.is_none()
    }
}

impl TensorDiff {
    /// The tensor's name.
    pub fn name(&self) -> &str {
        match &self.infos {
            Sides::OnlyA(info) | Sides::OnlyB(info) | Sides::Both(info, _) => &info.name,
        }
    }
}

fn differing<T: PartialEq>(a: T, b: T) -> Option<(T, T)> {
    (a != b).then_some((a, b))
}

fn diff_key_values(a: &KeyValues, b: &KeyValues) -> Vec<KeyDiff> {
    let of_b: HashMap<&str, &Value> = b.iter().map(|(key, value)| (key.as_str(), value)).collect();
    let keys_of_a: HashSet<&str> = a.iter().map(|(key, _)| key.as_str()).collect();
    let of_a = a.iter().filter_map(|(key, value)| {
        let values = match of_b.get(key.as_str()) {
            None => Sides::OnlyA(value.clone()),
            Some(other) if is_same(value, other) => return None,
            Some(&other) => Sides::Both(value.clone(), other.clone()),
        };
        Some((key, values))
    });
    let only_b = b
        .iter()
        .filter(|(key, _)| !keys_of_a.contains(key.as_str()))
        .map(|(key, value)| (key, Sides::OnlyB(value.clone())));
    of_a.chain(only_b)
        .map(|(key, values)| KeyDiff {
            key: key.clone(),
            values,
        })
        .collect()
}

/// Whether two values are the same in a file: as `==`, but floats by their bits.
fn is_same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::F32(a), Value::F32(b)) => a.to_bits() == b.to_bits(),
        (Value::F64(a), Value::F64(b)) => a.to_bits() == b.to_bits(),
        (Value::Array(Array::F32(a)), Value::Array(Array::F32(b))) => a
            .iter()
            .map(|v| v.to_bits())
            .eq(b.iter().map(|v| v.to_bits())),
        (Value::Array(Array::F64(a)), Value::Array(Array::F64(b))) => a
            .iter()
            .map(|v| v.to_bits())
            .eq(b.iter().map(|v| v.to_bits())),
        _ => a == b,
    }
}

/// The first of `a` that is not in the same place among those that are in both.
fn first_moved<'a>(
    a: impl Iterator<Item = &'a str> + Clone,
    b: impl Iterator<Item = &'a str> + Clone,
) -> Option<String> {
    let in_a: HashSet<&str> = a.clone().collect();
    let in_b: HashSet<&str> = b.clone().collect();
    let common_of_a = a.filter(|name| in_b.contains(name));
    let common_of_b = b.filter(|name| in_a.contains(name));
    common_of_a
        .zip(common_of_b)
        .find(|(a, b)| a != b)
        .map(|(a, _)| a.to_owned())
}

#[cfg(test)]
mod tests;
