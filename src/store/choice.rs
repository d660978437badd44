//! The file type that is taken where none is asked for: the largest that fits.

use crate::file_type::FileType;

/// The types that are chosen from, the largest first.
pub const TYPES: [FileType; 7] = [
    FileType::Q8_0,
    FileType::Q6_K,
    FileType::Q5_K_M,
    FileType::Q4_K_M,
    FileType::Q4_K_S,
    FileType::Q3_K_M,
    FileType::Q2_K,
];

/// The one that is taken where none fits.
pub const SMALLEST: FileType = FileType::Q2_K;

/// The types in the order in which they are tried: first those that the source has been converted to
/// before, or half, because free memory goes up and down a little, and a conversion takes its time;
/// the largest first.
pub fn order(before: &[FileType]) -> Vec<FileType> {
    let was = |ty: &FileType| before.contains(ty);
    let mut order: Vec<FileType> = TYPES.into_iter().filter(was).collect();
    order.extend(TYPES.into_iter().filter(|ty| !was(ty)));
    // The last one is taken though it does not fit.
    order.push(SMALLEST);
    order.dedup();
    order
}
