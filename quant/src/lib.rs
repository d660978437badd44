//! The ggml block formats: a scalar reference that is plainly right, and lane-parallel kernels
//! that write the same bytes several times as fast.

mod types;

pub use types::GgmlType;
