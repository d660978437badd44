//! A tensor of two dimensions in a safetensors file, read by rows as f32.

use std::{collections::BTreeMap, path::Path};

use super::GateError;
use crate::source::{Dtype, Shard, SourceTensor};

/// Where the rows of a tensor are.
#[derive(Debug)]
pub(super) struct Matrix<'a> {
    name: &'a str,
    shard: &'a Shard,
    dtype: Dtype,
    offset: u64,
    pub(super) n_rows: usize,
    /// Numbers of a row.
    pub(super) n_columns: usize,
}

impl<'a> Matrix<'a> {
    /// The tensor `name` of a checkpoint or file at `path`. `hint` ends the sentence that it is missing.
    pub(super) fn find(
        name: &'a str,
        shards: &'a [Shard],
        tensors: &BTreeMap<String, SourceTensor>,
        path: &Path,
        hint: &str,
    ) -> Result<Self, GateError> {
        let Some(tensor) = tensors.get(name) else {
            return Err(GateError::Missing {
                path: path.into(),
                tensor: name.into(),
                hint: hint.into(),
            });
        };
        let shard = &shards[tensor.shard];
        let dims = match *tensor.shape.as_slice() {
            [rows, columns] => (usize::try_from(rows).ok()).zip(usize::try_from(columns).ok()),
            _ => None,
        };
        match (Dtype::from_name(&tensor.dtype), dims) {
            (Some(dtype), Some((n_rows, n_columns))) => Ok(Self {
                name,
                shard,
                dtype,
                offset: tensor.bytes.start,
                n_rows,
                n_columns,
            }),
            _ => Err(GateError::Tensor {
                path: shard.path().into(),
                tensor: name.into(),
                found: format!("{} {:?}", tensor.dtype, tensor.shape),
                expected: "BF16, F16 or F32 with two dimensions".into(),
            }),
        }
    }

    /// Fails unless the matrix has these dimensions.
    pub(super) fn expect(&self, n_rows: usize, n_columns: usize) -> Result<(), GateError> {
        if (self.n_rows, self.n_columns) == (n_rows, n_columns) {
            return Ok(());
        }
        Err(GateError::Tensor {
            path: self.path().into(),
            tensor: self.name.into(),
            found: format!("[{}, {}]", self.n_rows, self.n_columns),
            expected: format!("[{n_rows}, {n_columns}]"),
        })
    }

    /// The file that the tensor is in.
    pub(super) fn path(&self) -> &'a Path {
        self.shard.path()
    }

    /// Row `row`, which must be one, as finite numbers.
    pub(super) fn read_row(&self, row: usize) -> Result<Vec<f32>, GateError> {
        // The file holds these bytes, so nothing here is beyond its length.
        let mut bytes = vec![0; self.n_columns * self.dtype.bytes()];
        let offset = self.offset + row as u64 * bytes.len() as u64;
        self.shard
            .read_exact_at(&mut bytes, offset)
            .map_err(|error| GateError::Read {
                path: self.path().into(),
                error,
            })?;
        let mut values = vec![0.0; self.n_columns];
        self.dtype.to_f32(&bytes, &mut values);
        match values.iter().find(|value| !value.is_finite()) {
            None => Ok(values),
            Some(&value) => Err(GateError::NotFinite {
                path: self.path().into(),
                tensor: self.name.into(),
                value,
                row,
            }),
        }
    }
}
