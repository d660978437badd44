//! The file type that nobody has asked for: chosen by what the plan of each comes to.

use std::fmt;

use super::{ConversionPlan, PlanError, Wishes};
use crate::{file_type::FileType, gguf::KeyValues, model::ModelTensor};

/// File types to choose from by what they make of a model.
#[derive(Clone, Copy)]
pub struct Fitting<'a> {
    /// The types, the one that is wanted most first. Never empty.
    pub types: &'a [FileType],
    /// Whether what is planned will do.
    pub fits: &'a dyn Fn(&ConversionPlan) -> bool,
}

impl fmt::Debug for Fitting<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Fitting").field(&self.types).finish()
    }
}

impl ConversionPlan {
    /// As [`ConversionPlan::new`], with the first of the file types that fits in the place of the one
    /// wished for; where none does, with the last.
    ///
    /// # Errors
    /// As [`ConversionPlan::new`].
    pub fn fitting(
        tensors: Vec<ModelTensor>,
        key_values: KeyValues,
        wishes: &Wishes,
        fitting: &Fitting<'_>,
    ) -> Result<Self, PlanError> {
        let with = |file_type| Wishes {
            file_type,
            ..wishes.clone()
        };
        let Some((last, others)) = fitting.types.split_last() else {
            return Self::new(tensors, key_values, wishes);
        };
        for ty in others {
            let plan = Self::new(tensors.clone(), key_values.clone(), &with(*ty))?;
            if (fitting.fits)(&plan) {
                return Ok(plan);
            }
        }
        Self::new(tensors, key_values, &with(*last))
    }
}
