//! The searches for `N` sub-blocks at once, one in each lane.
//!
//! `x[i][lane]` is weight `i` of sub-block `lane`. Every loop over lanes does the same operation
//! on each, so the compiler makes it one vector operation (or a few, where `N` is more than the
//! width); the loops over `i` keep the scalar order. Branches of the reference become selects.

#![allow(
    clippy::needless_range_loop,
    reason = "the loops over lanes are the algorithm"
)]

mod grid_scale;
mod range;
mod refined_scale;
mod scale;
mod scale_and_min;

pub(crate) use grid_scale::grid_scale;
pub(crate) use range::{largest, magnitude, range};
pub(crate) use refined_scale::refined_scales;
pub(crate) use scale::scale;
pub(crate) use scale_and_min::scale_and_min;

/// One number for each weight of `N` sub-blocks of `LEN`: `rows[i][lane]`. Aligned to the widest
/// vector, as one that lies across two cache lines takes twice as long to load.
#[repr(align(64))]
pub(crate) struct Lanes<const N: usize, const LEN: usize>(pub(crate) [[f32; N]; LEN]);

impl<const N: usize, const LEN: usize> Lanes<N, LEN> {
    /// Zero for each weight.
    pub(crate) const ZERO: Self = Self([[0.0; N]; LEN]);

    /// Lanes that are filled with these sub-blocks, see [`Lanes::fill`].
    #[inline(always)]
    pub(crate) fn of(sub_blocks: &[[f32; LEN]]) -> Self {
        let mut lanes = Self::ZERO;
        lanes.fill(sub_blocks);
        lanes
    }

    /// Puts up to `N` sub-blocks into a lane each; lanes without one are zero.
    #[inline(always)]
    pub(crate) fn fill(&mut self, sub_blocks: &[[f32; LEN]]) {
        const { assert!(LEN.is_multiple_of(4)) };
        if sub_blocks.len() < N {
            self.0.fill([0.0; N]);
        }
        // Four by four, which the compiler makes a few shuffles of; or, where it sees that the
        // same is done over and over, gathers and scatters of single weights, which are slow.
        // What it cannot look into keeps it from that.
        let (fours, rest) = sub_blocks.as_chunks::<4>();
        for (n, x) in fours.iter().enumerate() {
            std::hint::black_box(());
            let [a, b, c, d] = [
                x[0].as_chunks::<4>().0,
                x[1].as_chunks().0,
                x[2].as_chunks().0,
                x[3].as_chunks().0,
            ];
            for (i, rows) in self.0.as_chunks_mut::<4>().0.iter_mut().enumerate() {
                for k in 0..4 {
                    rows[k].as_chunks_mut::<4>().0[n] = [a[i][k], b[i][k], c[i][k], d[i][k]];
                }
            }
        }
        for (n, x) in rest.iter().enumerate() {
            for i in 0..LEN {
                self.0[i][4 * fours.len() + n] = x[i];
            }
        }
    }
}

/// Chooses without a branch, for which a vector has no use.
#[inline(always)]
pub(in crate::search) fn select(condition: bool, yes: f32, no: f32) -> f32 {
    std::hint::select_unpredictable(condition, yes, no)
}

/// The weight of the largest magnitude in each lane, the first of several.
#[inline(always)]
pub(in crate::search) fn largest_of_lanes<const N: usize, const LEN: usize>(
    x: &Lanes<N, LEN>,
) -> [f32; N] {
    let mut largest = [0.0f32; N];
    for x in &x.0 {
        for n in 0..N {
            largest[n] = select(x[n].abs() > largest[n].abs(), x[n], largest[n]);
        }
    }
    largest
}
