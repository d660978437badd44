//! Whether a GGUF file is whole, and how far its weights are from the checkpoint's.

mod against;
mod json;
mod sample;
mod text;

use std::path::{Path, PathBuf};

use rayon::prelude::*;
use swallow_quant::{GgmlType, can_dequantize};

use super::{
    CompareError, Deviation,
    file::{self, WeightFile, dequantize},
};
use crate::{
    convert::CheckpointSource,
    gguf::{FormatError, ReadError, TensorInfo},
};

/// What was found in a file.
#[derive(Debug)]
pub struct Verification {
    /// The file.
    pub file: PathBuf,
    /// What its weights are, or what is wrong with its structure.
    pub structure: Result<Soundness, FormatError>,
    /// The comparison with a checkpoint, where one was asked for and the structure is right.
    pub against: Option<Against>,
}

/// The weights of a file whose structure is right.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Soundness {
    /// Bytes of the file.
    pub file_bytes: u64,
    /// Key-values in the file.
    pub key_values: usize,
    /// Tensors in the file.
    pub tensors: usize,
    /// Weights that were computed.
    pub weights: u64,
    /// Tensors with weights that are not finite, in the order of the file.
    pub not_finite: Vec<BadBlock>,
    /// Tensors whose type cannot be dequantized, so that their weights were not looked at.
    pub not_read: Vec<(String, GgmlType)>,
}

/// A block with a weight that is NaN or infinite: its scales are damaged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadBlock {
    /// The tensor.
    pub tensor: String,
    /// Its type.
    pub ty: GgmlType,
    /// Index of the tensor's first such block.
    pub block: u64,
    /// Blocks of the tensor.
    pub total: u64,
}

/// What to hold a file against.
#[derive(Clone, Debug)]
pub struct Reference {
    /// The checkpoint.
    pub source: CheckpointSource,
    /// Whether a sample of its weights is enough, where they are on the hub.
    pub sample: bool,
}

/// A file held against a checkpoint.
#[derive(Clone, Debug)]
pub struct Against {
    /// The checkpoint.
    pub source: String,
    /// What the user should know of how it was opened, a line each.
    pub notes: Vec<String>,
    /// Weights that were compared.
    pub compared: u64,
    /// Weights of the checkpoint: more than were compared where a sample was enough.
    pub weights: u64,
    /// The tensors that both have, in the order of conversion.
    pub tensors: Vec<TensorFidelity>,
    /// What only one has, or has in another shape.
    pub unmatched: Vec<Unmatched>,
}

/// How true a tensor is to the checkpoint's.
#[derive(Clone, Debug)]
pub struct TensorFidelity {
    /// Name in the GGUF.
    pub name: String,
    /// Type in the GGUF.
    pub ty: GgmlType,
    /// How far the weights are from the checkpoint's, or that the type cannot be dequantized.
    /// Blocks are those of the type.
    pub fidelity: Fidelity,
}

/// See [`TensorFidelity`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fidelity {
    /// How far the weights are from the checkpoint's.
    Measured(Deviation),
    /// The type cannot be dequantized.
    NotRead,
}

/// A tensor that cannot be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unmatched {
    /// The checkpoint has it, the file does not.
    Missing(String),
    /// The file has it, the checkpoint does not.
    Unknown(String),
    /// Both have it, in different shapes (ne order).
    Shape {
        /// Name in the GGUF.
        name: String,
        /// What the checkpoint's would be.
        expected: Vec<u64>,
        /// What the file has.
        found: Vec<u64>,
    },
}

/// Checks the file at `path`: its structure, that every weight is finite, and where `reference` is
/// given, the tensors against that checkpoint's.
///
/// # Errors
/// When there is no such file, it cannot be read, or the checkpoint cannot. What is wrong with the
/// file is a result.
pub fn verify(path: &Path, reference: Option<&Reference>) -> Result<Verification, CompareError> {
    let file = match WeightFile::open(path) {
        Ok(file) => file,
        Err(CompareError::Open(ReadError::Format { source, .. }))
            if !matches!(source, FormatError::Io { .. }) =>
        {
            return Ok(Verification {
                file: path.to_owned(),
                structure: Err(source),
                against: None,
            });
        }
        Err(error) => return Err(error),
    };
    // Opened first, so that a wrong folder is told before gigabytes are read.
    let source = reference.map(against::Source::open).transpose()?;
    let soundness = check_weights(&file)?;
    let against = source.map(|source| source.compare(&file)).transpose()?;
    Ok(Verification {
        file: path.to_owned(),
        structure: Ok(soundness),
        against,
    })
}

impl Verification {
    /// Whether nothing is wrong: the structure is right, every weight is finite, and the tensors
    /// are the checkpoint's.
    pub fn is_well(&self) -> bool {
        let sound = matches!(&self.structure, Ok(soundness) if soundness.not_finite.is_empty());
        let is_true = |against: &Against| {
            against.unmatched.is_empty() && !against.tensors.iter().any(TensorFidelity::is_foreign)
        };
        sound && self.against.as_ref().is_none_or(is_true)
    }
}

impl TensorFidelity {
    /// Whether these are other weights than the checkpoint's: the error is larger than the weights
    /// themselves, which no quantization does, or not a number.
    pub fn is_foreign(&self) -> bool {
        match &self.fidelity {
            Fidelity::Measured(deviation) => deviation.snr_db() < 0.0 || deviation.not_finite > 0,
            Fidelity::NotRead => false,
        }
    }
}

/// Computes every weight of the file and looks whether it is finite.
fn check_weights(file: &WeightFile) -> Result<Soundness, CompareError> {
    let (readable, other): (Vec<&TensorInfo>, Vec<_>) =
        file.gguf.tensors.iter().partition(|t| can_dequantize(t.ty));
    let chunks: Vec<_> = readable
        .iter()
        .flat_map(|&tensor| file::chunks(tensor).map(move |weights| (tensor, weights)))
        .collect();
    let bad: Vec<BadBlock> = chunks
        .par_iter()
        .enumerate()
        .map_init(Default::default, |(bytes, values), (index, chunk)| {
            let (tensor, weights) = chunk;
            if let Some((next, weights)) = chunks.get(index + 1) {
                file.prefetch(next, weights);
            }
            file.read(tensor, weights, bytes)?;
            dequantize(tensor.ty, bytes, values);
            let block_len = tensor.ty.block_len() as u64;
            Ok(swallow_quant::first_non_finite(values).map(|at| BadBlock {
                tensor: tensor.name.clone(),
                ty: tensor.ty,
                block: (weights.start + at as u64) / block_len,
                total: tensor.elements() / block_len,
            }))
        })
        .filter_map(Result::transpose)
        .collect::<Result<_, CompareError>>()?;
    let mut not_finite: Vec<BadBlock> = Vec::new();
    for block in bad {
        // Chunks are in the order of the file: the first of a tensor is its first block.
        if not_finite
            .last()
            .is_none_or(|last| last.tensor != block.tensor)
        {
            not_finite.push(block);
        }
    }
    Ok(Soundness {
        file_bytes: file.gguf.file_len,
        key_values: file.gguf.key_values.len(),
        tensors: file.gguf.tensors.len(),
        weights: readable.iter().map(|tensor| tensor.elements()).sum(),
        not_finite,
        not_read: other.iter().map(|t| (t.name.clone(), t.ty)).collect(),
    })
}
