//! From an instruction set to the code compiled for it.
//!
//! The kernels are generic code that the compiler turns into vector instructions. Which ones it
//! may use is a property of the function it compiles, so there is one function per instruction
//! set, and everything it calls is inlined into it. A call covers a whole run of rows, so
//! the choice costs nothing.

use crate::search::best;
use crate::{GgmlType, Isa, Unsupported, convert, rows, weighted_rows};

/// Lanes of a search: enough independent sums that the latency of an addition is hidden, also
/// where a vector holds 16. Measured with 16, 32 and 64; 32 is within 5 % of the fastest on each
/// instruction set.
const LANES: usize = 32;

/// Whether the target always has an instruction that rounds, see [`crate::rounding::nearest`].
const ROUNDS: bool = cfg!(target_arch = "aarch64");

/// Calls an `#[inline(always)]` function compiled for an instruction set, the scalar one being
/// the caller's business. Where what the target always has asks for another function, that is the
/// second.
///
/// Panics where this processor does not have that instruction set.
macro_rules! call_compiled_for {
    ($isa:expr, $function:path, ($($args:tt)*) $(-> $result:ty)?) => {
        call_compiled_for!($isa, $function, $function, ($($args)*) $(-> $result)?)
    };
    ($isa:expr, $function:path, $plain:path, ($($arg:ident: $ty:ty),*) $(-> $result:ty)?) => {{
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2")]
        fn avx2($($arg: $ty),*) $(-> $result)? {
            $function($($arg),*)
        }
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
        fn avx512($($arg: $ty),*) $(-> $result)? {
            $function($($arg),*)
        }
        // A function of its own, as those above are: where it was part of the caller, some kernels
        // came out of the compiler half as fast.
        fn plain($($arg: $ty),*) $(-> $result)? {
            $plain($($arg),*)
        }
        let isa: Isa = $isa;
        assert!(isa.is_available(), "this processor has no {isa}");
        match isa {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the processor has AVX2, by the assertion above.
            Isa::Avx2 => unsafe { avx2($($arg),*) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the processor has these parts of AVX-512, by the assertion above.
            Isa::Avx512 => unsafe { avx512($($arg),*) },
            _ => plain($($arg),*),
        }
    }};
}

/// Quantizes with the kernel of `isa`.
pub(crate) fn quantize(
    ty: GgmlType,
    isa: Isa,
    src: &[f32],
    dst: &mut [u8],
) -> Result<(), Unsupported> {
    if isa == Isa::Scalar {
        return rows::scalar(ty, src, dst);
    }
    call_compiled_for!(
        isa, rows::lanes::<LANES, true>, rows::lanes::<LANES, ROUNDS>,
        (ty: GgmlType, src: &[f32], dst: &mut [u8]) -> Result<(), Unsupported>
    )
}

/// Quantizes with the kernel of `isa` for columns of an importance, which is not empty.
pub(crate) fn quantize_with_importance(
    ty: GgmlType,
    isa: Isa,
    importance: &[f32],
    src: &[f32],
    dst: &mut [u8],
) -> Result<(), Unsupported> {
    if isa == Isa::Scalar {
        return weighted_rows::scalar::quantize(ty, importance, src, dst);
    }
    call_compiled_for!(
        isa, weighted_rows::lanes::quantize::<LANES, true>,
        weighted_rows::lanes::quantize::<LANES, ROUNDS>,
        (ty: GgmlType, importance: &[f32], src: &[f32], dst: &mut [u8]) -> Result<(), Unsupported>
    )
}

/// Makes blocks better with the kernel of `isa`, see [`best::rows`].
pub(crate) fn improve(
    ty: GgmlType,
    isa: Isa,
    importance: Option<&[f32]>,
    src: &[f32],
    dst: &mut [u8],
) {
    if isa == Isa::Scalar {
        return best::rows::scalar(ty, importance, src, dst);
    }
    call_compiled_for!(
        isa, best::rows::lanes::<true>, best::rows::lanes::<ROUNDS>,
        (ty: GgmlType, importance: Option<&[f32]>, src: &[f32], dst: &mut [u8])
    )
}

/// As [`crate::bf16_to_f32`], on the best instruction set.
pub(crate) fn bf16_to_f32(src: &[u8], dst: &mut [f32]) {
    call_compiled_for!(Isa::best(), convert::bf16_rows, (src: &[u8], dst: &mut [f32]))
}

/// As [`crate::f16_to_f32`], on the best instruction set.
pub(crate) fn f16_to_f32(src: &[u8], dst: &mut [f32]) {
    call_compiled_for!(Isa::best(), convert::f16_rows, (src: &[u8], dst: &mut [f32]))
}

/// As [`crate::largest_magnitude`], on the best instruction set.
pub(crate) fn largest_magnitude(values: &[f32]) -> f32 {
    call_compiled_for!(Isa::best(), convert::largest_of, (values: &[f32]) -> f32)
}
