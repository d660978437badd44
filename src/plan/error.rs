//! Why there is no plan.

use swallow_quant::GgmlType;

use crate::{
    file_type::FileType, gguf::LayoutError, imatrix::ImatrixError, mix::SlowPattern,
    model::OverrideError,
};

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// A tensor cannot be in a GGUF as it should be.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// A key cannot be overridden.
    #[error(transparent)]
    Override(#[from] OverrideError),
    /// A pattern takes too long.
    #[error(transparent)]
    Pattern(#[from] SlowPattern),
    /// The file type is only good with an importance matrix.
    #[error(
        "tensor `{tensor}` as {ty} needs an importance matrix in a {file_type} file, and {has}: give one with `--imatrix`, or choose another file type"
    )]
    NeedsImportanceMatrix {
        /// The first such tensor.
        tensor: String,
        /// The type it would have.
        ty: GgmlType,
        /// The file type asked for.
        file_type: FileType,
        /// What there is.
        has: &'static str,
    },
    /// The importance matrix is not this model's.
    #[error(transparent)]
    Imatrix(#[from] ImatrixError),
    /// Weights would be quantized a second time.
    #[error(
        "tensor `{tensor}` is quantized already, to {from}, and would become {to}: start from F16, BF16 or F32 weights, or allow the loss with `--allow-requantize`"
    )]
    Requantize {
        /// The first such tensor.
        tensor: String,
        /// The type it has.
        from: GgmlType,
        /// The type it would have.
        to: GgmlType,
    },
    /// The weights of a tensor cannot be computed.
    #[error(
        "tensor `{tensor}` is {from}, which we cannot read to make {to} of it: choose a file of another type"
    )]
    NotRead {
        /// The first such tensor.
        tensor: String,
        /// The type it has.
        from: GgmlType,
        /// The type it would have.
        to: GgmlType,
    },
    /// It is no file of llama.cpp's, which choose types by their number of layers.
    #[error(
        "there is no `{key}`, which the mix of {file_type} is chosen by: `--pure` makes every matrix {ty}"
    )]
    UnknownMix {
        /// The file type asked for.
        file_type: FileType,
        /// The key that is missing.
        key: String,
        /// The file type's own type.
        ty: GgmlType,
    },
    /// The fallback for odd row lengths led to a type we do not write.
    #[error(
        "tensor `{tensor}` has rows of {row} weights and would become {ty}, which is not written yet: choose another type"
    )]
    NotWritten {
        /// The tensor.
        tensor: String,
        /// Its row length.
        row: u64,
        /// The type it would have.
        ty: GgmlType,
    },
}
