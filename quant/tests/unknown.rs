//! Columns that an importance matrix knows nothing of: ggml writes weights of 0 for most of them.

#[allow(dead_code, reason = "each test binary uses a part of it")]
mod hard;

use hard::{Random, WEIGHTED, difference, importance, quantize};
use swallow_quant::{GgmlType, Isa, columns_without_importance};

const COLUMNS: usize = 256 * 3;
const ROWS: usize = 5;

fn rows() -> Vec<f32> {
    let mut rows = Vec::new();
    hard::fill(
        hard::Kind::Noise(0.02),
        COLUMNS * ROWS,
        &mut Random(11),
        &mut rows,
    );
    rows
}

/// The importance of columns, but 0 for those in `zeros`.
fn with_zeros(zeros: &[std::ops::Range<usize>]) -> Vec<f32> {
    let mut random = Random(12);
    let mut importance = importance::of_kind(importance::Kind::Squares, COLUMNS, &mut random);
    for zeros in zeros {
        importance[zeros.clone()].fill(0.0);
    }
    importance
}

fn best(ty: GgmlType, isa: Isa, importance: Option<&[f32]>, rows: &[f32]) -> Vec<u8> {
    let mut blocks = vec![0x55; ty.row_bytes(rows.len()).unwrap()];
    swallow_quant::quantize_best(ty, isa, importance, rows, &mut blocks).unwrap();
    blocks
}

/// How much of the columns is lost: 1 where all weights are 0.
fn loss(ty: GgmlType, blocks: &[u8], rows: &[f32], columns: std::ops::Range<usize>) -> f64 {
    let mut read = vec![f32::NAN; rows.len()];
    swallow_quant::dequantize(ty, blocks, &mut read).unwrap();
    let (mut error, mut all) = (0.0, 0.0);
    for (i, (x, y)) in rows.iter().zip(&read).enumerate() {
        if columns.contains(&(i % COLUMNS)) {
            error += f64::from(x - y).powi(2);
            all += f64::from(*x).powi(2);
        }
    }
    error / all
}

#[test]
fn a_block_of_them_is_quantized_as_without_an_importance() {
    let rows = rows();
    for ty in WEIGHTED {
        // The last block of each row, with the columns before it.
        let block = COLUMNS - ty.block_len()..COLUMNS;
        let of_block: Vec<f32> = rows
            .chunks(COLUMNS)
            .flat_map(|row| &row[block.clone()])
            .copied()
            .collect();
        let known = with_zeros(&[]);
        let unknown = with_zeros(&[block.clone()]);
        let nothing = vec![0.0; COLUMNS];
        for isa in [Isa::Scalar].into_iter().chain(Isa::available()) {
            let with = importance::quantize(ty, isa, &known, &rows, 0xaa);
            let without = quantize(ty, isa, &of_block, 0xaa);
            let found = importance::quantize(ty, isa, &unknown, &rows, 0x33);
            let row_bytes = ty.row_bytes(COLUMNS).unwrap();
            let found_rows = found.chunks(row_bytes).zip(with.chunks(row_bytes));
            for ((found, with), block) in found_rows.zip(without.chunks(ty.block_bytes())) {
                let (rest, last) = found.split_at(row_bytes - ty.block_bytes());
                assert_eq!(rest, &with[..rest.len()], "{ty} on {isa}");
                assert_eq!(last, block, "{ty} on {isa}");
            }
            let found = importance::quantize(ty, isa, &nothing, &rows, 0x33);
            let without = quantize(ty, isa, &rows, 0xaa);
            assert_eq!(difference(ty, &rows, &without, &found), None, "{isa}");

            let found = best(ty, isa, Some(&nothing), &rows);
            assert_eq!(found, best(ty, isa, None, &rows), "{ty} on {isa}");
            let found = best(ty, isa, Some(&unknown), &rows);
            let last = &found[row_bytes - ty.block_bytes()..row_bytes];
            let alone = best(ty, isa, None, &of_block[..ty.block_len()]);
            assert_eq!(last, alone, "{ty} on {isa}");
        }
    }
}

#[test]
fn a_sub_block_of_them_keeps_its_weights() {
    let rows = rows();
    for ty in WEIGHTED {
        let whole = columns_without_importance(ty, &vec![0.0; COLUMNS]);
        assert_eq!(whole, [0..COLUMNS; 1], "{ty}");
        // One sub-block, and all but one column of a super-block.
        for columns in [288..320, 257..512] {
            let importance = with_zeros(&[columns.clone()]);
            let found = columns_without_importance(ty, &importance);
            assert_eq!(found.len(), 1, "{ty}");
            assert!(columns.start <= found[0].start && found[0].end == columns.end);
            for isa in [Isa::Scalar].into_iter().chain(Isa::available()) {
                let blocks = importance::quantize(ty, isa, &importance, &rows, 0xaa);
                let better = best(ty, isa, Some(&importance), &rows);
                let plain = loss(ty, &quantize(ty, isa, &rows, 0xaa), &rows, found[0].clone());
                for blocks in [&blocks, &better] {
                    let loss = loss(ty, blocks, &rows, found[0].clone());
                    assert!(loss < 1.5 * plain, "{ty} on {isa}: {loss} for {plain}");
                }
            }
        }
    }
    assert_eq!(columns_without_importance(GgmlType::Q8_0, &[0.0; 64]), []);
    assert_eq!(columns_without_importance(GgmlType::Q4_0, &[]), []);
    let importance = [&[0.0; 32][..], &[1.0; 32], &[0.0; 64], &[0.5], &[0.0; 31]].concat();
    assert_eq!(
        columns_without_importance(GgmlType::Q4_0, &importance),
        [0..32, 64..128]
    );
}
