//! Walks the table: finds each tensor, checks its shape and type, and says where its rows are.

use std::collections::BTreeSet;

use super::{
    ModelTensor, Part, RowOrder, TensorData, TensorError,
    names::Names,
    table::{
        ATTENTION, DENSE_FFN,
        Dim::{self, Embd, Expert, Ff, Kv, Q, Vocab},
        EXPERTS, FUSED_ROUTER, ROUTER, Rule,
    },
};
use crate::{
    gguf::shown,
    model::ModelConfig,
    source::{Checkpoint, Dtype, SourceTensor},
};

/// Finds the tensors of one checkpoint.
pub(super) struct Mapper<'a> {
    pub(super) config: &'a ModelConfig,
    pub(super) checkpoint: &'a Checkpoint,
    pub(super) names: Names,
    pub(super) used: BTreeSet<&'a str>,
    pub(super) out: Vec<ModelTensor>,
}

impl<'a> Mapper<'a> {
    pub(super) fn layer(&mut self, layer: u32) -> Result<(), TensorError> {
        let source = format!("{}layers.{layer}.", self.names.model);
        let target = format!("blk.{layer}.");
        for rule in ATTENTION {
            self.apply(rule, &source, &target)?;
        }
        let Some((n_expert, _)) = self.config.experts else {
            return DENSE_FFN
                .iter()
                .try_for_each(|rule| self.apply(rule, &source, &target));
        };
        if self.has(&format!("{source}{}", FUSED_ROUTER.source)) {
            self.apply(&FUSED_ROUTER, &source, &target)?;
            self.fused_experts(&source, &target, u64::from(n_expert))
        } else {
            self.apply(&ROUTER, &source, &target)?;
            self.separate_experts(&source, &target, n_expert)
        }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.checkpoint.tensors.contains_key(name)
    }

    /// One checkpoint tensor that becomes one GGUF tensor.
    pub(super) fn apply(
        &mut self,
        rule: &Rule,
        source: &str,
        target: &str,
    ) -> Result<(), TensorError> {
        let name = format!("{source}{}", rule.source);
        if rule.optional && !self.has(&name) {
            return Ok(());
        }
        let shape: Vec<u64> = rule.shape.iter().map(|&d| self.len(d)).collect();
        let tensor = self.take(&name, &shape, rule.shape)?;
        // A permuted vector is a column: its "rows" are single numbers.
        let rows = if rule.rotary || shape.len() > 1 {
            shape[0]
        } else {
            1
        };
        let order = match rule.rotary {
            true => RowOrder::Rotary {
                head_rows: u64::from(self.config.head_dim),
            },
            false => RowOrder::AsIs,
        };
        let parts = vec![self.part(&name, tensor, 0, rows, rows)?];
        let dims = shape.into_iter().rev().collect();
        let data = TensorData::Rows { parts, order };
        self.push(format!("{target}{}", rule.target), dims, data);
        Ok(())
    }

    /// Adds a tensor of the GGUF.
    pub(super) fn push(&mut self, name: String, dims: Vec<u64>, data: TensorData) {
        self.out.push(ModelTensor::of_checkpoint(name, dims, data));
    }

    /// `experts.E.w1` … of every expert E, stacked.
    fn separate_experts(
        &mut self,
        source: &str,
        target: &str,
        n_expert: u32,
    ) -> Result<(), TensorError> {
        for rule in EXPERTS {
            let shape: Vec<u64> = rule.shape.iter().map(|&d| self.len(d)).collect();
            let mut parts = Vec::new();
            for expert in 0..n_expert {
                let weight = rule.source;
                let name = format!("{source}block_sparse_moe.experts.{expert}.{weight}.weight");
                let tensor = self.take(&name, &shape, rule.shape)?;
                parts.push(self.part(&name, tensor, 0, shape[0], shape[0])?);
            }
            self.push_experts(target, rule, &shape, parts);
        }
        Ok(())
    }

    /// `experts.gate_up_proj` [expert, 2·ff, embd], in which w1 stands before w3, and
    /// `experts.down_proj` [expert, embd, ff].
    fn fused_experts(
        &mut self,
        source: &str,
        target: &str,
        n_expert: u64,
    ) -> Result<(), TensorError> {
        let (embd, ff) = (self.len(Embd), self.len(Ff));
        let gate_up_name = format!("{source}mlp.experts.gate_up_proj");
        let gate_up = self.take(
            &gate_up_name,
            &[n_expert, 2 * ff, embd],
            &[Expert, Ff, Embd],
        )?;
        let down_name = format!("{source}mlp.experts.down_proj");
        let down = self.take(&down_name, &[n_expert, embd, ff], &[Expert, Embd, Ff])?;
        for rule in EXPERTS {
            let shape: Vec<u64> = rule.shape.iter().map(|&d| self.len(d)).collect();
            let (name, tensor, stride, first) = match rule.source {
                "w1" => (&gate_up_name, gate_up, 2 * ff, 0),
                "w3" => (&gate_up_name, gate_up, 2 * ff, ff),
                _ => (&down_name, down, embd, 0),
            };
            let parts = (0..n_expert)
                .map(|e| {
                    self.part(
                        name,
                        tensor,
                        e * stride + first,
                        shape[0],
                        n_expert * stride,
                    )
                })
                .collect::<Result<_, _>>()?;
            self.push_experts(target, rule, &shape, parts);
        }
        Ok(())
    }

    fn push_experts(&mut self, target: &str, rule: &Rule, shape: &[u64], parts: Vec<Part>) {
        let [rows, cols] = *shape else { return };
        let dims = vec![cols, rows, parts.len() as u64];
        let data = TensorData::Rows {
            parts,
            order: RowOrder::AsIs,
        };
        self.push(format!("{target}{}", rule.target), dims, data);
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
                hint: shape_hint(expected, &tensor.shape, dims),
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
        let row_bytes = (tensor.bytes.end - tensor.bytes.start) / total_rows;
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

    fn len(&self, dim: Dim) -> u64 {
        let c = self.config;
        match dim {
            Embd => c.n_embd.into(),
            Ff => c.n_ff.into(),
            Q => c.n_embd_q(),
            Kv => c.n_embd_kv(),
            Vocab => c.n_vocab.into(),
            Expert => c.experts.map_or(0, |(n, _)| n.into()),
        }
    }
}

/// The keys of config.json that the lengths which differ hang on.
fn shape_hint(expected: &[u64], found: &[u64], dims: &[Dim]) -> String {
    if expected.len() != found.len() {
        return String::new();
    }
    let differ = std::iter::zip(expected, found).map(|(a, b)| a != b);
    let keys: Vec<&str> = std::iter::zip(dims, differ)
        .filter(|(_, differs)| *differs)
        .map(|(dim, _)| dim.keys())
        .collect();
    format!(" by {}", keys.join(" and "))
}

pub(super) fn shard_name(checkpoint: &Checkpoint, tensor: &SourceTensor) -> String {
    checkpoint.shards[tensor.shard].path().display().to_string()
}
