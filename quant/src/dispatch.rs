//! From an instruction set to the kernels compiled for it.
//!
//! The kernels are generic code that the compiler turns into vector instructions. Which ones it
//! may use is a property of the function it compiles, so there is one function per instruction
//! set, and everything it calls is inlined into it. A call covers a whole run of rows, so
//! the choice costs nothing.

use crate::{GgmlType, Isa, Unsupported, rows};

/// Lanes of a search: two AVX-512 vectors of independent sums hide the latency of an addition.
const LANES: usize = 32;

/// Runs the kernel of `isa`.
///
/// # Panics
/// Where this processor cannot run `isa`.
pub(crate) fn quantize(
    ty: GgmlType,
    isa: Isa,
    src: &[f32],
    dst: &mut [u8],
) -> Result<(), Unsupported> {
    assert!(isa.is_available(), "this processor has no {isa}");
    match isa {
        Isa::Scalar => rows::scalar(ty, src, dst),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the assertion above: the processor has AVX2.
        Isa::Avx2 => unsafe { avx2(ty, src, dst) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the assertion above: the processor has AVX-512 F, BW, DQ and VL.
        Isa::Avx512 => unsafe { avx512(ty, src, dst) },
        _ => baseline(ty, src, dst),
    }
}

fn baseline(ty: GgmlType, src: &[f32], dst: &mut [u8]) -> Result<(), Unsupported> {
    rows::lanes::<LANES>(ty, src, dst)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn avx2(ty: GgmlType, src: &[f32], dst: &mut [u8]) -> Result<(), Unsupported> {
    rows::lanes::<LANES>(ty, src, dst)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
fn avx512(ty: GgmlType, src: &[f32], dst: &mut [u8]) -> Result<(), Unsupported> {
    rows::lanes::<LANES>(ty, src, dst)
}
