//! ggml's own quantizers, as the measure of ours: what they write, and how fast.
//!
//! `runner` is otherwise the only place that names llama.cpp. This is the exception, because here
//! ggml is not what the work is done with but what it is held against, in benchmarks and tests.

use std::ffi::{CStr, c_void};

use swallow_quant::{GgmlType, Isa};

/// The version of the linked ggml.
pub fn version() -> String {
    // SAFETY: a constant string of the library, ended by a zero.
    unsafe { CStr::from_ptr(llama_cpp_sys_2::ggml_version()) }
        .to_string_lossy()
        .into_owned()
}

/// Quantizes one row of whole blocks without an importance matrix, into `dst`.
///
/// # Panics
/// Where the type is not one that [`swallow_quant::can_quantize`], the lengths do not fit, or
/// `dst` begins at an odd address (ggml's blocks begin with an f16).
pub fn quantize(ty: GgmlType, row: &[f32], dst: &mut [u8]) {
    quantize_rows(ty, row.len(), None, row, dst);
}

/// Quantizes whole rows, as long as `importance`, which has a number for each column.
///
/// # Panics
/// As [`quantize`], and where `src` is not a whole number of rows.
pub fn quantize_with_importance(ty: GgmlType, importance: &[f32], src: &[f32], dst: &mut [u8]) {
    quantize_rows(ty, importance.len(), Some(importance), src, dst);
}

fn quantize_rows(
    ty: GgmlType,
    columns: usize,
    importance: Option<&[f32]>,
    src: &[f32],
    dst: &mut [u8],
) {
    assert!(swallow_quant::can_quantize(ty), "ggml would abort on {ty}");
    if src.is_empty() {
        return;
    }
    assert!(src.len().is_multiple_of(columns) && columns.is_multiple_of(ty.block_len()));
    assert_eq!(ty.row_bytes(src.len()), Some(dst.len()));
    assert!(dst.as_ptr().cast::<f32>().is_aligned());
    // SAFETY: ggml knows the type and needs no importance matrix for it; `src` are whole rows of
    // whole blocks, `importance` is as long as a row where there is one, and `dst` is as long as
    // the blocks and aligned for every block format.
    let written = unsafe {
        llama_cpp_sys_2::ggml_quantize_chunk(
            ty as u32,
            src.as_ptr(),
            dst.as_mut_ptr().cast::<c_void>(),
            0,
            (src.len() / columns) as i64,
            columns as i64,
            importance.map_or(std::ptr::null(), <[f32]>::as_ptr),
        )
    };
    assert_eq!(written, dst.len());
}

/// Reads blocks back, the way ggml's processor-independent code does.
///
/// # Panics
/// Where ggml has no such function for the type (F32), the lengths do not fit, or `src` begins at
/// an odd address.
pub fn dequantize(ty: GgmlType, src: &[u8], row: &mut [f32]) {
    assert_eq!(ty.row_bytes(row.len()), Some(src.len()));
    assert!(src.as_ptr().cast::<f32>().is_aligned());
    // SAFETY: ggml has a table entry for each of its types, which lives as long as the program.
    let to_float = unsafe { (*llama_cpp_sys_2::ggml_get_type_traits(ty as u32)).to_float };
    let Some(to_float) = to_float else {
        panic!("ggml reads no {ty}")
    };
    // SAFETY: `src` are the whole blocks of `row.len()` weights, aligned for every block format.
    unsafe {
        to_float(
            src.as_ptr().cast::<c_void>(),
            row.as_mut_ptr(),
            row.len() as i64,
        )
    };
}

/// Whether ggml writes the bytes of its x86-64 build, which are the ones we promise.
///
/// Built for a processor with fused multiply-add (`target-cpu` in `RUSTFLAGS` does that) it rounds
/// a multiplication and an addition once and not twice, and some blocks come out different.
pub fn is_built_as_expected() -> bool {
    let row: Vec<f32> = (0..256 * 64u32)
        .map(|i| (i.wrapping_mul(2_654_435_769) >> 16) as f32 / 65536.0 - 0.5)
        .collect();
    let ty = GgmlType::Q4_K;
    let bytes = ty.row_bytes(row.len()).unwrap_or(0);
    let (mut by_ggml, mut by_us) = (vec![0; bytes], vec![1; bytes]);
    quantize(ty, &row, &mut by_ggml);
    swallow_quant::quantize(ty, Isa::Scalar, &row, &mut by_us).is_ok() && by_ggml == by_us
}
