//! Rows with importance by the scalar reference, block after block.

use crate::float::f32_to_f16;
use crate::formats::{five_bit, four_bit, iq4_nl, iq4_xs, q2_k, q3_k, q4_k, q5_k, q6_k};
use crate::rows::blocks;
use crate::search::weighted::{self, Spread, Steps, weight};
use crate::{GgmlType, Unsupported};

/// Quantizes with the scalar reference. The importance, that of a row, is not empty.
pub(crate) fn quantize(
    ty: GgmlType,
    importance: &[f32],
    src: &[f32],
    dst: &mut [u8],
) -> Result<(), Unsupported> {
    let columns = importance.len();
    let rows = src.chunks_exact(columns);
    let Some(row_bytes) = ty.row_bytes(columns) else {
        unreachable!("lengths are checked before")
    };
    for (x, dst) in rows.zip(dst.chunks_exact_mut(row_bytes)) {
        let of_row = Spread::Mean.of(sum_of_squares(x), columns);
        match ty {
            GgmlType::Q2_K => {
                for (x, importance, block) in weighted_blocks(x, importance, dst) {
                    let sigma2 = Spread::Mean.of(sum_of_squares(x), 256);
                    let found = scalar_scales_and_mins::<16, 16>(x, importance, sigma2, 3.0, 15);
                    let SuperBlock {
                        scales,
                        mins,
                        levels,
                    } = found;
                    q2_k::encode_steps(x, &scales, &mins, |j| levels[j], block);
                }
            }
            GgmlType::Q3_K => {
                for (x, importance, block) in weighted_blocks(x, importance, dst) {
                    let sigma2 = Spread::Twice.of(sum_of_squares(x), 256);
                    let (mut scales, mut sums) = ([0.0; 16], [0.0; 16]);
                    let mut levels = [[0; 16]; 16];
                    for (j, (x, importance)) in sub_blocks::<16>(x, importance).enumerate() {
                        let w = weights(x, importance, sigma2);
                        sums[j] = sum(&w);
                        let found = weighted::scalar::scale(x, &w, 4);
                        (scales[j], levels[j]) = (found.scale, found.levels);
                    }
                    let unit = weighted::scalar::scale(&scales, &sums, 32);
                    let steps = unit.levels.map(|step| step as i8 - 32);
                    q3_k::encode_steps(x, f32_to_f16(unit.scale), &steps, |j| levels[j], block);
                }
            }
            GgmlType::Q4_K => {
                for (x, importance, block) in weighted_blocks(x, importance, dst) {
                    let sigma2 = Spread::Twice.of(sum_of_squares(x), 256);
                    let found = scalar_scales_and_mins::<32, 8>(x, importance, sigma2, 15.0, 63);
                    let SuperBlock {
                        scales,
                        mins,
                        levels,
                    } = found;
                    q4_k::encode_steps(x, &scales, &mins, |j| levels[j], block);
                }
            }
            GgmlType::Q5_K => {
                for (x, importance, block) in weighted_blocks(x, importance, dst) {
                    let sigma2 = Spread::Twice.of(sum_of_squares(x), 256);
                    let found = scalar_scales_and_mins::<32, 8>(x, importance, sigma2, 31.0, 63);
                    let SuperBlock {
                        scales,
                        mins,
                        levels,
                    } = found;
                    q5_k::encode_steps(x, &scales, &mins, |j| levels[j], block);
                }
            }
            GgmlType::Q6_K => {
                for (x, importance, block) in weighted_blocks(x, importance, dst) {
                    let (mut scales, mut levels) = ([0.0; 16], [[0; 16]; 16]);
                    for (j, (x, importance)) in sub_blocks::<16>(x, importance).enumerate() {
                        let found = weighted::scalar::scale(x, importance, 32);
                        (scales[j], levels[j]) = (found.scale, found.levels);
                    }
                    q6_k::encode_scales(x, &scales, |j| levels[j], block);
                }
            }
            GgmlType::IQ4_NL => {
                for (x, importance, block) in weighted_blocks(x, importance, dst) {
                    let sigma2 = Spread::TwiceTheMean.of(sum_of_squares(x), 32);
                    let w = weights(x, importance, sigma2);
                    iq4_nl::encode(x, &[weighted::scalar::grid_scale(x, &w)], block);
                }
            }
            GgmlType::IQ4_XS => {
                for (x, importance, block) in weighted_blocks(x, importance, dst) {
                    let sigma2 = Spread::TwiceTheMean.of(sum_of_squares(x), 256);
                    let mut scales = [0.0; 8];
                    for (scale, (x, importance)) in scales.iter_mut().zip(sub_blocks(x, importance))
                    {
                        let w = weights(x, importance, sigma2);
                        *scale = weighted::scalar::grid_scale(x, &w);
                    }
                    iq4_xs::encode(x, &scales, block);
                }
            }
            GgmlType::Q4_0 => {
                for (x, importance, block) in weighted_blocks(x, importance, dst) {
                    let found = weighted::scalar::scale(x, &weights(x, importance, of_row), 8);
                    four_bit::store_q4_0(found.scale, &found.levels, block);
                }
            }
            GgmlType::Q5_0 => {
                for (x, importance, block) in weighted_blocks(x, importance, dst) {
                    let found = weighted::scalar::scale(x, &weights(x, importance, of_row), 16);
                    five_bit::store_q5_0(found.scale, &found.levels, block);
                }
            }
            GgmlType::Q4_1 => {
                for (x, importance, block) in weighted_blocks(x, importance, dst) {
                    let w = weights(x, importance, of_row);
                    let found = weighted::scalar::scale_and_min(x, &w, 15.0);
                    four_bit::store_q4_1(found.scale, -found.min, &found.levels, block);
                }
            }
            GgmlType::Q5_1 => {
                for (x, importance, block) in weighted_blocks(x, importance, dst) {
                    let w = weights(x, importance, of_row);
                    let found = weighted::scalar::scale_and_min(x, &w, 31.0);
                    five_bit::store_q5_1(found.scale, -found.min, &found.levels, block);
                }
            }
            _ => return Err(Unsupported::quantize(ty)),
        }
    }
    Ok(())
}

/// What the reference finds for a super-block.
struct SuperBlock<const LEN: usize, const SUB_BLOCKS: usize> {
    scales: Steps<SUB_BLOCKS>,
    mins: Steps<SUB_BLOCKS>,
    levels: [[u8; LEN]; SUB_BLOCKS],
}

fn scalar_scales_and_mins<const LEN: usize, const SUB_BLOCKS: usize>(
    x: &[f32; 256],
    importance: &[f32; 256],
    sigma2: f32,
    max_level: f32,
    max_step: u8,
) -> SuperBlock<LEN, SUB_BLOCKS> {
    let (mut scales, mut mins) = ([0.0; SUB_BLOCKS], [0.0; SUB_BLOCKS]);
    let (mut sums, mut levels) = ([0.0; SUB_BLOCKS], [[0; LEN]; SUB_BLOCKS]);
    for (j, (x, importance)) in sub_blocks(x, importance).enumerate() {
        let w = weights(x, importance, sigma2);
        sums[j] = sum(&w);
        let found = weighted::scalar::scale_and_min(x, &w, max_level);
        (scales[j], mins[j], levels[j]) = (found.scale, found.min, found.levels);
    }
    SuperBlock {
        scales: weighted::scalar::unit(&scales, &sums, max_step),
        mins: weighted::scalar::unit(&mins, &sums, max_step),
        levels,
    }
}

/// The blocks of a row beside the importance of their columns and their places in the output.
fn weighted_blocks<'a, const LEN: usize, const BYTES: usize>(
    x: &'a [f32],
    importance: &'a [f32],
    dst: &'a mut [u8],
) -> impl Iterator<Item = (&'a [f32; LEN], &'a [f32; LEN], &'a mut [u8; BYTES])> {
    blocks(x, dst)
        .zip(importance.as_chunks().0)
        .map(|((x, block), importance)| (x, importance, block))
}

fn sub_blocks<'a, const LEN: usize>(
    x: &'a [f32; 256],
    importance: &'a [f32; 256],
) -> impl Iterator<Item = (&'a [f32; LEN], &'a [f32; LEN])> {
    x.as_chunks().0.iter().zip(importance.as_chunks().0)
}

fn weights<const LEN: usize>(x: &[f32; LEN], importance: &[f32; LEN], sigma2: f32) -> [f32; LEN] {
    std::array::from_fn(|i| weight(importance[i], sigma2, x[i]))
}

fn sum(values: &[f32]) -> f32 {
    let mut sum = 0.0;
    for value in values {
        sum += value;
    }
    sum
}

fn sum_of_squares(x: &[f32]) -> f32 {
    let mut sum = 0.0;
    for x in x {
        sum += x * x;
    }
    sum
}
