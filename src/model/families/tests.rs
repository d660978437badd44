//! The registry as a whole.

use super::*;

#[test]
fn classes_and_names_are_unique() {
    let mut classes: Vec<&str> = ALL
        .iter()
        .flat_map(|family| family.classes)
        .copied()
        .collect();
    let n = classes.len();
    classes.sort_unstable();
    classes.dedup();
    assert_eq!(classes.len(), n);
    let mut names: Vec<&str> = ALL.iter().map(|family| family.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), ALL.len());
}
