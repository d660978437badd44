//! Every instruction set against the scalar reference, on rows that are hard.

mod hard;

use hard::{QUANTIZED, Random, difference, quantize};
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

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
