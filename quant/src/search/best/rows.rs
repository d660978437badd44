//! From ggml's blocks to better ones: rows of weights and their blocks go in, and each block whose
//! error can be lowered is replaced.
//!
//! As in [`crate::rows`], everything under [`lanes`] is inlined into the function that switches an
//! instruction set on.

use super::forms::{Line, Ray, Sums, Totals, reciprocal};
use super::super_block::SuperBlock;
use super::units::{RayUnits, Units};
use super::{FITTINGS, KEEP};
use crate::GgmlType;
use crate::search::lanes::Lanes;

/// Lanes of the searches, a sub-block in each.
const LANES: usize = 32;

/// Super-blocks of Q4_K and Q5_K that fill them.
const GROUP: usize = LANES / 8;

/// Super-blocks of Q6_K that fill them.
const RAY_GROUP: usize = LANES / 16;

/// Makes the blocks of `src` in `dst` better, with the scalar reference.
pub(crate) fn scalar(ty: GgmlType, importance: Option<&[f32]>, src: &[f32], dst: &mut [u8]) {
    let blocks = dst.chunks_exact_mut(ty.block_bytes());
    for (i, (x, block)) in src.as_chunks().0.iter().zip(blocks).enumerate() {
        let super_block = SuperBlock::new(ty, x, columns(importance, i));
        if ty == GgmlType::Q6_K {
            scalar_rays(&super_block, block);
        } else {
            scalar_lines(&super_block, block);
        }
    }
}

fn scalar_lines(super_block: &SuperBlock, block: &mut [u8]) {
    use super::scalar::{lines, sums, totals, units};
    let max_level = super_block.max_level;
    let (x, w) = (
        super_block.x.as_chunks::<32>().0,
        super_block.w.as_chunks::<32>().0,
    );
    let totals: [Totals; 8] = std::array::from_fn(|j| totals(&x[j], &w[j]));
    let found: [[Line; KEEP]; 8] =
        std::array::from_fn(|j| lines(&x[j], &w[j], totals[j], max_level));
    let mut units = units(&found, &totals);
    for _ in 0..FITTINGS {
        let sums: [Sums; 8] = std::array::from_fn(|j| {
            let (scale, min) = (units.d * units.s[j], units.dmin * units.m[j]);
            sums(&x[j], &w[j], scale, min, max_level)
        });
        units.refine::<false>(&sums, &totals);
    }
    super_block.replace_lines::<false>(&units, block);
}

fn scalar_rays(super_block: &SuperBlock, block: &mut [u8]) {
    use super::scalar::{ray_sums, ray_total, ray_units, rays};
    let (x, w) = (
        super_block.x.as_chunks::<16>().0,
        super_block.w.as_chunks::<16>().0,
    );
    let totals: [f32; 16] = std::array::from_fn(|j| ray_total(&x[j], &w[j]));
    let found: [[Ray; KEEP]; 16] = std::array::from_fn(|j| rays(&x[j], &w[j], totals[j]));
    let mut units = ray_units(&found);
    for _ in 0..FITTINGS {
        let rays: [Ray; 16] = std::array::from_fn(|j| {
            let (xl, l2) = ray_sums(&x[j], &w[j], reciprocal(units.d * units.s[j]));
            Ray::of(totals[j], xl, l2)
        });
        units.refine::<false>(&rays);
    }
    super_block.replace_rays::<false>(&units, block);
}

/// Makes the blocks of `src` in `dst` better, a group of super-blocks at once. `ROUNDS` is told
/// at [`crate::rounding::nearest`].
#[inline(always)]
pub(crate) fn lanes<const ROUNDS: bool>(
    ty: GgmlType,
    importance: Option<&[f32]>,
    src: &[f32],
    dst: &mut [u8],
) {
    let group = if ty == GgmlType::Q6_K {
        RAY_GROUP
    } else {
        GROUP
    };
    let blocks = dst.chunks_mut(group * ty.block_bytes());
    for (g, (x, blocks)) in src.as_chunks().0.chunks(group).zip(blocks).enumerate() {
        if ty == GgmlType::Q6_K {
            let mut group = [const { SuperBlock::EMPTY }; RAY_GROUP];
            for (i, x) in x.iter().enumerate() {
                group[i] = SuperBlock::new(ty, x, columns(importance, g * RAY_GROUP + i));
            }
            lanes_of_rays::<ROUNDS>(&group, blocks);
        } else {
            let mut group = [const { SuperBlock::EMPTY }; GROUP];
            for (i, x) in x.iter().enumerate() {
                group[i] = SuperBlock::new(ty, x, columns(importance, g * GROUP + i));
            }
            lanes_of_lines::<ROUNDS>(&group, group[0].max_level, blocks);
        }
    }
}

#[inline(always)]
fn lanes_of_lines<const ROUNDS: bool>(
    group: &[SuperBlock; GROUP],
    max_level: f32,
    blocks: &mut [u8],
) {
    use super::lanes::{lines, sums, totals, units};
    let (mut x, mut w) = ([[0.0; 256]; GROUP], [[0.0; 256]; GROUP]);
    for (i, super_block) in group.iter().enumerate() {
        (x[i], w[i]) = (super_block.x, super_block.w);
    }
    let x = Lanes::<LANES, 32>::of(x.as_flattened().as_chunks().0);
    let w = Lanes::<LANES, 32>::of(w.as_flattened().as_chunks().0);
    let totals = totals(&x, &w);
    let found = lines::<LANES, ROUNDS>(&x, &w, &totals, max_level);
    let (found, totals) = (found.as_chunks::<8>().0, totals.as_chunks::<8>().0);

    let mut all_units = [Units::ZERO; GROUP];
    for (i, group_units) in all_units.iter_mut().enumerate() {
        *group_units = units::<ROUNDS>(&found[i], &totals[i]);
    }
    for _ in 0..FITTINGS {
        let (mut scale, mut min) = ([0.0; LANES], [0.0; LANES]);
        for (n, (scale, min)) in scale.iter_mut().zip(&mut min).enumerate() {
            let units = &all_units[n / 8];
            (*scale, *min) = (units.d * units.s[n % 8], units.dmin * units.m[n % 8]);
        }
        let sums: [Sums; LANES] = sums::<LANES, ROUNDS>(&x, &w, &scale, &min, max_level);
        for (i, units) in all_units.iter_mut().enumerate() {
            units.refine::<ROUNDS>(&sums.as_chunks().0[i], &totals[i]);
        }
    }
    let blocks = blocks.chunks_exact_mut(group[0].block_bytes());
    for ((super_block, units), block) in group.iter().zip(&all_units).zip(blocks) {
        super_block.replace_lines::<ROUNDS>(units, block);
    }
}

#[inline(always)]
fn lanes_of_rays<const ROUNDS: bool>(group: &[SuperBlock; RAY_GROUP], blocks: &mut [u8]) {
    use super::ray_lanes::{ray_sums, ray_totals, ray_units, rays};
    let (mut x, mut w) = ([[0.0; 256]; RAY_GROUP], [[0.0; 256]; RAY_GROUP]);
    for (i, super_block) in group.iter().enumerate() {
        (x[i], w[i]) = (super_block.x, super_block.w);
    }
    let x = Lanes::<LANES, 16>::of(x.as_flattened().as_chunks().0);
    let w = Lanes::<LANES, 16>::of(w.as_flattened().as_chunks().0);
    let totals = ray_totals(&x, &w);
    let found = rays::<LANES, ROUNDS>(&x, &w, &totals);

    let mut all_units = [RayUnits::ZERO; RAY_GROUP];
    for (i, units) in all_units.iter_mut().enumerate() {
        *units = ray_units::<ROUNDS>(&found.as_chunks().0[i]);
    }
    for _ in 0..FITTINGS {
        let mut per_scale = [0.0; LANES];
        for (n, per_scale) in per_scale.iter_mut().enumerate() {
            let units = &all_units[n / 16];
            *per_scale = reciprocal(units.d * units.s[n % 16]);
        }
        let (xl, l2) = ray_sums::<LANES, ROUNDS>(&x, &w, &per_scale);
        let mut rays = [Ray::NONE; LANES];
        for (n, ray) in rays.iter_mut().enumerate() {
            *ray = Ray::of(totals[n], xl[n], l2[n]);
        }
        for (i, units) in all_units.iter_mut().enumerate() {
            units.refine::<ROUNDS>(&rays.as_chunks().0[i]);
        }
    }
    let blocks = blocks.chunks_exact_mut(group[0].block_bytes());
    for ((super_block, units), block) in group.iter().zip(&all_units).zip(blocks) {
        super_block.replace_rays::<ROUNDS>(units, block);
    }
}

/// The importance of the columns of super-block `i`, counted from the first row's first.
#[inline(always)]
fn columns(importance: Option<&[f32]>, i: usize) -> Option<&[f32; 256]> {
    let row = importance?.as_chunks().0;
    row.get(i % row.len().max(1))
}
