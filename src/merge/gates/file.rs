//! Gates in a file of their own: safetensors, with the names of a checkpoint, of shape `[n_expert, n_embd]`,
//! and those of a shared expert, of shape `[1, n_embd]`. Both names of routers are read, and a file may
//! hold more than gates, so that those of a merged model that is there already can be taken as they are.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

use half::{bf16, f16};

use super::{GateError, Gates, matrix::Matrix};
use crate::{
    gguf::LayoutError,
    merge::error::plain,
    plan::shard_header,
    source::{Dtype, open_safetensors},
};

/// How a file names the gates of a router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GateNames {
    /// As a Mixtral of 2024: `model.layers.N.block_sparse_moe.gate.weight`.
    Mixtral,
    /// As all others, and today's Mixtral: `model.layers.N.mlp.gate.weight`.
    Mlp,
}

impl GateNames {
    fn of(self, layer: usize) -> String {
        match self {
            Self::Mixtral => format!("model.layers.{layer}.block_sparse_moe.gate.weight"),
            Self::Mlp => format!("model.layers.{layer}.mlp.gate.weight"),
        }
    }
}

/// The name of the gate of a shared expert.
fn shared_name(layer: usize) -> String {
    format!("model.layers.{layer}.mlp.shared_expert_gate.weight")
}

impl Gates {
    /// Reads gates from the safetensors file at `path`: of layer 0 and all that follow, with those of the
    /// shared expert where there are some.
    ///
    /// # Errors
    /// When the file is not whole and consistent, has no gates or a gap among them, or a number is not
    /// finite.
    pub fn read(path: &Path) -> Result<Self, GateError> {
        let (shards, tensors) = open_safetensors(path)?;
        let names = match tensors.contains_key(&GateNames::Mlp.of(0)) {
            true => GateNames::Mlp,
            false => GateNames::Mixtral,
        };
        let is_gate = |name: &&String| {
            let number = name.strip_prefix("model.layers.");
            let layer = number.and_then(|rest| rest.split('.').next()?.parse().ok());
            layer.is_some_and(|layer| **name == names.of(layer))
        };
        // At least one, so that a file without gates is told what is missing.
        let n_layer = tensors.keys().filter(is_gate).count().max(1);
        let mut gates: Option<Self> = None;
        for layer in 0..n_layer {
            let name = names.of(layer);
            let hint = match (layer, tensors.keys().find(is_gate)) {
                (0, None) => ", and so no gates".to_owned(),
                _ => format!(", but gates of {n_layer} layers, expected those of layers 0 and on"),
            };
            let matrix = Matrix::find(&name, &shards, &tensors, path, &hint)?;
            let gates = gates.get_or_insert_with(|| Self {
                n_layer,
                n_expert: matrix.n_rows,
                n_embd: matrix.n_columns,
                layers: Vec::new(),
                shared: Vec::new(),
            });
            matrix.expect(gates.n_expert, gates.n_embd)?;
            let rows: Result<Vec<_>, _> =
                (0..matrix.n_rows).map(|row| matrix.read_row(row)).collect();
            gates.layers.push(rows?.concat());
        }
        let Some(mut gates) = gates else {
            unreachable!("there is at least one layer");
        };
        if tensors.contains_key(&shared_name(0)) {
            for layer in 0..n_layer {
                let name = shared_name(layer);
                let hint = format!(", but gates of {n_layer} layers");
                let matrix = Matrix::find(&name, &shards, &tensors, path, &hint)?;
                matrix.expect(1, gates.n_embd)?;
                gates.shared.push(matrix.read_row(0)?);
            }
        }
        Ok(gates)
    }

    /// Fails unless these are gates for a model of these sizes; `path` is where they come from.
    ///
    /// # Errors
    /// [`GateError::Shape`], with both.
    pub fn expect_sizes(
        &self,
        path: &Path,
        n_layer: usize,
        n_expert: usize,
        n_embd: usize,
    ) -> Result<(), GateError> {
        let found = (self.n_layer, self.n_expert, self.n_embd);
        let expected = (n_layer, n_expert, n_embd);
        if found == expected {
            return Ok(());
        }
        let told = |(layers, experts, width): (usize, usize, usize)| {
            let s = |n: usize| if n == 1 { "" } else { "s" };
            format!(
                "{layers} layer{}, {experts} expert{} and width {width}",
                s(layers),
                s(experts)
            )
        };
        Err(GateError::Shape {
            path: path.into(),
            found: told(found),
            expected: told(expected),
        })
    }

    /// Fails where there are none of a shared expert; `path` is where they come from.
    ///
    /// # Errors
    /// [`GateError::Missing`], with the name of the first.
    pub fn expect_shared(&self, path: &Path) -> Result<(), GateError> {
        if !self.shared.is_empty() {
            return Ok(());
        }
        Err(GateError::Missing {
            path: path.into(),
            tensor: shared_name(0),
            hint: ", and so no gates of the shared expert".into(),
        })
    }

    /// Writes the gates to `path` in `dtype`: beside its place first, and there once they are whole and
    /// on disk. A file that is there is replaced where `replace` says so.
    ///
    /// # Errors
    /// When there is a file that is not to be replaced, or the file cannot be written.
    pub fn save(
        &self,
        path: &Path,
        names: GateNames,
        dtype: Dtype,
        replace: bool,
    ) -> Result<(), GateError> {
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let bytes = self.to_safetensors(names, dtype)?;
        let write = || -> io::Result<()> {
            fs::metadata(folder)?;
            let mut file = tempfile::Builder::new();
            // As any other file that a program writes: who may read it is the user's umask.
            #[cfg(unix)]
            file.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
            let mut file = file.prefix(".gates-").tempfile_in(folder)?;
            file.write_all(&bytes)?;
            file.as_file().sync_all()?;
            let moved = match replace {
                true => file.persist(path),
                false => file.persist_noclobber(path),
            };
            moved.map_err(|error| error.error)?;
            #[cfg(unix)]
            if let Ok(folder) = File::open(folder) {
                // Not every file system lets one sync a folder.
                let _ = folder.sync_all();
            }
            Ok(())
        };
        if !replace && fs::symlink_metadata(path).is_ok() {
            return Err(GateError::Exists { path: path.into() });
        }
        write().map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => GateError::Exists { path: path.into() },
            _ => GateError::Write {
                path: path.into(),
                error: plain(error),
            },
        })
    }

    fn to_safetensors(&self, names: GateNames, dtype: Dtype) -> Result<Vec<u8>, LayoutError> {
        let routers = (0..self.n_layer).map(|n| (names.of(n), [self.n_expert, self.n_embd]));
        let shared = (0..self.shared.len()).map(|n| (shared_name(n), [1, self.n_embd]));
        let mut file = shard_header(routers.chain(shared), dtype)?;
        let values = self.layers.iter().chain(&self.shared).flatten();
        match dtype {
            Dtype::Bf16 => file.extend(values.flat_map(|v| bf16::from_f32(*v).to_le_bytes())),
            Dtype::F16 => file.extend(values.flat_map(|v| f16::from_f32(*v).to_le_bytes())),
            Dtype::F32 => file.extend(values.flat_map(|v| v.to_le_bytes())),
        }
        Ok(file)
    }
}
