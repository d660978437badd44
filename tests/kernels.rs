//! The block formats against ggml, in process: quantizing and dequantizing, bit for bit.

#[path = "../quant/tests/hard/mod.rs"]
mod hard;

use hard::{QUANTIZED, Random, WEIGHTED, difference, importance, quantize};
use proptest::prelude::*;
use swallow_gguf::bench::ggml;
use swallow_quant::{GgmlType, Isa};

/// What ggml itself makes of a row.
fn quantize_by_ggml(ty: GgmlType, row: &[f32]) -> Vec<u8> {
    let mut blocks = vec![0x33; ty.row_bytes(row.len()).expect("rows are whole blocks")];
    ggml::quantize(ty, row, &mut blocks);
    blocks
}

/// What ggml reads from blocks.
fn dequantize_by_ggml(ty: GgmlType, blocks: &[u8], n: usize) -> Vec<f32> {
    let mut row = vec![f32::NAN; n];
    ggml::dequantize(ty, blocks, &mut row);
    row
}

fn check_quantize(row: &[f32]) -> Result<(), TestCaseError> {
    for ty in QUANTIZED {
        let expected = quantize_by_ggml(ty, row);
        for isa in Isa::available() {
            let found = quantize(ty, isa, row, 0xaa);
            if let Some(difference) = difference(ty, row, &expected, &found) {
                return Err(TestCaseError::fail(format!("{isa}: {difference}")));
            }
        }
    }
    Ok(())
}

/// What ggml itself makes of rows whose columns have an importance.
fn quantize_with_importance_by_ggml(ty: GgmlType, importance: &[f32], rows: &[f32]) -> Vec<u8> {
    let mut blocks = vec![0x33; ty.row_bytes(rows.len()).expect("rows are whole blocks")];
    ggml::quantize_with_importance(ty, importance, rows, &mut blocks);
    blocks
}

fn check_quantize_with_importance(importance: &[f32], rows: &[f32]) -> Result<(), TestCaseError> {
    for ty in QUANTIZED {
        let expected = importance::expected(
            ty,
            importance,
            rows,
            |importance, rows| quantize_with_importance_by_ggml(ty, importance, rows),
            |block| quantize_by_ggml(ty, block),
        );
        for isa in Isa::available() {
            let found = importance::quantize(ty, isa, importance, rows, 0xaa);
            if let Some(difference) =
                importance::difference(ty, importance, rows, &expected, &found)
            {
                return Err(TestCaseError::fail(format!("{isa}: {difference}")));
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn every_isa_writes_ggmls_bytes_with_importance((importance, rows) in importance::rows()) {
        check_quantize_with_importance(&importance, &rows)?;
    }

    #[test]
    fn every_isa_writes_ggmls_bytes(row in hard::rows()) {
        check_quantize(&row)?;
    }
}

#[test]
fn a_long_row_of_weights_is_written_as_ggml_writes_it() {
    let mut random = Random(3);
    let mut row = Vec::new();
    for exponent in -8..4 {
        hard::fill(
            hard::Kind::Noise(10f32.powi(exponent)),
            256 * 40,
            &mut random,
            &mut row,
        );
    }
    check_quantize(&row).unwrap();
}

#[test]
fn weights_of_every_size_are_written_as_ggml_writes_them_with_every_importance() {
    let mut random = Random(5);
    for kind in importance::KINDS {
        // Rows of 256 · 19 columns: the last group of super-blocks is never full.
        let importance = importance::of_kind(kind, 256 * 19, &mut random);
        let mut rows = Vec::new();
        for exponent in -8..4 {
            hard::fill(
                hard::Kind::Noise(10f32.powi(exponent)),
                importance.len(),
                &mut random,
                &mut rows,
            );
        }
        check_quantize_with_importance(&importance, &rows).unwrap();
    }
}

#[test]
fn an_importance_makes_a_difference_to_ggml_just_where_it_does_to_us() {
    let mut random = Random(6);
    let mut row = Vec::new();
    hard::fill(hard::Kind::Noise(0.02), 256 * 8, &mut random, &mut row);
    let importance = importance::of_kind(importance::Kind::Squares, row.len(), &mut random);
    for ty in QUANTIZED {
        let without = quantize_by_ggml(ty, &row);
        let with = quantize_with_importance_by_ggml(ty, &importance, &row);
        assert_eq!(with != without, WEIGHTED.contains(&ty), "{ty}");
        assert_eq!(quantize(ty, Isa::best(), &row, 0xaa), without, "{ty}");
    }
}

#[test]
fn blocks_of_any_bits_are_read_as_ggml_reads_them() {
    let mut random = Random(4);
    for ty in [
        GgmlType::Q4_0,
        GgmlType::Q4_1,
        GgmlType::Q5_0,
        GgmlType::Q5_1,
        GgmlType::Q8_0,
        GgmlType::IQ4_NL,
        GgmlType::IQ4_XS,
        GgmlType::Q2_K,
        GgmlType::Q3_K,
        GgmlType::Q4_K,
        GgmlType::Q5_K,
        GgmlType::Q6_K,
        GgmlType::F16,
        GgmlType::BF16,
    ] {
        let n = 256 * 500;
        let mut blocks = vec![0; ty.row_bytes(n).unwrap()];
        blocks.fill_with(|| random.next() as u8);
        let expected = dequantize_by_ggml(ty, &blocks, n);
        let mut found = vec![f32::NAN; n];
        swallow_quant::dequantize(ty, &blocks, &mut found).unwrap();
        for (i, (expected, found)) in expected.iter().zip(&found).enumerate() {
            // Which NaN comes of an infinite scale times zero is the processor's choice.
            let same = expected.to_bits() == found.to_bits() || expected.is_nan() && found.is_nan();
            assert!(
                same,
                "{ty}: weight {i}: expected {expected:e}, found {found:e}"
            );
        }
    }
}

#[test]
fn every_f16_and_bf16_is_converted_as_ggml_converts_it() {
    for ty in [GgmlType::F16, GgmlType::BF16] {
        let bytes: Vec<u8> = (0..=u16::MAX).flat_map(u16::to_le_bytes).collect();
        let expected = dequantize_by_ggml(ty, &bytes, 1 << 16);
        let mut found = vec![0.0; 1 << 16];
        swallow_quant::dequantize(ty, &bytes, &mut found).unwrap();
        for (bits, (expected, found)) in expected.iter().zip(&found).enumerate() {
            assert_eq!(expected.to_bits(), found.to_bits(), "{ty} {bits:#06x}");
        }
        // And back, NaNs too, which numbers by themselves are kept as.
        let expected = quantize_by_ggml(ty, &found);
        for isa in Isa::available() {
            assert_eq!(
                difference(ty, &found, &expected, &quantize(ty, isa, &found, 0xaa)),
                None,
                "{isa}"
            );
        }
    }
}

#[test]
fn sizes_are_ggmls() {
    for &ty in GgmlType::ALL {
        // SAFETY: plain functions of a type that ggml knows.
        let (block_len, block_bytes) = unsafe {
            (
                llama_cpp_sys_2::ggml_blck_size(ty as u32),
                llama_cpp_sys_2::ggml_type_size(ty as u32),
            )
        };
        assert_eq!(
            (block_len as usize, block_bytes),
            (ty.block_len(), ty.block_bytes()),
            "{ty}"
        );
    }
}
