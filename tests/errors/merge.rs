//! Errors of `src/merge`.

use super::Section;

pub(super) fn errors(_list: &mut Section) {}
