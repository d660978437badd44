//! Walks the table: finds each tensor, checks its shape and type, and says where its rows are.

use std::collections::BTreeSet;

use super::{ModelTensor, Part, RowOrder, TensorData, TensorError, names::Names};
use crate::{
    gguf::shown,
    model::{
        ModelConfig,
        architecture::{Dim, Lengths, Place, Presence, Row, Source, Take},
    },
    source::{Checkpoint, Dtype, SourceTensor},
};

/// Finds the tensors of one checkpoint.
pub(super) struct Mapper<'a> {
    pub(super) config: &'a ModelConfig,
    pub(super) lengths: Lengths,
    pub(super) checkpoint: &'a Checkpoint,
    pub(super) names: Names,
    pub(super) used: BTreeSet<&'a str>,
    pub(super) out: Vec<ModelTensor>,
}

/// What a row of the table is in one layer, or outside of them.
#[derive(Clone, Copy)]
struct Placed<'r> {
    row: &'r Row,
    /// What the checkpoint's names begin with.
    source: &'r str,
    /// What the GGUF's name begins with.
    target: &'r str,
}

impl<'a> Mapper<'a> {
    /// Gets ready for a checkpoint.
    pub(super) fn new(config: &'a ModelConfig, checkpoint: &'a Checkpoint) -> Self {
        Self {
            config,
            lengths: config.lengths(),
            checkpoint,
            names: Names::of(&config.architecture.names, &checkpoint.tensors),
            used: BTreeSet::new(),
            out: Vec::new(),
        }
    }

    /// The rows outside of the layers.
    pub(super) fn outer(&mut self) -> Result<(), TensorError> {
        for row in self.config.architecture.rows() {
            if let Some(source) = self.prefix(row.place) {
                self.apply(Placed {
                    row,
                    source: &source,
                    target: "",
                })?;
            }
        }
        Ok(())
    }

    /// The rows of one layer.
    pub(super) fn layer(&mut self, layer: u32) -> Result<(), TensorError> {
        let rules = &self.config.architecture.names;
        let source = format!("{}{}{layer}.", self.names.model, rules.layers);
        let target = format!("blk.{layer}.");
        for row in self.config.architecture.rows() {
            if row.place == Place::Layer && self.config.has_row(row, layer) {
                self.apply(Placed {
                    row,
                    source: &source,
                    target: &target,
                })?;
            }
        }
        Ok(())
    }

    /// What the names of tensors outside of the layers begin with.
    fn prefix(&self, place: Place) -> Option<String> {
        match place {
            Place::Layer => None,
            Place::Model => Some(self.names.model.clone()),
            Place::Output => Some(self.names.output.clone()),
        }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.checkpoint.tensors.contains_key(name)
    }

    /// Adds the tensor of a row, unless it may be absent and is.
    fn apply(&mut self, placed: Placed<'_>) -> Result<(), TensorError> {
        let Placed {
            row,
            source,
            target,
        } = placed;
        let layouts = row.from.layouts();
        let is_there = |from: &&Source| self.has(&first_name(from, source));
        let found = layouts.iter().find(is_there);
        let is_absent = match row.presence {
            Presence::Needed => false,
            Presence::Optional => found.is_none(),
            Presence::NeededIf(key) => found.is_none() && !self.config.hparams.is_set(key),
            Presence::NeededUnless(key) => found.is_none() && self.config.hparams.is_set(key),
            Presence::With(other) => !self.has(&format!("{source}{other}")),
            Presence::UnlessTied => self.config.tied && found.is_none(),
            Presence::IfUntied => {
                if self.config.tied
                    && let Some(tied) = found
                    && let Some((name, _)) = self
                        .checkpoint
                        .tensors
                        .get_key_value(&first_name(tied, source))
                {
                    self.used.insert(name);
                }
                self.config.tied
            }
        };
        let from = found.or(layouts.first());
        let (false, Some(from)) = (is_absent, from) else {
            return Ok(());
        };
        // A shape that nothing says is that of a row which may be absent: of no use then.
        let Some(shape) = Dim::all(row.shape, &self.lengths) else {
            return Ok(());
        };
        // Nor is there a tensor without rows: that of shared experts, of which there may be 0.
        if shape.contains(&0) {
            return Ok(());
        }
        let parts = self.parts(placed, from, &shape)?;
        let order = match row.rotary {
            true => RowOrder::Rotary {
                head_rows: u64::from(self.config.head_dim),
            },
            false => RowOrder::AsIs,
        };
        let dims = shape.into_iter().rev().collect();
        let data = TensorData::Rows { parts, order };
        self.push(format!("{target}{}", row.target), dims, data);
        Ok(())
    }

    /// Where the rows of a tensor of this shape are.
    fn parts(
        &mut self,
        placed: Placed<'_>,
        from: &Source,
        shape: &[u64],
    ) -> Result<Vec<Part>, TensorError> {
        let Placed { row, source, .. } = placed;
        match from {
            Source::One(name) => {
                let name = format!("{source}{name}");
                let tensor = self.take(&name, shape, row.shape)?;
                let rows = rows_of(shape, row.rotary);
                Ok(vec![self.part(&name, tensor, 0, rows, rows)?])
            }
            Source::Each(name) => {
                let (count, shape) = (shape[0], &shape[1..]);
                (0..count)
                    .map(|i| {
                        let name = format!("{source}{}", name.replace("{}", &i.to_string()));
                        let tensor = self.take(&name, shape, &row.shape[1..])?;
                        let rows = rows_of(shape, row.rotary);
                        self.part(&name, tensor, 0, rows, rows)
                    })
                    .collect()
            }
            Source::Part { name, shape, take } => {
                let name = format!("{source}{name}");
                let whole = Dim::all(shape, &self.lengths).unwrap_or_default();
                let tensor = self.take(&name, &whole, shape)?;
                // Vectors are taken apart, too: their "rows" are single numbers.
                let rows = rows_of(&whole, true);
                let mut parts = Vec::new();
                for run in self.runs(take, rows) {
                    parts.push(self.part(&name, tensor, run.0, run.1, rows)?);
                }
                Ok(parts)
            }
            Source::Either(_) => Ok(Vec::new()),
        }
    }

    /// First row and number of rows of each piece that is taken of `rows` rows.
    fn runs(&self, take: &[Take], rows: u64) -> Vec<(u64, u64)> {
        let len = |dim: Dim| dim.of(&self.lengths).unwrap_or(0);
        let of_take = |take: &Take| {
            let (groups, first, count) = (len(take.groups), len(take.first), len(take.rows));
            let group = rows / groups.max(1);
            (0..groups).map(move |i| (i * group + first, count))
        };
        take.iter().flat_map(of_take).collect()
    }

    /// Adds a tensor of the GGUF.
    pub(super) fn push(&mut self, name: String, dims: Vec<u64>, data: TensorData) {
        self.out.push(ModelTensor::of_checkpoint(name, dims, data));
    }

    /// Finds a tensor, checks its shape and marks it as used. `dims` say what each length hangs on.
    fn take(
        &mut self,
        name: &str,
        expected: &[u64],
        dims: &[Dim],
    ) -> Result<&'a SourceTensor, TensorError> {
        let Some((name, tensor)) = self.checkpoint.tensors.get_key_value(name) else {
            return Err(TensorError::Missing {
                tensor: name.into(),
                hint: self.missing_hint(name),
            });
        };
        if tensor.shape != expected {
            return Err(TensorError::Shape {
                tensor: name.clone(),
                path: shard_name(self.checkpoint, tensor),
                expected: expected.into(),
                found: tensor.shape.as_slice().into(),
                hint: self.shape_hint(expected, &tensor.shape, dims),
            });
        }
        self.used.insert(name);
        Ok(tensor)
    }

    /// Rows `first_row..first_row + rows` of a tensor that has `total_rows`.
    fn part(
        &self,
        name: &str,
        tensor: &SourceTensor,
        first_row: u64,
        rows: u64,
        total_rows: u64,
    ) -> Result<Part, TensorError> {
        let dtype = Dtype::from_name(&tensor.dtype).ok_or_else(|| TensorError::Type {
            tensor: name.into(),
            path: shard_name(self.checkpoint, tensor),
            found: shown(&tensor.dtype),
        })?;
        let row_bytes = (tensor.bytes.end - tensor.bytes.start) / total_rows.max(1);
        Ok(Part {
            tensor: name.into(),
            shape: tensor.shape.clone(),
            ty: dtype.ggml_type(),
            shard: tensor.shard,
            offset: tensor.bytes.start + first_row * row_bytes,
            first_row,
            rows,
            edit: None,
        })
    }

    /// The keys of config.json that the lengths which differ hang on.
    fn shape_hint(&self, expected: &[u64], found: &[u64], dims: &[Dim]) -> String {
        if expected.len() != found.len() {
            return String::new();
        }
        let differ = std::iter::zip(expected, found).map(|(a, b)| a != b);
        let keys: Vec<String> = std::iter::zip(dims, differ)
            .filter(|(_, differs)| *differs)
            .map(|(dim, _)| self.config.keys_of(*dim))
            .filter(|keys| !keys.is_empty())
            .collect();
        match keys.is_empty() {
            true => String::new(),
            false => format!(" by {}", keys.join(" and ")),
        }
    }
}

/// Rows of a shape: all dimensions but the last. A vector is one row; or a column, where its numbers
/// change places.
fn rows_of(shape: &[u64], is_column: bool) -> u64 {
    match shape {
        [] => 1,
        [n] => {
            if is_column {
                *n
            } else {
                1
            }
        }
        [rows @ .., _] => rows.iter().product(),
    }
}

/// The name of the first tensor of a layout.
pub(super) fn first_name(from: &Source, source: &str) -> String {
    let name = match from {
        Source::One(name) | Source::Part { name, .. } => (*name).to_owned(),
        Source::Each(name) => name.replace("{}", "0"),
        Source::Either(_) => String::new(),
    };
    format!("{source}{name}")
}

pub(super) fn shard_name(checkpoint: &Checkpoint, tensor: &SourceTensor) -> String {
    checkpoint.shards[tensor.shard].path().display().to_string()
}
