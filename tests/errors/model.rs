//! Errors of `src/model`.

use super::Section;

pub(super) fn errors(_list: &mut Section) {}
