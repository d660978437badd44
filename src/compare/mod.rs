//! Two files, or a file and the checkpoint it was made from, held against each other.
//!
//! [`diff()`] tells what differs between two GGUF files, [`verify()`] whether one is whole and how
//! far its weights are from their source. Both read a chunk at a time on all cores, so memory does
//! not depend on the size of a file, and sum up in the order of the file, so the figures do not
//! depend on the number of threads.

mod deviation;
mod diff;
mod error;
mod file;
mod verify;

pub use deviation::Deviation;
pub use diff::{BlockDiff, DataDiff, Diff, KeyDiff, Sides, TensorDiff, diff};
pub use error::CompareError;
pub use verify::{
    Against, BadBlock, Constant, EqualExperts, Fidelity, Lost, Reference, Soundness,
    TensorFidelity, Unmatched, Verification, verify,
};
