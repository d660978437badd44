//! The plan of a checkpoint: its safetensors shards, to the byte, and their index.
//!
//! A shard is the length of its header, the header, a JSON object, and the tensors one after the
//! other without gaps. Tensors stay whole and in their order; a shard ends where the next tensor
//! would take it beyond the limit.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde_json::{Map, Value as Json, json};

use super::{Container, ConversionPlan, PlannedFile, PlannedTensor, Search, files::split_points};
use crate::{
    file_type::FileType,
    gguf::{KeyValues, LayoutError, TensorInfo, lay_out},
    mix::{Choice, Reason},
    model::TensorData,
    source::Dtype,
};

/// A tensor of a checkpoint that is to be written.
#[derive(Clone, Debug)]
pub struct CheckpointTensor {
    /// Its name there, for example `model.norm.weight`.
    pub name: String,
    /// Outermost dimension first.
    pub shape: Vec<u64>,
    /// The weights, of BF16, F16 or F32.
    pub data: TensorData,
    /// The format to write.
    pub dtype: Dtype,
}

impl ConversionPlan {
    /// Plans the shards that hold `tensors`, in their order, each of at most `max_bytes` of tensors
    /// or of one. `dtype` is the checkpoint's format, for people.
    ///
    /// # Errors
    /// Where a tensor is too large to address.
    pub fn of_checkpoint(
        tensors: Vec<CheckpointTensor>,
        dtype: Dtype,
        max_bytes: u64,
    ) -> Result<Self, LayoutError> {
        let mut planned = Vec::with_capacity(tensors.len());
        for CheckpointTensor {
            name,
            shape,
            data,
            dtype,
        } in tensors
        {
            let ty = dtype.ggml_type();
            planned.push(PlannedTensor {
                importance: None,
                info: TensorInfo::new(name, shape.into_iter().rev().collect(), ty)?,
                file: 0,
                data,
                choice: Choice {
                    ty,
                    reason: Reason::Checkpoint,
                    fell_back_from: None,
                },
            });
        }
        let mut files = Vec::new();
        for (no, range) in split_points(&planned, 1, max_bytes).into_iter().enumerate() {
            let tensors = &mut planned[range.clone()];
            let mut infos: Vec<TensorInfo> = tensors.iter().map(|t| t.info.clone()).collect();
            let data_bytes = lay_out(&mut infos, 1)?;
            let header = header(&infos);
            for (tensor, info) in tensors.iter_mut().zip(infos) {
                (tensor.info, tensor.file) = (info, no);
            }
            files.push(PlannedFile {
                header,
                tensors: range,
                data_bytes,
            });
        }
        Ok(Self {
            search: Search::Reference,
            container: Container::Safetensors,
            file_type: match dtype {
                Dtype::Bf16 => FileType::BF16,
                Dtype::F16 => FileType::F16,
                Dtype::F32 => FileType::F32,
            },
            key_values: KeyValues::new(),
            tensors: planned,
            files,
            notes: Vec::new(),
        })
    }

    /// `model.safetensors.index.json`: which shard each tensor is in.
    pub fn shard_index(&self) -> Json {
        let names = paths(Path::new("model.safetensors"), self.files.len());
        let place = |tensor: &PlannedTensor| names[tensor.file].display().to_string();
        let weight_map: BTreeMap<&str, String> = self
            .tensors
            .iter()
            .map(|tensor| (tensor.info.name.as_str(), place(tensor)))
            .collect();
        let bytes: u64 = self.files.iter().map(|file| file.data_bytes).sum();
        json!({"metadata": {"total_size": bytes}, "weight_map": weight_map})
    }
}

/// Length and header of a file of matrices, name and shape (outermost dimension first) of each, which
/// follow one after the other as numbers of format `dtype`.
///
/// # Errors
/// Where a tensor is too large to address.
pub fn shard_header(
    tensors: impl Iterator<Item = (String, [usize; 2])>,
    dtype: Dtype,
) -> Result<Vec<u8>, LayoutError> {
    let info = |(name, [rows, row]): (String, [usize; 2])| {
        TensorInfo::new(name, vec![row as u64, rows as u64], dtype.ggml_type())
    };
    let mut infos: Vec<TensorInfo> = tensors.map(info).collect::<Result<_, _>>()?;
    lay_out(&mut infos, 1)?;
    Ok(header(&infos))
}

/// Length and header of a shard, padded with spaces so that the tensors are aligned.
fn header(tensors: &[TensorInfo]) -> Vec<u8> {
    let mut header = Map::new();
    header.insert("__metadata__".into(), json!({"format": "pt"}));
    for info in tensors {
        let shape: Vec<u64> = info.dims.iter().rev().copied().collect();
        let entry = json!({
            "dtype": info.ty.name(),
            "shape": shape,
            "data_offsets": [info.offset, info.offset + info.size()],
        });
        header.insert(info.name.clone(), entry);
    }
    let mut json = Json::Object(header).to_string().into_bytes();
    json.resize(json.len().next_multiple_of(8), b' ');
    let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
    bytes.append(&mut json);
    bytes
}

/// Where the shards go: `model.safetensors`, or `model-00001-of-00002.safetensors` and so on.
pub(super) fn paths(path: &Path, n_files: usize) -> Vec<PathBuf> {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    match n_files {
        0 | 1 => vec![path.to_owned()],
        n => (1..=n)
            .map(|no| path.with_file_name(format!("{stem}-{no:05}-of-{n:05}.safetensors")))
            .collect(),
    }
}
