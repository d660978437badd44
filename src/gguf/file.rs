//! What a GGUF file says about itself.

use super::{Array, KeyValues, TensorInfo, Value};

/// The header of a GGUF file, read and checked.
///
/// Every tensor lies inside the file, at a multiple of the alignment, and overlaps no other.
#[derive(Clone, Debug)]
pub struct Gguf {
    /// Format version, 2 or 3.
    pub version: u32,
    /// What tensor offsets are a multiple of.
    pub alignment: u64,
    /// Where the data section begins, in bytes from the beginning of the file.
    pub data_offset: u64,
    /// Bytes of the whole file.
    pub file_len: u64,
    /// Key-values in the order of the file.
    pub key_values: KeyValues,
    /// Tensors in the order of the file.
    pub tensors: Vec<TensorInfo>,
}

impl Gguf {
    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.key_values
            .iter()
            .find(|(k, _)| k == key)
            .map(|(_, value)| value)
    }

    /// The string at `key`; `None` also where it is no string or not UTF-8.
    pub fn get_str(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_str()
    }

    /// The integer at `key`, whatever its width; `None` also where it is no integer or negative.
    pub fn get_u64(&self, key: &str) -> Option<u64> {
        self.get(key)?.as_u64()
    }

    /// The float at `key`; `None` also where it is no float.
    pub fn get_f32(&self, key: &str) -> Option<f32> {
        self.get(key)?.as_f32()
    }

    /// The bool at `key`; `None` also where it is no bool.
    pub fn get_bool(&self, key: &str) -> Option<bool> {
        self.get(key)?.as_bool()
    }

    /// The array at `key`; `None` also where it is no array.
    pub fn get_array(&self, key: &str) -> Option<&Array> {
        match self.get(key)? {
            Value::Array(array) => Some(array),
            _ => None,
        }
    }

    /// The tensor of this name.
    pub fn tensor(&self, name: &str) -> Option<&TensorInfo> {
        self.tensors.iter().find(|tensor| tensor.name == name)
    }

    /// Bytes of all tensors, without the padding between them.
    pub fn tensor_bytes(&self) -> u64 {
        self.tensors.iter().map(TensorInfo::size).sum()
    }

    /// Weights of all tensors.
    pub fn parameters(&self) -> u64 {
        self.tensors
            .iter()
            .map(TensorInfo::elements)
            .fold(0, u64::saturating_add)
    }
}
