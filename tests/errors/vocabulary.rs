//! Errors of `src/model/vocabulary`.

use super::Section;

pub(super) fn errors(_list: &mut Section) {}
