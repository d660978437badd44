//! One super-block: what it weighs, how wrong its block is, and the block that takes its place.
//!
//! # Weights
//! As ggml has them. Without an importance matrix a weight counts with its magnitude plus the root
//! mean square of its sub-block (Q4_K, Q5_K), or with its square (Q6_K). With one, the importance `q`
//! of its column counts as `q·√(σ² + x²)`, where `σ²` is twice the mean square of the super-block
//! (Q4_K, Q5_K), or by itself (Q6_K).

use super::forms::reciprocal;
use super::units::{RayUnits, Units};
use crate::GgmlType;
use crate::float::f32_to_f16;
use crate::formats::{q4_k, q5_k, q6_k, six_bit_scales};
use crate::rounding::{nearest_between, nearest_int};

/// The largest finite f16.
const LARGEST_UNIT: f32 = 65504.0;

/// Reads the old block and the new one, and keeps the new one if that is better. Not a function, for
/// the reason that `search_in_lanes` in [`crate::rows`] is none.
macro_rules! replace_if_better {
    ($super_block:ident, $block:ident, $new:ident, $decode:path) => {
        if let Some(old) = $block.first_chunk_mut() {
            let (mut before, mut after) = ([0.0; 256], [0.0; 256]);
            $decode(old, &mut before);
            $decode(&$new, &mut after);
            if $super_block.is_better(&after, &before) {
                *old = $new;
            }
        }
    };
}

/// The weights of a super-block.
pub(crate) struct SuperBlock {
    ty: GgmlType,
    /// As they are.
    unlimited: [f32; 256],
    /// As they are searched with: no further from zero than the format reaches, so that no sum
    /// overflows.
    pub(crate) x: [f32; 256],
    /// How much each counts.
    pub(crate) w: [f32; 256],
    /// The highest level.
    pub(crate) max_level: f32,
}

impl SuperBlock {
    /// What fills a group that has fewer.
    pub(crate) const EMPTY: Self = Self {
        ty: GgmlType::Q4_K,
        unlimited: [0.0; 256],
        x: [0.0; 256],
        w: [0.0; 256],
        max_level: 15.0,
    };

    /// A super-block of `x`, with the importance of its columns, if there is one.
    #[inline(always)]
    pub(crate) fn new(ty: GgmlType, x: &[f32; 256], importance: Option<&[f32; 256]>) -> Self {
        let (max_level, furthest) = match ty {
            GgmlType::Q4_K => (15.0, 63.0 * 15.0),
            GgmlType::Q5_K => (31.0, 63.0 * 31.0),
            _ => (31.0, 128.0 * 32.0),
        };
        let limit = LARGEST_UNIT * furthest;
        let mut limited = [0.0; 256];
        for (limited, x) in limited.iter_mut().zip(x) {
            *limited = x.clamp(-limit, limit);
        }
        let w = match (ty, importance) {
            (GgmlType::Q6_K, None) => limited.map(|x| x * x),
            (GgmlType::Q6_K, Some(importance)) => *importance,
            (_, None) => magnitudes(&limited),
            (_, Some(importance)) => important_magnitudes(&limited, importance),
        };
        Self {
            ty,
            unlimited: *x,
            x: limited,
            w,
            max_level,
        }
    }

    /// Bytes of its block.
    #[inline(always)]
    pub(crate) fn block_bytes(&self) -> usize {
        self.ty.block_bytes()
    }

    /// Replaces the block by that with these units, if its error is lower (Q4_K, Q5_K).
    #[inline(always)]
    pub(crate) fn replace_lines<const ROUNDS: bool>(&self, units: &Units, block: &mut [u8]) {
        let mut levels = [[0; 32]; 8];
        let (mut s, mut m) = ([0; 8], [0; 8]);
        for (j, x) in self.x.as_chunks::<32>().0.iter().enumerate() {
            (s[j], m[j]) = (units.s[j] as u8, units.m[j] as u8);
            let per_scale = reciprocal(units.d * units.s[j]);
            let min = units.dmin * units.m[j];
            for (level, x) in levels[j].iter_mut().zip(x) {
                let nearest = nearest_between::<ROUNDS>((x + min) * per_scale, 0.0, self.max_level);
                *level = nearest_int(nearest) as u8;
            }
        }
        let (d, dmin) = (f32_to_f16(units.d), f32_to_f16(units.dmin));
        if self.ty == GgmlType::Q4_K {
            let mut new = [0; q4_k::BYTES];
            let (header, low) = new.split_at_mut(six_bit_scales::BYTES);
            six_bit_scales::write(d, dmin, &s, &m, header);
            q4_k::store_levels(&levels, low);
            replace_if_better!(self, block, new, q4_k::decode);
        } else {
            let mut new = [0; q5_k::BYTES];
            let (header, bits) = new.split_at_mut(six_bit_scales::BYTES);
            six_bit_scales::write(d, dmin, &s, &m, header);
            q5_k::store_levels(&levels, bits);
            replace_if_better!(self, block, new, q5_k::decode);
        }
    }

    /// Replaces the block by that with these units, if its error is lower (Q6_K).
    #[inline(always)]
    pub(crate) fn replace_rays<const ROUNDS: bool>(&self, units: &RayUnits, block: &mut [u8]) {
        let mut levels = [0; 256];
        let mut s = [0; 16];
        let sub_blocks = levels.as_chunks_mut::<16>().0.iter_mut();
        for (j, (levels, x)) in sub_blocks.zip(self.x.as_chunks::<16>().0).enumerate() {
            s[j] = units.s[j] as i8;
            let per_scale = reciprocal(units.d * units.s[j]);
            for (level, x) in levels.iter_mut().zip(x) {
                let nearest = nearest_between::<ROUNDS>(x * per_scale, -32.0, 31.0);
                *level = nearest_int(nearest + 32.0) as u8;
            }
        }
        let mut new = [0; q6_k::BYTES];
        q6_k::pack(f32_to_f16(units.d), &s, &levels, &mut new);
        replace_if_better!(self, block, new, q6_k::decode);
    }

    /// Whether the weights are read with a lower error after than before. What is not finite before
    /// (the format overflows) is worse than anything. Where all that a sub-block has counts for
    /// nothing, its error does not tell how well it is read, and nothing is better.
    #[inline(always)]
    fn is_better(&self, after: &[f32; 256], before: &[f32; 256]) -> bool {
        let (after, before) = (self.error(after), self.error(before));
        let better = (after < before && self.counts()) || !before.is_finite();
        better && after.is_finite()
    }

    /// The weighted squared error of what is read. The sum has eight parts, so that it need not wait
    /// for each addition.
    #[inline(always)]
    fn error(&self, read: &[f32; 256]) -> f64 {
        let mut parts = [0.0f64; 8];
        let eights = read.as_chunks::<8>().0.iter();
        let eights = eights
            .zip(self.unlimited.as_chunks::<8>().0)
            .zip(self.w.as_chunks::<8>().0);
        for ((read, x), w) in eights {
            for i in 0..8 {
                let difference = f64::from(read[i]) - f64::from(x[i]);
                parts[i] += f64::from(w[i]) * difference * difference;
            }
        }
        parts.iter().sum()
    }

    /// Whether there is something that counts in each sub-block that is not zero.
    #[inline(always)]
    fn counts(&self) -> bool {
        let len = if self.ty == GgmlType::Q6_K { 16 } else { 32 };
        let mut sub_blocks = self.x.chunks_exact(len).zip(self.w.chunks_exact(len));
        sub_blocks.all(|(x, w)| w.iter().any(|&w| w != 0.0) || x.iter().all(|&x| x == 0.0))
    }
}

/// Magnitudes plus the root mean square of the sub-block.
#[inline(always)]
fn magnitudes(x: &[f32; 256]) -> [f32; 256] {
    let mut w = [0.0; 256];
    for (w, x) in w
        .as_chunks_mut::<32>()
        .0
        .iter_mut()
        .zip(x.as_chunks::<32>().0)
    {
        let root_mean_square = (sum_of_squares(x) / 32.0).sqrt();
        for (w, x) in w.iter_mut().zip(x) {
            *w = root_mean_square + x.abs();
        }
    }
    w
}

/// Importance times the root of the square plus twice the mean square of the super-block.
#[inline(always)]
fn important_magnitudes(x: &[f32; 256], importance: &[f32; 256]) -> [f32; 256] {
    let variance = 2.0 * sum_of_squares(x) / 256.0;
    let mut w = [0.0; 256];
    for ((w, x), q) in w.iter_mut().zip(x).zip(importance) {
        *w = q * (variance + x * x).sqrt();
    }
    w
}

#[inline(always)]
fn sum_of_squares(x: &[f32]) -> f32 {
    let mut sum = 0.0;
    for x in x {
        sum += x * x;
    }
    sum
}
