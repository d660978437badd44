//! Errors of `src/hub`.

use super::Section;

pub(super) fn errors(_list: &mut Section) {}
