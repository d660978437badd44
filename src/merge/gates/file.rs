//! Gates in a safetensors file: `model.layers.N.block_sparse_moe.gate.weight` [n_expert, n_embd] of every
//! layer, or by the name of the fused layout, `model.layers.N.mlp.gate.weight`. So a shard of a merged
//! checkpoint that has them will do.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use super::Gates;
use crate::{
    gguf::LayoutError,
    plan::shard_header,
    source::{Dtype, SourceError, open_file},
};

/// What is wrong with a file of gates.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// It is no safetensors file, or cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// It has no gates.
    #[error(
        "`{path}` has no gates: expected tensors `model.layers.0.block_sparse_moe.gate.weight` and so on"
    )]
    None {
        /// The file.
        path: PathBuf,
    },
    /// A gate is not what it should be.
    #[error("`{path}`: tensor `{tensor}` is {found}, expected {expected}")]
    Tensor {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// Its shape, type or value.
        found: String,
        /// What it should be.
        expected: String,
    },
    /// A gate has no place in a file.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The file cannot be written.
    #[error("cannot write `{path}`: {error}")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        error: io::Error,
    },
    /// There is a file.
    #[error("`{path}` exists: choose another name, or replace it with `--force`")]
    Exists {
        /// The file.
        path: PathBuf,
    },
}

impl Gates {
    /// Reads gates of BF16, F16 or F32. The file decides about the numbers of layers and experts.
    ///
    /// # Errors
    /// When there are none, or they are not of one shape and finite.
    pub fn read(path: &Path) -> Result<Self, GateError> {
        let (shard, tensors) = open_file(path)?;
        let mut gates = Self {
            n_layer: 0,
            n_expert: 0,
            n_embd: 0,
            layers: Vec::new(),
        };
        loop {
            let layer = gates.n_layer;
            let names = [name(layer), format!("model.layers.{layer}.mlp.gate.weight")];
            let Some((name, tensor)) = names
                .iter()
                .find_map(|name| tensors.get_key_value(name.as_str()))
            else {
                break;
            };
            let wrong = |found: String, expected: String| GateError::Tensor {
                path: path.into(),
                tensor: name.clone(),
                found,
                expected,
            };
            let &[n_expert, n_embd] = &tensor.shape[..] else {
                let expected = "a row for each expert".to_owned();
                return Err(wrong(format!("of shape {:?}", tensor.shape), expected));
            };
            let (n_expert, n_embd) = (n_expert as usize, n_embd as usize);
            if layer == 0 {
                (gates.n_expert, gates.n_embd) = (n_expert, n_embd);
            } else if (n_expert, n_embd) != (gates.n_expert, gates.n_embd) {
                let expected = format!("[{}, {}] as in layer 0", gates.n_expert, gates.n_embd);
                return Err(wrong(format!("of shape {:?}", tensor.shape), expected));
            }
            let dtype = Dtype::from_name(&tensor.dtype).ok_or_else(|| {
                wrong(
                    format!("of type {}", tensor.dtype),
                    "BF16, F16 or F32".into(),
                )
            })?;
            // As many as the file has: its header has been checked.
            let mut bytes = vec![0; (tensor.bytes.end - tensor.bytes.start) as usize];
            let read = shard.read_exact_at(&mut bytes, tensor.bytes.start);
            read.map_err(|error| SourceError::shard(path, error))?;
            let mut values = vec![0.0; bytes.len() / dtype.bytes()];
            dtype.to_f32(&bytes, &mut values);
            if let Some(at) = swallow_quant::first_non_finite(&values) {
                let found = format!("{} at index {at}", values[at]);
                return Err(wrong(found, "finite numbers".into()));
            }
            gates.layers.push(values);
            gates.n_layer += 1;
        }
        match gates.n_layer {
            0 => Err(GateError::None { path: path.into() }),
            _ => Ok(gates),
        }
    }

    /// Writes the gates as `dtype`: beside their place first, and there once they are whole and on
    /// disk.
    ///
    /// # Errors
    /// When there is a file that may not be replaced, or it cannot be written.
    pub fn save(&self, path: &Path, dtype: Dtype, replace: bool) -> Result<(), GateError> {
        let failed = |error| GateError::Write {
            path: path.into(),
            error,
        };
        let tensors = (0..self.n_layer).map(|layer| (name(layer), [self.n_expert, self.n_embd]));
        let mut bytes = shard_header(tensors, dtype)?;
        for value in self.layers.iter().flatten() {
            match dtype {
                Dtype::Bf16 => bytes.extend(half::bf16::from_f32(*value).to_le_bytes()),
                Dtype::F16 => bytes.extend(half::f16::from_f32(*value).to_le_bytes()),
                Dtype::F32 => bytes.extend(value.to_le_bytes()),
            }
        }
        let dir = match path.parent() {
            Some(dir) if !dir.as_os_str().is_empty() => dir,
            _ => Path::new("."),
        };
        let mut file = tempfile::NamedTempFile::new_in(dir).map_err(failed)?;
        file.write_all(&bytes).map_err(failed)?;
        file.as_file().sync_all().map_err(failed)?;
        let moved = match replace {
            true => file.persist(path),
            false => file.persist_noclobber(path),
        };
        match moved {
            Ok(_) => Ok(()),
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {
                Err(GateError::Exists { path: path.into() })
            }
            Err(error) => Err(failed(error.error)),
        }
    }
}

fn name(layer: usize) -> String {
    format!("model.layers.{layer}.block_sparse_moe.gate.weight")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gates_come_back_as_they_were_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("gates.safetensors");
        for dtype in [Dtype::Bf16, Dtype::F16, Dtype::F32] {
            let gates = Gates::random(12, 3, 8, 1).rounded(dtype);
            gates.save(&path, dtype, true).unwrap();
            assert_eq!(Gates::read(&path).unwrap(), gates);
        }
        let error = Gates::random(1, 1, 1, 1).save(&path, Dtype::F32, false);
        assert!(error.unwrap_err().to_string().contains("exists"));
    }

    #[test]
    fn a_file_without_gates_or_with_others_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("gates.safetensors");
        let write = |tensors: &[(&str, [usize; 2])], value: f32| {
            let all = tensors
                .iter()
                .map(|(name, shape)| ((*name).to_owned(), *shape));
            let mut bytes = shard_header(all, Dtype::F32).unwrap();
            let n: usize = tensors.iter().map(|(_, [a, b])| a * b).sum();
            bytes.extend(std::iter::repeat_n(value.to_le_bytes(), n).flatten());
            std::fs::write(&path, bytes).unwrap();
            Gates::read(&path).unwrap_err().to_string()
        };
        let [first, second] = [name(0), name(1)];
        assert!(write(&[("a", [2, 2])], 0.0).contains("has no gates"));
        let error = write(&[(&first, [2, 4]), (&second, [3, 4])], 0.0);
        assert!(
            error.contains("is of shape [3, 4], expected [2, 4] as in layer 0"),
            "{error}"
        );
        let error = write(&[(&first, [2, 4])], f32::NAN);
        assert!(
            error.contains("is NaN at index 0, expected finite numbers"),
            "{error}"
        );
        assert!(Gates::read(&dir.path().join("none")).is_err());
    }
}
