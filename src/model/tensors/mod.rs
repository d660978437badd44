//! Tensors of the GGUF and where their weights come from. For a checkpoint: Hugging Face tensor
//! names → GGUF tensors by the table of its architecture.

mod count;
mod edit;
mod error;
mod gguf;
mod hints;
mod mapper;
mod names;
mod needed;
mod skip;
mod zero;

pub use count::{ParameterCount, count_parameters};
pub use edit::{Edit, Noise};
pub use error::TensorError;
pub use gguf::of_gguf;
use mapper::Mapper;
use names::Names;
pub(crate) use needed::{family_of_gguf, of_family};
pub use skip::{BrokenSkipPattern, SkipPattern, leave_out};
use swallow_quant::GgmlType;

use super::{ConfigError, config::ModelConfig};
use crate::{gguf::shown, source::Checkpoint};

/// A tensor of the GGUF and where its weights come from.
#[derive(Clone, Debug)]
pub struct ModelTensor {
    /// Name in the GGUF, for example `blk.0.ffn_gate_exps.weight`.
    pub name: String,
    /// Dimensions in ggml's order: the row length first.
    pub dims: Vec<u64>,
    /// The type of a tensor that is not quantized. For a checkpoint, what llama.cpp's converter
    /// writes: F32 for vectors, norms and routers, else the weights' own format, and F32 where
    /// that differs between parts. For a GGUF, the type it has there.
    pub stored: GgmlType,
    /// The weights.
    pub data: TensorData,
}

/// What the names of matrices end with that llama.cpp's converter writes as F32 whatever they are: norms,
/// routers, small convolutions, embeddings of positions. So it does with all that is no `.weight`.
const KEPT_F32: [&str; 7] = [
    "_norm.weight",
    "ffn_gate_inp.weight",
    "ffn_gate_inp_shexp.weight",
    "ssm_conv1d.weight",
    "shortconv.conv.weight",
    "position_embd.weight",
    "token_types.weight",
];

impl ModelTensor {
    /// A tensor of a checkpoint. Vectors, norms and routers are stored as F32, whatever they are there.
    pub fn of_checkpoint(name: String, dims: Vec<u64>, data: TensorData) -> Self {
        let is_f32 = dims.len() < 2
            || !name.ends_with(".weight")
            || KEPT_F32.iter().any(|end| name.ends_with(end));
        let stored = match is_f32 {
            true => GgmlType::F32,
            false => data.ggml_type(),
        };
        Self {
            name,
            dims,
            stored,
            data,
        }
    }
}

/// Where a tensor's weights come from.
#[derive(Clone, Debug)]
pub enum TensorData {
    /// Rows of the checkpoint: the parts one after the other, all with rows of the same length.
    Rows {
        /// The pieces, in the order of the output.
        parts: Vec<Part>,
        /// Order of the rows within each part.
        order: RowOrder,
    },
    /// Values that follow from config.json, and the gates of a merge.
    Computed(Vec<f32>),
}

impl TensorData {
    /// The ggml type that holds the weights as they are: F32 where the parts differ.
    pub fn ggml_type(&self) -> GgmlType {
        match self {
            Self::Computed(_) => GgmlType::F32,
            Self::Rows { parts, .. } => match parts.split_first() {
                Some((first, rest)) if rest.iter().all(|p| p.edited() == first.edited()) => {
                    first.edited()
                }
                _ => GgmlType::F32,
            },
        }
    }
}

/// Consecutive rows of one tensor of the source.
#[derive(Clone, Debug)]
pub struct Part {
    /// Name in the source.
    pub tensor: String,
    /// Shape of the whole tensor there, outermost dimension first, for messages.
    pub shape: Vec<u64>,
    /// Type of the weights.
    pub ty: GgmlType,
    /// Index into the source's files.
    pub shard: usize,
    /// First byte in the shard's file.
    pub offset: u64,
    /// First row within the source's tensor, for messages.
    pub first_row: u64,
    /// Number of rows.
    pub rows: u64,
    /// What is done to the weights when they are read; only in a merge.
    pub edit: Option<Edit>,
}

impl Part {
    /// Type of the weights once they are edited.
    pub fn edited(&self) -> GgmlType {
        let edit = self.edit.as_ref();
        edit.map_or(self.ty, |edit| edit.dtype().ggml_type())
    }
}

/// In which order the rows of a part are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowOrder {
    /// As they stand.
    AsIs,
    /// Within each head, the rows of the first and the second half alternate: transformers turns
    /// the halves of a head against each other, llama.cpp neighbouring rows.
    Rotary {
        /// Rows of one head.
        head_rows: u64,
    },
}

impl RowOrder {
    /// The row of the checkpoint that becomes row `row` of the output.
    pub fn source_row(self, row: u64) -> u64 {
        match self {
            Self::AsIs => row,
            Self::Rotary { head_rows } => {
                let (head, within) = (row / head_rows, row % head_rows);
                head * head_rows + within % 2 * (head_rows / 2) + within / 2
            }
        }
    }
}

/// Lists the tensors of the GGUF, in the order of the table. Every tensor of the checkpoint is
/// used or refused, but for the rotary frequencies that old checkpoints carry along, and what was left
/// out by hand.
///
/// # Errors
/// When a tensor is missing, unknown, or of the wrong shape or type.
pub fn map(config: &ModelConfig, checkpoint: &Checkpoint) -> Result<Vec<ModelTensor>, TensorError> {
    let mut mapper = Mapper::new(config, checkpoint);
    mapper.outer()?;
    mapper.out.extend(computed(config)?);
    for layer in 0..config.n_layer {
        mapper.layer(layer)?;
    }
    let left_out = config.architecture.left_out;
    require_whole(left_out, checkpoint)?;
    let used = &mapper.used;
    let ends = config.architecture.zero;
    let is_zero = |name: &str| !used.contains(name) && ends.iter().any(|end| name.ends_with(end));
    for (name, tensor) in &checkpoint.tensors {
        if is_zero(name) {
            zero::check(checkpoint, name, tensor)?;
        }
    }
    let leftover = |name: &str| {
        !used.contains(name)
            && !is_zero(name)
            && !name.ends_with("rotary_emb.inv_freq")
            && !left_out.iter().any(|piece| name.contains(piece))
    };
    let mut leftovers = checkpoint.tensors.iter().filter(|(name, _)| leftover(name));
    if let Some((name, tensor)) = leftovers.next() {
        return Err(TensorError::Unknown {
            tensor: shown(name),
            path: mapper::shard_name(checkpoint, tensor),
            family: config.architecture.name,
            others: leftovers.count(),
            hint: mapper.unknown_hint(name),
        });
    }
    Ok(mapper.out)
}

/// The tensors that follow from config.json.
///
/// # Errors
/// When a list in it is of the wrong length.
pub fn computed(config: &ModelConfig) -> Result<Vec<ModelTensor>, ConfigError> {
    let mut out = Vec::new();
    for computed in config.architecture.computed {
        for (name, values) in computed.tensors(config)? {
            let dims = vec![values.len() as u64];
            let data = TensorData::Computed(values);
            out.push(ModelTensor::of_checkpoint(name.into(), dims, data));
        }
    }
    Ok(out)
}

/// Fails where some of the pieces of a part that is left out are found in the names, and some are not.
fn require_whole(
    pieces: &'static [&'static str],
    checkpoint: &Checkpoint,
) -> Result<(), TensorError> {
    let first_of = |piece: &&str| {
        let mut tensors = checkpoint.tensors.iter();
        tensors.find(|(name, _)| name.contains(*piece))
    };
    let there = pieces.iter().find_map(first_of);
    let missing = pieces.iter().find(|piece| first_of(piece).is_none());
    match (there, missing) {
        (Some((name, tensor)), Some(missing)) => Err(TensorError::Half {
            tensor: shown(name),
            path: mapper::shard_name(checkpoint, tensor),
            pieces: pieces.join("|"),
            missing,
        }),
        _ => Ok(()),
    }
}

/// The name of a checkpoint's token embedding.
pub fn embedding_name(config: &ModelConfig, checkpoint: &Checkpoint) -> String {
    let rules = &config.architecture.names;
    let model = Names::of(rules, &checkpoint.tensors).model;
    format!("{model}{}", rules.embedding)
}

#[cfg(test)]
mod tests {
    use super::RowOrder;

    #[test]
    fn rotary_order_is_reshape_swap_reshape() {
        // PARITY: rows reshaped to (head, 2, half), axes 1 and 2 swapped.
        let (n_head, half) = (3, 4);
        let order = RowOrder::Rotary {
            head_rows: 2 * half,
        };
        let mut expected = Vec::new();
        for head in 0..n_head {
            for i in 0..half {
                for j in 0..2 {
                    expected.push(head * 2 * half + j * half + i);
                }
            }
        }
        let found: Vec<u64> = (0..n_head * 2 * half)
            .map(|r| order.source_row(r))
            .collect();
        assert_eq!(found, expected);
    }
}
