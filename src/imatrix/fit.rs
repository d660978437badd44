//! Whether an importance matrix is that of a model.

use std::ops::Range;

use swallow_quant::GgmlType;

use super::{Imatrix, ImatrixError};
use crate::{
    gguf::{TensorInfo, escape},
    mix::is_token_embd,
};

/// How the entry of a tensor fits the tensor.
#[derive(Clone, Debug, PartialEq)]
pub enum Fit<'a> {
    /// There is no entry.
    Missing,
    /// The entry is of another shape. Such a tensor's own entry cannot be used.
    WrongLength {
        /// Values that the tensor needs: one for each column of each expert.
        expected: u64,
        /// Values that the entry has.
        found: u64,
    },
    /// The entry fits.
    Fits {
        /// The importance of each column of each expert, expert after expert.
        importance: &'a [f32],
        /// The experts, counted from 0, that no token has reached. A matrix that is no stack is
        /// expert 0.
        unseen: Vec<usize>,
    },
}

impl Imatrix {
    /// How the entry of `tensor`, whose dimensions are `dims` (row length first, experts third),
    /// fits it.
    pub fn fit(&self, tensor: &str, dims: &[u64]) -> Fit<'_> {
        let Some(importance) = self.get(tensor) else {
            return Fit::Missing;
        };
        let (columns, experts) = columns_and_experts(dims);
        let (expected, found) = (columns.saturating_mul(experts), importance.len() as u64);
        if found != expected {
            return Fit::WrongLength { expected, found };
        }
        let all_one = |importance: &[f32]| importance.iter().all(|value| *value == 1.0);
        // Not 0, for the entry has values.
        let by_expert = importance.chunks(columns as usize).enumerate();
        let unseen = by_expert.filter(|(_, i)| all_one(i)).map(|(e, _)| e);
        Fit::Fits {
            importance,
            unseen: unseen.collect(),
        }
    }

    /// The importance that `tensor` is quantized with, `None` where it is quantized without one.
    pub fn importance(&self, tensor: &str, dims: &[u64]) -> Option<&[f32]> {
        match self.fit(tensor, dims) {
            Fit::Fits { importance, .. } => Some(importance),
            Fit::Missing | Fit::WrongLength { .. } => None,
        }
    }

    /// Holds the matrix against the tensors of a file to be written, and returns a line for each
    /// kind of thing that should be known: tensors without an entry, experts that no token has
    /// reached, columns with no importance but 0, entries without a tensor. Only tensors of types that
    /// importance changes need entries.
    ///
    /// # Errors
    /// Where no tensor has an entry; and where an entry is of another length than its tensor needs,
    /// but for the embeddings', which are let go as in llama.cpp.
    pub fn check(&self, tensors: &[TensorInfo]) -> Result<Vec<String>, ImatrixError> {
        let is_there = |name: &str| tensors.iter().any(|tensor| tensor.name == name);
        let unknown: Vec<&str> = self.tensors().filter(|name| !is_there(name)).collect();
        if let (Some(tensor), Some(has)) = (tensors.last(), unknown.first())
            && unknown.len() == self.len()
        {
            return Err(ImatrixError::OtherModel {
                path: self.file.clone(),
                has: escape(has.as_bytes()),
                wanted: tensor.name.clone(),
            });
        }

        let (mut missing, mut unseen, mut notes) = (Vec::new(), Vec::new(), Vec::new());
        let (mut zeros, mut known) = (Vec::new(), 0);
        for tensor in tensors {
            let is_weighed = is_weighed(tensor.ty);
            match self.fit(&tensor.name, &tensor.dims) {
                Fit::Missing if is_weighed => missing.push(tensor.name.clone()),
                Fit::WrongLength { expected, found } if is_token_embd(&tensor.name) => {
                    notes.push(format!(
                        "`{}` is quantized without importance: the matrix has {found} values for \
                         it, expected {expected}",
                        tensor.name
                    ));
                }
                Fit::WrongLength { expected, found } => {
                    return Err(self.wrong_length(tensor, expected, found));
                }
                Fit::Fits {
                    importance,
                    unseen: experts,
                } if is_weighed => {
                    if !experts.is_empty() {
                        unseen.push(format!("{} ({})", tensor.name, listed(&experts)));
                    }
                    let of_tensor = Zeros::of(tensor, importance);
                    known += usize::from(!of_tensor.is_all);
                    if let Some(places) = of_tensor.places() {
                        zeros.push(format!("{}{places}", tensor.name));
                    }
                }
                Fit::Missing | Fit::Fits { .. } => {}
            }
        }
        if known == 0 && !zeros.is_empty() {
            notes.push(
                "the importance matrix has nothing but zeros for this model, which is quantized as \
                 without one"
                    .to_owned(),
            );
            zeros.clear();
        }
        let unknown = unknown.iter().map(|name| escape(name.as_bytes()));
        for (what, names) in [
            (
                "quantized without importance, for the matrix has no entry",
                missing,
            ),
            (
                "no token has reached these experts, so their columns count alike",
                unseen,
            ),
            (
                "quantized as without a matrix, for all importances are 0",
                zeros,
            ),
            (
                "entries of the importance matrix without a tensor",
                unknown.collect(),
            ),
        ] {
            if !names.is_empty() {
                notes.push(format!("{what}: {}", listed(&names)));
            }
        }
        Ok(notes)
    }

    fn wrong_length(&self, tensor: &TensorInfo, expected: u64, found: u64) -> ImatrixError {
        let (columns, experts) = columns_and_experts(&tensor.dims);
        ImatrixError::WrongLength {
            path: self.file.clone(),
            tensor: tensor.name.clone(),
            found,
            expected,
            columns,
            experts,
        }
    }
}

/// Where a tensor's importances are nothing but 0.
struct Zeros {
    experts: Vec<usize>,
    /// Columns of other experts; more than whole experts only where a search has nothing else.
    columns: Vec<(usize, Range<usize>)>,
    is_stack: bool,
    is_all: bool,
}

impl Zeros {
    fn of(tensor: &TensorInfo, importance: &[f32]) -> Self {
        let (columns, experts) = columns_and_experts(&tensor.dims);
        let mut zeros = Self {
            experts: Vec::new(),
            columns: Vec::new(),
            is_stack: experts > 1,
            is_all: false,
        };
        let columns = columns as usize;
        for (expert, importance) in importance.chunks(columns).enumerate() {
            for run in swallow_quant::columns_without_importance(tensor.ty, importance) {
                match run.len() == columns {
                    true => zeros.experts.push(expert),
                    false => zeros.columns.push((expert, run)),
                }
            }
        }
        zeros.is_all = zeros.experts.len() as u64 == experts;
        zeros
    }

    /// In brackets; nothing where it is the whole tensor, `None` where it is no place.
    fn places(&self) -> Option<String> {
        if self.is_all {
            return Some(String::new());
        }
        let experts = match self.experts.len() {
            0 => None,
            1 => Some(format!("expert {}", self.experts[0])),
            _ => Some(format!("experts {}", listed(&self.experts))),
        };
        let columns = self.columns.iter().map(|(expert, run)| {
            let run = format!("columns {} to {}", run.start, run.end - 1);
            match self.is_stack {
                true => format!("{run} of expert {expert}"),
                false => run,
            }
        });
        let places: Vec<String> = experts.into_iter().chain(columns).collect();
        (!places.is_empty()).then(|| format!(" ({})", places.join("; ")))
    }
}

/// How many are listed: a large model has thousands of experts.
const MAX_LISTED: usize = 12;

/// The first of them, and how many more there are.
fn listed<T: ToString>(all: &[T]) -> String {
    let first: Vec<String> = all.iter().take(MAX_LISTED).map(T::to_string).collect();
    let first = first.join(", ");
    match all.len().saturating_sub(MAX_LISTED) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

/// Whether importance changes the blocks of this type. Q8_0 has one scale in a block, which is not
/// searched for.
fn is_weighed(ty: GgmlType) -> bool {
    ty.is_quantized() && ty != GgmlType::Q8_0
}

/// The row length, and how many matrices are stacked.
fn columns_and_experts(dims: &[u64]) -> (u64, u64) {
    let dim = |i: usize| dims.get(i).copied().unwrap_or(1);
    (dim(0), dim(2))
}
