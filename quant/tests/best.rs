//! The search for better blocks: the same bytes on every instruction set, no super-block worse than
//! the reference, and lower errors where weights are as trained ones are.

#[allow(dead_code, reason = "each test binary uses a part of it")]
mod hard;

use hard::{QUANTIZED, Random, difference, quantize};
use proptest::prelude::*;
use swallow_quant::{GgmlType, Isa};

const BEST: [GgmlType; 3] = [GgmlType::Q4_K, GgmlType::Q5_K, GgmlType::Q6_K];

/// Searches into a poisoned buffer, so that a byte left out shows.
fn best(ty: GgmlType, isa: Isa, importance: Option<&[f32]>, row: &[f32], poison: u8) -> Vec<u8> {
    let mut blocks = vec![poison; ty.row_bytes(row.len()).unwrap()];
    swallow_quant::quantize_best(ty, isa, importance, row, &mut blocks).unwrap();
    blocks
}

/// The blocks that ggml's search finds.
fn reference(ty: GgmlType, importance: Option<&[f32]>, row: &[f32]) -> Vec<u8> {
    match importance {
        Some(importance) => hard::importance::quantize(ty, Isa::best(), importance, row, 0x55),
        None => quantize(ty, Isa::best(), row, 0x55),
    }
}

fn read(ty: GgmlType, blocks: &[u8], len: usize) -> Vec<f32> {
    let mut values = vec![f32::NAN; len];
    swallow_quant::dequantize(ty, blocks, &mut values).unwrap();
    values
}

/// How much each weight of a super-block counts, as ggml has it.
fn weights(ty: GgmlType, x: &[f32], importance: Option<&[f32]>) -> Vec<f64> {
    let mean_square = |x: &[f32]| {
        let mut sum = 0.0;
        for x in x {
            sum += x * x;
        }
        sum / x.len() as f32
    };
    let weight = |i: usize| match (ty, importance) {
        (GgmlType::Q6_K, None) => x[i] * x[i],
        (GgmlType::Q6_K, Some(q)) => q[i],
        (_, None) => mean_square(&x[i / 32 * 32..][..32]).sqrt() + x[i].abs(),
        (_, Some(q)) => q[i] * (2.0 * mean_square(x) + x[i] * x[i]).sqrt(),
    };
    (0..x.len()).map(|i| f64::from(weight(i))).collect()
}

/// The weighted squared error of each super-block of a row as long as the importance.
fn errors(ty: GgmlType, importance: Option<&[f32]>, row: &[f32], blocks: &[u8]) -> Vec<f64> {
    let values = read(ty, blocks, row.len());
    let super_blocks = row.chunks(256).zip(values.chunks(256)).enumerate();
    super_blocks
        .map(|(i, (x, y))| {
            let w = weights(ty, x, importance.map(|q| &q[256 * i % q.len()..][..256]));
            let differences = x.iter().zip(y).map(|(&x, &y)| f64::from(y) - f64::from(x));
            differences.zip(w).map(|(d, w)| w * d * d).sum()
        })
        .collect()
}

/// Importances as an importance matrix has them: far apart, and some columns never used.
fn importance(columns: usize, random: &mut Random) -> Vec<f32> {
    (0..columns)
        .map(|_| match random.below(12) {
            0 => 0.0,
            _ => random.noise().abs() * 10f32.powi(random.below(5) as i32 - 2),
        })
        .collect()
}

fn check(row: &[f32], importance: Option<&[f32]>) -> Result<(), TestCaseError> {
    for ty in BEST {
        let reference = reference(ty, importance, row);
        let expected = best(ty, Isa::Scalar, importance, row, 0x33);
        for isa in Isa::available() {
            let found = best(ty, isa, importance, row, 0xaa);
            if let Some(difference) = difference(ty, row, &expected, &found) {
                return Err(TestCaseError::fail(format!("{isa}: {difference}")));
            }
        }
        for value in read(ty, &expected, row.len()) {
            prop_assert!(value.is_finite(), "{ty}: {value} is read from {row:?}");
        }
        let before = errors(ty, importance, row, &reference);
        let after = errors(ty, importance, row, &expected);
        for (i, (before, after)) in before.iter().zip(after).enumerate() {
            // Where the reference overflows there is nothing to compare. The weights are the very
            // same numbers; only the f64 sums run in another order.
            if before.is_finite() {
                prop_assert!(
                    after <= before * (1.0 + 1e-12),
                    "{ty}: {after:e} instead of {before:e} in super-block {i} of {row:?}"
                );
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_super_block_is_worse_on_any_isa(row in hard::rows()) {
        check(&row, None)?;
    }

    #[test]
    fn no_super_block_is_worse_with_an_importance(row in hard::rows(), seed in any::<u64>()) {
        check(&row, Some(&importance(row.len(), &mut Random(seed))))?;
        // The same for each of several rows.
        check(&row, Some(&importance(256, &mut Random(seed))))?;
    }
}

#[test]
fn rows_of_every_length_are_the_same_on_every_isa() {
    let mut random = Random(1);
    for blocks in 0..=9 {
        let mut row = Vec::new();
        hard::fill(hard::Kind::Noise(0.02), 256 * blocks, &mut random, &mut row);
        check(&row, None).unwrap();
    }
}

/// By how many percent the sum of errors is lower than the reference's.
fn gain(ty: GgmlType, importance: Option<&[f32]>, row: &[f32]) -> f64 {
    let sum = |blocks: &[u8]| errors(ty, importance, row, blocks).iter().sum::<f64>();
    let reference = reference(ty, importance, row);
    let found = best(ty, Isa::best(), importance, row, 0xaa);
    100.0 * (1.0 - sum(&found) / sum(&reference))
}

#[test]
fn errors_are_lower_by_what_is_promised() {
    let mut random = Random(4);
    // Rows of 2048, whose columns differ in importance as activations do: most a little, a few much.
    let importance: Vec<f32> = (0..2048).map(|_| random.noise().exp()).collect();
    let len = 256 * 1000;
    let gaussian: Vec<f32> = (0..len).map(|_| 0.02 * random.noise()).collect();
    let student: Vec<f32> = (0..len)
        .map(|_| {
            let square: f32 = (0..6).map(|_| random.noise().powi(2)).sum();
            0.02 * random.noise() / (square / 6.0).sqrt()
        })
        .collect();
    for (ty, least, least_with_importance) in [
        (GgmlType::Q4_K, 4.5, 5.0),
        (GgmlType::Q5_K, 12.0, 12.0),
        (GgmlType::Q6_K, 17.0, 13.0),
    ] {
        for (name, row) in [("Gaussian", &gaussian), ("Student-t", &student)] {
            for (importance, least) in [
                (None, least),
                (Some(&importance[..]), least_with_importance),
            ] {
                let gain = gain(ty, importance, row);
                let with = importance.map_or("", |_| " with an importance");
                assert!(gain >= least, "{ty}: {gain:.2} % on {name} data{with}");
            }
        }
    }
}

#[test]
fn rows_of_nothing_and_of_one_value_stay_what_they_are() {
    for value in [0.0, -0.0, 0.25, -0.25, 1e-30, -1e-42, 3e4] {
        for ty in BEST {
            let row = [value; 512];
            let reference = read(ty, &quantize(ty, Isa::best(), &row, 0x55), 512);
            let found = read(ty, &best(ty, Isa::best(), None, &row, 0xaa), 512);
            let off = |values: &[f32]| (f64::from(values[0]) - f64::from(value)).abs();
            assert!(
                off(&found) <= off(&reference),
                "{ty}: {value} is read as {}",
                found[0]
            );
        }
    }
}

#[test]
fn weights_beyond_the_format_are_read_as_its_largest() {
    for ty in BEST {
        let mut row = [0.01; 256];
        row[7] = 1e9;
        let found = read(ty, &best(ty, Isa::best(), None, &row, 0xaa), 256);
        assert!(found[7] > 1e7 && found[7].is_finite(), "{ty}: {}", found[7]);
    }
}

#[test]
fn a_part_that_does_not_count_keeps_nothing_from_getting_better() {
    let mut random = Random(5);
    let row: Vec<f32> = (0..512).map(|_| random.noise()).collect();
    let mut importance = vec![1.0; 512];
    importance[64..96].fill(0.0);
    for ty in BEST {
        let reference = reference(ty, Some(&importance), &row);
        let found = best(ty, Isa::best(), Some(&importance), &row, 0xaa);
        let before = errors(ty, Some(&importance), &row, &reference);
        let after = errors(ty, Some(&importance), &row, &found);
        for (before, after) in before.iter().zip(after) {
            assert!(after < *before, "{ty}: {after:e} instead of {before:e}");
        }
    }
}

#[test]
fn other_types_have_the_reference_bytes() {
    let mut random = Random(6);
    let row: Vec<f32> = (0..1024).map(|_| random.noise()).collect();
    for ty in QUANTIZED {
        let same = best(ty, Isa::best(), None, &row, 0xaa) == quantize(ty, Isa::best(), &row, 0x55);
        assert_eq!(same, !swallow_quant::can_search_best(ty), "{ty}");
        assert_eq!(
            swallow_quant::can_search_best(ty),
            BEST.contains(&ty),
            "{ty}"
        );
    }
    let error = swallow_quant::quantize_best(
        GgmlType::IQ2_XXS,
        Isa::best(),
        None,
        &row[..256],
        &mut [0; 66],
    );
    assert_eq!(error.unwrap_err().to_string(), "cannot quantize to IQ2_XXS");
}

#[test]
#[should_panic(expected = "512 weights as Q4_K in rows of 384")]
fn an_importance_for_other_rows_is_a_bug() {
    best(
        GgmlType::Q4_K,
        Isa::best(),
        Some(&[1.0; 384]),
        &[0.0; 512],
        0,
    );
}
