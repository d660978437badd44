//! The GGUF of a merge: that of the checkpoint that nobody has written.

use super::{Layout, Merge, MergeError};
use crate::{
    convert::{Conversion, Described, Planner},
    plan::{ConversionPlan, Fitting, Wishes},
};

/// What is asked for of a merge's GGUF.
#[derive(Clone, Debug)]
pub struct MergeWishes {
    /// The file type to write, and what changes it.
    pub wishes: Wishes,
    /// A chat template to embed: the Jinja text.
    pub chat_template: Option<String>,
}

impl Merge {
    /// Plans the GGUF: that of the checkpoint that [`MergedCheckpoint`](super::MergedCheckpoint) writes,
    /// to the byte.
    ///
    /// # Errors
    /// As [`Conversion::of_checkpoint`], and where the small files of the checkpoint, which are read
    /// as any other's, cannot be put into a temporary folder.
    pub fn into_conversion(self, wanted: &MergeWishes) -> Result<Conversion, MergeError> {
        self.conversion_by(wanted, &|tensors, key_values| {
            ConversionPlan::new(tensors, key_values, &wanted.wishes)
        })
    }

    /// As [`Merge::into_conversion`], with the first of some file types that fits.
    ///
    /// # Errors
    /// As [`Merge::into_conversion`].
    pub fn into_conversion_fitting(
        self,
        wanted: &MergeWishes,
        fitting: &Fitting<'_>,
    ) -> Result<Conversion, MergeError> {
        self.conversion_by(wanted, &|tensors, key_values| {
            ConversionPlan::fitting(tensors, key_values, &wanted.wishes, fitting)
        })
    }

    fn conversion_by(
        mut self,
        wanted: &MergeWishes,
        planner: Planner<'_>,
    ) -> Result<Conversion, MergeError> {
        let temporary =
            tempfile::tempdir().map_err(|error| MergeError::write(&std::env::temp_dir(), error))?;
        let dir = temporary.path();
        self.write_small_files(dir, Layout::Separate)?;
        let mut conversion = Conversion::of_described(
            Described {
                source: self.source(),
                inputs: self.inputs(),
                tensors: self.tensors().to_vec(),
                shards: self.take_shards(),
                config: &self.config(Layout::Separate),
                dir,
                origin: None,
            },
            planner,
            wanted.chat_template.clone(),
            self.parents.base().pre,
        )?;
        conversion.origins = self.origins();
        conversion.skipped = self.skipped();
        conversion.notes.splice(0..0, self.notes);
        Ok(conversion)
    }
}
