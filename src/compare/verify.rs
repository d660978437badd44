//! Whether a GGUF file is whole, whether what it says of itself fits what is in it, and how far its
//! weights are from the checkpoint's.
//!
//! Problems and remarks are kept apart. A problem is what no program that writes a model means: a file
//! with one is not well. A remark is on what may be meant and may be a slip, as a model that is merged
//! with itself.

mod against;
mod json;
mod lost;
mod remarks;
mod sample;
mod text;
mod weights;

use std::path::{Path, PathBuf};

use swallow_quant::GgmlType;

use super::{CompareError, Deviation, file::WeightFile};
use crate::{
    convert::CheckpointSource,
    gguf::{FormatError, Gguf, ReadError, file_type_name},
    model::consistency::{self, Mismatch},
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
#[derive(Clone, Debug, Default, PartialEq)]
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
    /// Keys and tensors that do not fit each other; most of them llama.cpp refuses the file for.
    pub mismatches: Vec<Mismatch>,
    /// Matrices, or experts of them, that have one value everywhere: a remark.
    pub constant: Vec<Constant>,
    /// Stacks with experts that are the same: a remark.
    pub equal_experts: Vec<EqualExperts>,
    /// A file type that has no name: a remark.
    pub unknown_file_type: Option<u64>,
}

/// A matrix that has one value everywhere.
#[derive(Clone, Debug, PartialEq)]
pub struct Constant {
    /// The tensor.
    pub tensor: String,
    /// Its type.
    pub ty: GgmlType,
    /// The experts of a stack that have it, counted from 0; empty where it is the whole tensor.
    pub experts: Vec<usize>,
    /// The value; a zero has no sign.
    pub value: f32,
}

/// A stack of experts of which some are the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EqualExperts {
    /// The tensor.
    pub tensor: String,
    /// Experts, counted from 0, that are the same; two or more in each group.
    pub groups: Vec<Vec<usize>>,
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
    /// Blocks that are 0 where the checkpoint's weights are not.
    pub lost: Option<Lost>,
}

/// Blocks of a tensor whose weights are all 0, though the checkpoint's are not, nor too small for the
/// type's scales.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// Index of the first such block.
    pub first: u64,
    /// How many there are.
    pub blocks: u64,
    /// How many blocks were compared.
    pub compared: u64,
    /// The experts of a stack, counted from 0, that are lost whole.
    pub experts: Vec<usize>,
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
    let soundness = soundness(&file)?;
    let against = source.map(|source| source.compare(&file)).transpose()?;
    Ok(Verification {
        file: path.to_owned(),
        structure: Ok(soundness),
        against,
    })
}

impl Verification {
    /// Whether nothing is wrong: the structure is right, keys and tensors fit each other, every weight
    /// is finite, and the tensors are the checkpoint's, none of its weights lost.
    pub fn is_well(&self) -> bool {
        let is_sound = |s: &Soundness| s.not_finite.is_empty() && s.mismatches.is_empty();
        let sound = self.structure.as_ref().is_ok_and(is_sound);
        let is_true = |against: &Against| {
            let is_wrong = |t: &TensorFidelity| t.is_foreign() || t.lost.is_some();
            against.unmatched.is_empty() && !against.tensors.iter().any(is_wrong)
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

fn soundness(file: &WeightFile) -> Result<Soundness, CompareError> {
    let gguf = &file.gguf;
    let weights = weights::check(file)?;
    Ok(Soundness {
        file_bytes: gguf.file_len,
        key_values: gguf.key_values.len(),
        tensors: gguf.tensors.len(),
        weights: weights.count,
        not_finite: weights.not_finite,
        not_read: weights.not_read,
        mismatches: mismatches(gguf),
        constant: weights.constant,
        equal_experts: weights.equal_experts,
        unknown_file_type: gguf
            .get_u64("general.file_type")
            .filter(|id| file_type_name(*id).is_none()),
    })
}

fn mismatches(gguf: &Gguf) -> Vec<Mismatch> {
    let tensors = gguf.tensors.iter();
    let tensors = tensors.map(|tensor| (tensor.name.as_str(), tensor.dims.as_slice()));
    consistency::check(&gguf.key_values, tensors)
}
