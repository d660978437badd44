//! Importance of columns that is hard to quantize with, and rows for it.

use proptest::prelude::*;
use swallow_quant::{GgmlType, Isa};

use super::Random;

/// What the importance of a stretch of columns looks like.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// 1 for each column.
    Ones,
    /// Squares of about normal numbers, as mean squares of activations are.
    Squares,
    /// Nine columns of ten count nothing.
    Sparse,
    Zeros,
    /// Of this size in one column, squares elsewhere.
    Outlier(f32),
    /// Sizes from 1e-20 to 1e20.
    AnySize,
    Denormal,
    /// Up to the largest f32: sums overflow.
    Huge,
    /// Of either sign. No importance matrix has that, but it makes scales negative, which
    /// otherwise only errors of rounding do.
    Signed,
}

/// Each kind once.
pub(crate) const KINDS: [Kind; 10] = [
    Kind::Ones,
    Kind::Squares,
    Kind::Sparse,
    Kind::Zeros,
    Kind::Outlier(1e8),
    Kind::Outlier(f32::MAX),
    Kind::AnySize,
    Kind::Denormal,
    Kind::Huge,
    Kind::Signed,
];

/// The importance of `n` columns.
pub(crate) fn of_kind(kind: Kind, n: usize, random: &mut Random) -> Vec<f32> {
    let outlier = random.below(n);
    (0..n)
        .map(|i| {
            let noise = random.noise();
            let square = noise.powi(2);
            match kind {
                Kind::Ones => 1.0,
                Kind::Squares => square,
                Kind::Sparse if random.below(10) == 0 => square,
                Kind::Sparse | Kind::Zeros => 0.0,
                Kind::Outlier(size) if i == outlier => size,
                Kind::Outlier(_) => square,
                Kind::AnySize => square * 10f32.powi(random.below(41) as i32 - 20),
                Kind::Signed => noise,
                Kind::Denormal => f32::from_bits(random.next() as u32 & 0x007f_ffff),
                Kind::Huge => f32::from_bits(0x7f7f_ffff - (random.next() as u32 & 0x00ff_ffff)),
            }
        })
        .collect()
}

/// Rows of whole super-blocks that are hard to quantize, all as long as the importance before
/// them, which is made of stretches of every kind.
pub(crate) fn rows() -> impl Strategy<Value = (Vec<f32>, Vec<f32>)> {
    let stretch = (
        prop::sample::select(KINDS.to_vec()),
        prop::sample::select(vec![1usize, 16, 16, 32, 32, 48, 256, 1024]),
        any::<u64>(),
    );
    // As many rows as fit: of 9 super-blocks these are 9 rows of one, or one of nine, or the like.
    (
        super::rows(),
        1usize..=9,
        prop::collection::vec(stretch, 1..12),
    )
        .prop_map(|(mut rows, blocks, stretches)| {
            let columns = (256 * blocks).min(rows.len());
            rows.truncate(rows.len() / columns * columns);
            let mut importance = Vec::with_capacity(columns);
            for &(kind, stretch, seed) in stretches.iter().cycle() {
                let n = stretch.min(columns - importance.len());
                if n == 0 {
                    break;
                }
                let mut random = Random(seed ^ importance.len() as u64);
                importance.extend(of_kind(kind, n, &mut random));
            }
            (importance, rows)
        })
}

/// As [`super::quantize`], with an importance.
pub(crate) fn quantize(
    ty: GgmlType,
    isa: Isa,
    importance: &[f32],
    rows: &[f32],
    poison: u8,
) -> Vec<u8> {
    let mut blocks = vec![poison; ty.row_bytes(rows.len()).expect("rows are whole blocks")];
    swallow_quant::quantize_with_importance(ty, isa, importance, rows, &mut blocks)
        .expect("the type is supported");
    blocks
}

/// What should come of rows, by a quantizer that has ggml's searches: with an importance, but for
/// blocks that have nothing but zeros, which are quantized without one. In other blocks sub-blocks of
/// zeros count as the least of the other columns.
pub(crate) fn expected(
    ty: GgmlType,
    importance: &[f32],
    rows: &[f32],
    with: impl Fn(&[f32], &[f32]) -> Vec<u8>,
    without: impl Fn(&[f32]) -> Vec<u8>,
) -> Vec<u8> {
    if !super::WEIGHTED.contains(&ty) || rows.is_empty() {
        return with(importance, rows);
    }
    let zeros = |part: &[f32]| part.iter().all(|value| *value == 0.0);
    let mut counted = importance.to_vec();
    for block in counted.chunks_mut(ty.block_len()) {
        let positive = block.iter().copied().filter(|value| *value > 0.0);
        if let Some(least) = positive.min_by(f32::total_cmp) {
            let sub_block = match ty {
                GgmlType::Q2_K | GgmlType::Q3_K | GgmlType::Q6_K => 16,
                _ => 32,
            };
            for part in block.chunks_mut(sub_block).filter(|part| zeros(part)) {
                part.fill(least);
            }
        }
    }
    let mut blocks = with(&counted, rows);
    let of_block = importance.chunks(ty.block_len()).cycle();
    let weights = rows.chunks(ty.block_len());
    for ((block, importance), weights) in blocks
        .chunks_mut(ty.block_bytes())
        .zip(of_block)
        .zip(weights)
    {
        if zeros(importance) {
            block.copy_from_slice(&without(weights));
        }
    }
    blocks
}

/// As [`super::difference`], with the importance of the columns in question.
pub(crate) fn difference(
    ty: GgmlType,
    importance: &[f32],
    rows: &[f32],
    expected: &[u8],
    found: &[u8],
) -> Option<String> {
    let difference = super::difference(ty, rows, expected, found)?;
    let first = expected.iter().zip(found).position(|(a, b)| a != b)? / ty.block_bytes();
    let of_row = &importance[first * ty.block_len() % importance.len()..][..ty.block_len()];
    Some(format!("{difference}; their importance: {of_row:?}"))
}
