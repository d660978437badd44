//! What llama.cpp's CPU backend copies in another order for its kernels.

use swallow_quant::GgmlType;

use super::shape::Tensor;

/// The kernels for repacked weights that a build has for the CPU it runs on, by what they need of it.
/// The names are those of ggml's `ggml_cpu_has_…`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Repacking {
    /// AVX2.
    pub avx2: bool,
    /// AVX-512.
    pub avx512: bool,
    /// NEON with dot products.
    pub neon_dotprod: bool,
    /// NEON with products of 8-bit matrices.
    pub neon_i8mm: bool,
}

impl Repacking {
    /// Nothing is repacked.
    pub const NONE: Self = Self {
        avx2: false,
        avx512: false,
        neon_dotprod: false,
        neon_i8mm: false,
    };

    /// Whether a tensor is: its type has a kernel, and its rows can be taken so many at a time.
    pub(super) fn repacks(self, tensor: &Tensor) -> bool {
        let rows = tensor.dims.get(1).copied().unwrap_or(1);
        let is_matrix = tensor.dims.len() == if tensor.is_expert { 3 } else { 2 };
        tensor.is_multiplied
            && is_matrix
            && self
                .rows_at_once(tensor.ty)
                .is_some_and(|n| rows.is_multiple_of(n))
    }

    /// Whether the kernel is worth its copy of the weights. Not that of Q4_K on AVX2: measured on two cores with
    /// a mixture of the target's shape it reads prompts 0.75 times as fast and answers 1.06 times, where that of
    /// Q4_0 does 1.12 and 1.23 times on a dense model (`bench run --repack on`, `off`).
    pub(super) fn is_faster(self, ty: GgmlType) -> bool {
        ty != GgmlType::Q4_K || !self.avx2
    }

    /// Rows that lie interleaved, as `ggml_repack_get_optimal_repack_type` has it.
    fn rows_at_once(self, ty: GgmlType) -> Option<u64> {
        let neon = self.neon_dotprod || self.neon_i8mm;
        match ty {
            GgmlType::Q4_K if self.avx2 || neon => Some(8),
            GgmlType::Q4_0 | GgmlType::IQ4_NL | GgmlType::MXFP4 if self.avx2 => Some(8),
            GgmlType::Q4_0 if neon => Some(4),
            GgmlType::IQ4_NL | GgmlType::MXFP4 if self.neon_dotprod => Some(4),
            GgmlType::Q2_K if self.avx512 => Some(8),
            GgmlType::Q5_K | GgmlType::Q6_K if neon => Some(8),
            GgmlType::Q8_0 if neon => Some(4),
            _ => None,
        }
    }
}
