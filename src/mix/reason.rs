//! Why a tensor has its type.

use std::{fmt, sync::Arc};

use swallow_quant::GgmlType;

use crate::file_type::FileType;

/// The rule that gave a tensor its type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// No file type at all: the format that a checkpoint is written in.
    Checkpoint,
    /// Vectors are never quantized.
    Vector,
    /// Norms are never quantized.
    Norm,
    /// The router is never quantized: it decides which expert speaks.
    Router,
    /// llama.cpp never quantizes it.
    Untouched,
    /// The user asked for it: the option, as it could be typed.
    Knob(Arc<str>),
    /// The file type's own type.
    FileType(FileType),
    /// The file type's own type, because the user wants no mix.
    Pure(FileType),
    /// The mix gives the output matrix more bits.
    Output,
    /// The mix gives the token embedding more bits: it is the output matrix too.
    TiedOutput,
    /// The mix gives this tensor more bits in this layer.
    MoreBits(FileType),
    /// The mix gives tensors of this kind more bits in every layer.
    Sensitive(FileType),
    /// Few key and value heads make the tensor small and its errors large.
    FewKvHeads,
    /// With eight experts, attention is a small share of the file.
    EightExperts,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Checkpoint => f.write_str("the checkpoint's format"),
            Self::Vector => f.write_str("vectors stay as they are"),
            Self::Norm => f.write_str("norms stay as they are"),
            Self::Router => f.write_str("the router stays as it is"),
            Self::Untouched => f.write_str("never quantized"),
            Self::Knob(option) => f.write_str(option),
            Self::FileType(t) => write!(f, "{t}"),
            Self::Pure(t) => write!(f, "{t} --pure"),
            Self::Output => f.write_str("more bits for the output"),
            Self::TiedOutput => f.write_str("more bits: embedding and output in one"),
            Self::MoreBits(t) => write!(f, "{t}: more bits in this layer"),
            Self::Sensitive(t) => write!(f, "{t}: more bits for this kind of tensor"),
            Self::FewKvHeads => f.write_str("more bits: few heads share it"),
            Self::EightExperts => f.write_str("more bits: eight experts"),
        }
    }
}

/// The type of a tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The type to write.
    pub ty: GgmlType,
    /// Which rule chose it.
    pub reason: Reason,
    /// The type that rule wanted, where the row length does not allow it.
    pub fell_back_from: Option<GgmlType>,
}

impl Choice {
    /// What a rule wants, whatever the row length.
    pub(super) fn exactly(ty: GgmlType, reason: Reason) -> Self {
        Self {
            ty,
            reason,
            fell_back_from: None,
        }
    }

    /// What a rule wants, or the nearest type that rows of `row` weights can have.
    pub(super) fn fitted(wanted: GgmlType, reason: Reason, row: u64) -> Self {
        let ty = fit_row(wanted, row);
        Self {
            ty,
            reason,
            fell_back_from: (ty != wanted).then_some(wanted),
        }
    }
}

/// The type that takes the place of `ty` where a row of `len` weights is no multiple of its block.
pub(super) fn fit_row(ty: GgmlType, len: u64) -> GgmlType {
    use GgmlType::*;
    let fits = |t: GgmlType| len.is_multiple_of(t.block_len() as u64);
    if fits(ty) {
        return ty;
    }
    let smaller = match ty {
        Q2_K | Q3_K => Q4_0,
        Q4_K => Q5_0,
        Q5_K => Q5_1,
        Q6_K => Q8_0,
        IQ4_XS => IQ4_NL,
        other => other,
    };
    if fits(smaller) { smaller } else { F16 }
}
