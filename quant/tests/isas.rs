//! Every instruction set against the scalar reference, on rows that are hard.

#[allow(dead_code, reason = "each test binary uses a part of it")]
mod hard;

use hard::{QUANTIZED, Random, WEIGHTED, difference, importance, quantize};
use proptest::prelude::*;
use swallow_quant::{GgmlType, Isa};

fn check(row: &[f32]) -> Result<(), TestCaseError> {
    for ty in QUANTIZED {
        let expected = quantize(ty, Isa::Scalar, row, 0x55);
        for isa in Isa::available() {
            let found = quantize(ty, isa, row, 0xaa);
            if let Some(difference) = difference(ty, row, &expected, &found) {
                return Err(TestCaseError::fail(format!("{isa}: {difference}")));
            }
        }
    }
    Ok(())
}

fn check_with_importance(importance: &[f32], rows: &[f32]) -> Result<(), TestCaseError> {
    for ty in WEIGHTED {
        let expected = importance::quantize(ty, Isa::Scalar, importance, rows, 0x55);
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
    fn every_isa_writes_the_scalar_bytes_with_importance((importance, rows) in importance::rows()) {
        check_with_importance(&importance, &rows)?;
    }

    #[test]
    fn every_isa_writes_the_scalar_bytes(row in hard::rows()) {
        check(&row)?;
    }
}

#[test]
fn every_isa_writes_the_scalar_bytes_for_rows_of_every_length() {
    // 1 to 9 super-blocks: whole and partly filled groups of lanes.
    let mut random = Random(1);
    for blocks in 0..=9 {
        let mut row = Vec::new();
        hard::fill(hard::Kind::Noise(0.02), 256 * blocks, &mut random, &mut row);
        check(&row).unwrap();
    }
}

#[test]
fn every_isa_writes_the_scalar_bytes_with_importance_for_every_number_of_rows() {
    // Rows of 1 to 3 super-blocks, 0 to 12 of them: rows in the middle of a group of lanes, and
    // groups that are whole and partly filled.
    let mut random = Random(7);
    for blocks in 1..=3 {
        let importance = importance::of_kind(importance::Kind::Squares, 256 * blocks, &mut random);
        for rows in 0..=12 {
            let mut weights = Vec::new();
            hard::fill(
                hard::Kind::Noise(0.02),
                256 * blocks * rows,
                &mut random,
                &mut weights,
            );
            check_with_importance(&importance, &weights).unwrap();
        }
    }
}

#[test]
fn legacy_types_take_rows_of_any_number_of_blocks_with_importance() {
    let mut random = Random(8);
    for ty in WEIGHTED.into_iter().filter(|ty| ty.block_len() == 32) {
        for blocks in [1, 2, 3, 5, 31, 33] {
            let importance =
                importance::of_kind(importance::Kind::Squares, 32 * blocks, &mut random);
            let mut rows = Vec::new();
            // Each row in another size, so that the mean square of another row would show.
            for exponent in [0, -3, 2] {
                let kind = hard::Kind::Noise(10f32.powi(exponent));
                hard::fill(kind, 32 * blocks, &mut random, &mut rows);
            }
            let by_row: Vec<u8> = rows
                .chunks(32 * blocks)
                .flat_map(|row| importance::quantize(ty, Isa::Scalar, &importance, row, 0x55))
                .collect();
            for isa in Isa::available() {
                let found = importance::quantize(ty, isa, &importance, &rows, 0xaa);
                let difference = importance::difference(ty, &importance, &rows, &by_row, &found);
                assert_eq!(difference, None, "{isa}");
            }
        }
    }
}

#[test]
fn columns_of_importance_come_out_nearer_to_their_weights() {
    // One column of four counts a hundred times as much as the others.
    let importance: Vec<f32> = (0..256 * 8)
        .map(|i| if i % 4 == 0 { 100.0 } else { 1.0 })
        .collect();
    let mut row = Vec::new();
    hard::fill(
        hard::Kind::Noise(0.02),
        importance.len(),
        &mut Random(9),
        &mut row,
    );
    for ty in WEIGHTED {
        let error_of_important = |blocks: &[u8]| {
            let mut read = vec![f32::NAN; row.len()];
            swallow_quant::dequantize(ty, blocks, &mut read).unwrap();
            let differences = row.iter().zip(&read).step_by(4);
            differences
                .map(|(x, y)| f64::from((x - y).powi(2)))
                .sum::<f64>()
        };
        let with = error_of_important(&importance::quantize(
            ty,
            Isa::best(),
            &importance,
            &row,
            0xaa,
        ));
        let without = error_of_important(&quantize(ty, Isa::best(), &row, 0xaa));
        assert!(with < 0.95 * without, "{ty}: {with:e} against {without:e}");
    }
}

#[test]
fn types_without_a_search_are_written_as_without_importance() {
    let mut row = Vec::new();
    hard::fill(hard::Kind::Noise(0.02), 256, &mut Random(10), &mut row);
    for ty in QUANTIZED.into_iter().filter(|ty| !WEIGHTED.contains(ty)) {
        for isa in Isa::available() {
            assert_eq!(
                importance::quantize(ty, isa, &[2.0; 64], &row, 0xaa),
                quantize(ty, isa, &row, 0x55),
                "{ty} on {isa}"
            );
        }
    }
}

#[test]
fn levels_are_read_back_near_the_weights() {
    let mut row = Vec::new();
    hard::fill(hard::Kind::Noise(0.02), 256 * 8, &mut Random(2), &mut row);
    // Root mean square error, as a share of the weights' own.
    for (ty, limit) in [
        (GgmlType::Q2_K, 0.35),
        (GgmlType::Q3_K, 0.2),
        (GgmlType::Q4_K, 0.09),
        (GgmlType::Q5_K, 0.05),
        (GgmlType::Q6_K, 0.025),
        (GgmlType::Q8_0, 0.007),
        (GgmlType::IQ4_NL, 0.1),
        (GgmlType::IQ4_XS, 0.1),
        (GgmlType::Q4_0, 0.12),
        (GgmlType::Q4_1, 0.1),
        (GgmlType::Q5_0, 0.06),
        (GgmlType::Q5_1, 0.05),
        (GgmlType::F16, 0.0005),
        (GgmlType::BF16, 0.0),
        (GgmlType::F32, 0.0),
    ] {
        let blocks = quantize(ty, Isa::best(), &row, 0xaa);
        let mut read = vec![f32::NAN; row.len()];
        swallow_quant::dequantize(ty, &blocks, &mut read).unwrap();
        let square =
            |values: &mut dyn Iterator<Item = f32>| values.map(|v| f64::from(v * v)).sum::<f64>();
        let error = square(&mut row.iter().zip(&read).map(|(x, y)| x - y))
            / square(&mut row.iter().copied());
        assert!(error.sqrt() <= limit, "{ty}: {}", error.sqrt());
    }
}

#[test]
fn what_is_not_supported_is_said() {
    let ty = GgmlType::IQ2_XXS;
    let (mut blocks, mut row) = ([0; 66], [0.0; 256]);
    let error = swallow_quant::quantize(ty, Isa::best(), &row, &mut blocks).unwrap_err();
    assert_eq!(error.to_string(), "cannot quantize to IQ2_XXS");
    let error =
        swallow_quant::quantize_with_importance(ty, Isa::best(), &[1.0; 256], &row, &mut blocks)
            .unwrap_err();
    assert_eq!(error.to_string(), "cannot quantize to IQ2_XXS");
    let error = swallow_quant::dequantize(ty, &blocks, &mut row).unwrap_err();
    assert_eq!(error.to_string(), "cannot dequantize IQ2_XXS");
    for &ty in GgmlType::ALL {
        let mut blocks = vec![0; ty.block_bytes()];
        let row = vec![0.0; ty.block_len()];
        assert_eq!(
            swallow_quant::quantize(ty, Isa::best(), &row, &mut blocks).is_ok(),
            swallow_quant::can_quantize(ty),
            "{ty}"
        );
    }
}

#[test]
#[should_panic(expected = "bytes of 256 weights as Q4_K")]
fn a_wrong_length_is_a_bug() {
    let _ = swallow_quant::quantize(GgmlType::Q4_K, Isa::best(), &[0.0; 256], &mut [0; 143]);
}

#[test]
#[should_panic(expected = "512 weights as Q4_K in rows of 384")]
fn a_row_that_is_not_whole_is_a_bug() {
    let _ = swallow_quant::quantize_with_importance(
        GgmlType::Q4_K,
        Isa::best(),
        &[1.0; 384],
        &[0.0; 512],
        &mut [0; 288],
    );
}

#[test]
#[should_panic(expected = "256 weights as Q4_0 in rows of 0")]
fn an_importance_of_no_columns_is_a_bug() {
    let _ = swallow_quant::quantize_with_importance(
        GgmlType::Q4_0,
        Isa::best(),
        &[],
        &[0.0; 256],
        &mut [0; 144],
    );
}
