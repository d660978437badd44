//! Rows with importance in lanes.
//!
//! Lanes of a search are filled as in [`crate::rows`]. Where the scales of a super-block are the
//! subject of a search of their own, this is done for a group of super-blocks at once, one or two
//! lanes for each. Sums of squares run side by side for several super-blocks, or rows, since each
//! waits for its own last addition.
//!
//! As there, everything is `#[inline(always)]`. Only what a format calls for the levels of a
//! search, which is rare, may be a function of its own, and rounds without the instruction for it.

#![allow(
    clippy::needless_range_loop,
    reason = "the loops over lanes are the algorithm"
)]

use crate::float::f32_to_f16;
use crate::formats::{five_bit, four_bit, iq4_nl, iq4_xs, q2_k, q3_k, q4_k, q5_k, q6_k};
use crate::search::lanes::Lanes;
use crate::search::weighted::{Spread, Steps, lanes as search, weight};
use crate::{GgmlType, Unsupported};

/// Super-blocks in a group.
const GROUP: usize = 16;

/// Lanes of a search for the units of scales and minimums, the scales' first.
const UNITS: usize = 2 * GROUP;

/// Rows whose sums of squares run side by side.
const ROWS: usize = 8;

/// For each group of super-blocks: searches their scales and minimums, and makes the blocks. A
/// macro for the reason that `search_in_lanes` in [`crate::rows`] is one.
macro_rules! scales_and_mins {
    (
        $n:ident, $rounds:ident, $sub_blocks:literal of $len:literal, levels to $max_level:literal, steps to
        $max_step:literal, $spread:expr, $importance:ident, $src:ident, $dst:ident, $encode:path
    ) => {{
        let groups = $src.as_chunks::<256>().0.chunks(GROUP);
        let blocks = $dst.as_chunks_mut().0.chunks_mut(GROUP);
        for (g, (x, blocks)) in groups.zip(blocks).enumerate() {
            let sigma2 = spread_of_super_blocks(x, $spread);
            let mut found = SuperBlocks::<$sub_blocks>::NONE;
            let searches = x
                .chunks($n / $sub_blocks)
                .zip(sigma2.chunks($n / $sub_blocks));
            for (i, (x, sigma2)) in searches.enumerate() {
                let first = g * GROUP * $sub_blocks + i * $n;
                let x = Lanes::<$n, $len>::of(x.as_flattened().as_chunks().0);
                let w = to_weights::<$n, $len>(&x, $importance, first, sigma2, $sub_blocks);
                found.keep(
                    i * $n,
                    &search::scale_and_min::<$n, $len, $rounds>(&x, &w, $max_level),
                    &sums(&w),
                );
            }
            let units = found.search_units($max_step);
            for (i, (x, block)) in x.iter().zip(blocks).enumerate() {
                let levels_of_search = |j: usize| {
                    let x = &x.as_chunks::<$len>().0[j];
                    let (per_x, from) = (found.level_per_x[i][j], found.from[i][j]);
                    search::levels_from::<$len, false>(x, per_x, from, $max_level)
                };
                $encode(x, &units[i], &units[GROUP + i], levels_of_search, block);
            }
        }
    }};
}

/// For as many blocks of 32 as there are lanes: searches, and stores the levels of the search.
macro_rules! blocks_of_32 {
    (
        $n:ident, $importance:ident, $src:ident, $dst:ident,
        ($x:ident, $w:ident) => $search:expr,
        ($found:ident, $lane:ident, $x_of_lane:ident, $block:ident) => $store:expr
    ) => {{
        let of_rows = spread_of_rows($src, $importance.len());
        let blocks_of_row = $importance.len() / 32;
        let groups = $src.as_chunks::<32>().0.chunks($n);
        let blocks = $dst.as_chunks_mut().0.chunks_mut($n);
        for (g, (x, blocks)) in groups.zip(blocks).enumerate() {
            let mut sigma2 = [0.0; $n];
            for (n, sigma2) in sigma2.iter_mut().enumerate().take(x.len()) {
                *sigma2 = of_rows[(g * $n + n) / blocks_of_row];
            }
            let $x = Lanes::<$n, 32>::of(x.as_flattened().as_chunks().0);
            let $w = to_weights::<$n, 32>(&$x, $importance, g * $n, &sigma2, 1);
            let $found = $search;
            for ($lane, ($x_of_lane, $block)) in x.iter().zip(blocks).enumerate() {
                $store;
            }
        }
    }};
}

/// Quantizes with `N` lanes, where `N` is 16 or 32. `ROUNDS` is told at
/// [`crate::rounding::nearest`]. The importance, that of a row, is not empty.
#[inline(always)]
pub(crate) fn quantize<const N: usize, const ROUNDS: bool>(
    ty: GgmlType,
    importance: &[f32],
    src: &[f32],
    dst: &mut [u8],
) -> Result<(), Unsupported> {
    match ty {
        GgmlType::Q2_K => scales_and_mins!(
            N, ROUNDS, 16 of 16, levels to 3.0, steps to 15,
            Spread::Mean, importance, src, dst, q2_k::encode_steps
        ),
        GgmlType::Q4_K => scales_and_mins!(
            N, ROUNDS, 8 of 32, levels to 15.0, steps to 63,
            Spread::Twice, importance, src, dst, q4_k::encode_steps
        ),
        GgmlType::Q5_K => scales_and_mins!(
            N, ROUNDS, 8 of 32, levels to 31.0, steps to 63,
            Spread::Twice, importance, src, dst, q5_k::encode_steps
        ),
        GgmlType::Q3_K => q3_k::<N, ROUNDS>(importance, src, dst),
        GgmlType::Q6_K => q6_k::<N, ROUNDS>(importance, src, dst),
        GgmlType::IQ4_NL => iq4_nl::<N>(importance, src, dst),
        GgmlType::IQ4_XS => iq4_xs::<N>(importance, src, dst),
        GgmlType::Q4_0 => blocks_of_32!(
            N, importance, src, dst,
            (x, w) => search::scale::<N, 32, ROUNDS>(&x, &w, 8),
            (found, n, x, block) => {
                let levels = search::levels_around_zero::<32, ROUNDS>(x, found.level_per_x[n], 8);
                four_bit::store_q4_0(found.scale[n], &levels, block)
            }
        ),
        GgmlType::Q5_0 => blocks_of_32!(
            N, importance, src, dst,
            (x, w) => search::scale::<N, 32, ROUNDS>(&x, &w, 16),
            (found, n, x, block) => {
                let levels = search::levels_around_zero::<32, ROUNDS>(x, found.level_per_x[n], 16);
                five_bit::store_q5_0(found.scale[n], &levels, block)
            }
        ),
        GgmlType::Q4_1 => blocks_of_32!(
            N, importance, src, dst,
            (x, w) => search::scale_and_min::<N, 32, ROUNDS>(&x, &w, 15.0),
            (found, n, x, block) => {
                let levels = search::levels_from::<32, ROUNDS>(x, found.level_per_x[n], found.from[n], 15.0);
                four_bit::store_q4_1(found.scale[n], -found.min[n], &levels, block)
            }
        ),
        GgmlType::Q5_1 => blocks_of_32!(
            N, importance, src, dst,
            (x, w) => search::scale_and_min::<N, 32, ROUNDS>(&x, &w, 31.0),
            (found, n, x, block) => {
                let levels = search::levels_from::<32, ROUNDS>(x, found.level_per_x[n], found.from[n], 31.0);
                five_bit::store_q5_1(found.scale[n], -found.min[n], &levels, block)
            }
        ),
        _ => return Err(Unsupported::quantize(ty)),
    }
    Ok(())
}

#[inline(always)]
fn q3_k<const N: usize, const ROUNDS: bool>(importance: &[f32], src: &[f32], dst: &mut [u8]) {
    let groups = src.as_chunks::<256>().0.chunks(GROUP);
    let blocks = dst.as_chunks_mut().0.chunks_mut(GROUP);
    for (g, (x, blocks)) in groups.zip(blocks).enumerate() {
        let sigma2 = spread_of_super_blocks(x, Spread::Twice);
        let mut scales = [[0.0; 16]; GROUP];
        let mut sums_of_w = [[0.0; 16]; GROUP];
        let mut level_per_x = [[0.0; 16]; GROUP];
        let searches = x.chunks(N / 16).zip(sigma2.chunks(N / 16));
        for (i, (x, sigma2)) in searches.enumerate() {
            let x = Lanes::<N, 16>::of(x.as_flattened().as_chunks().0);
            let w = to_weights::<N, 16>(&x, importance, g * GROUP * 16 + i * N, sigma2, 16);
            let found = search::scale::<N, 16, ROUNDS>(&x, &w, 4);
            scales.as_flattened_mut()[i * N..][..N].copy_from_slice(&found.scale);
            sums_of_w.as_flattened_mut()[i * N..][..N].copy_from_slice(&sums(&w));
            level_per_x.as_flattened_mut()[i * N..][..N].copy_from_slice(&found.level_per_x);
        }
        let (units, steps) = search::signed_unit::<GROUP, ROUNDS>(
            &Lanes::<GROUP, 16>::of(scales.as_flattened().as_chunks().0),
            &Lanes::<GROUP, 16>::of(sums_of_w.as_flattened().as_chunks().0),
        );
        for (i, (x, block)) in x.iter().zip(blocks).enumerate() {
            let levels_of_search = |j: usize| {
                search::levels_around_zero::<16, false>(
                    &x.as_chunks::<16>().0[j],
                    level_per_x[i][j],
                    4,
                )
            };
            let steps = steps[i].map(|step| step as i8 - 32);
            q3_k::encode_steps(x, f32_to_f16(units[i]), &steps, levels_of_search, block);
        }
    }
}

#[inline(always)]
fn q6_k<const N: usize, const ROUNDS: bool>(importance: &[f32], src: &[f32], dst: &mut [u8]) {
    let groups = src.as_chunks::<256>().0.chunks(N / 16);
    let blocks = dst.as_chunks_mut().0.chunks_mut(N / 16);
    for (g, (x, blocks)) in groups.zip(blocks).enumerate() {
        let w = importance_in_lanes::<N, 16>(importance, g * N);
        let found = search::scale::<N, 16, ROUNDS>(
            &Lanes::<N, 16>::of(x.as_flattened().as_chunks().0),
            &w,
            32,
        );
        let scales = found.scale.as_chunks().0;
        let level_per_x = found.level_per_x.as_chunks::<16>().0;
        for (i, (x, block)) in x.iter().zip(blocks).enumerate() {
            let levels_of_search = |j: usize| {
                search::levels_around_zero::<16, false>(
                    &x.as_chunks::<16>().0[j],
                    level_per_x[i][j],
                    32,
                )
            };
            q6_k::encode_scales(x, &scales[i], levels_of_search, block);
        }
    }
}

#[inline(always)]
fn iq4_nl<const N: usize>(importance: &[f32], src: &[f32], dst: &mut [u8]) {
    let groups = src.as_chunks::<32>().0.chunks(N);
    let blocks = dst.as_chunks_mut().0.chunks_mut(N);
    for (g, (x, blocks)) in groups.zip(blocks).enumerate() {
        let lanes = Lanes::<N, 32>::of(x.as_flattened().as_chunks().0);
        let mut sums = [0.0; N];
        for x in &lanes.0 {
            for n in 0..N {
                sums[n] += x[n] * x[n];
            }
        }
        let mut sigma2 = [0.0; N];
        for n in 0..N {
            sigma2[n] = Spread::TwiceTheMean.of(sums[n], 32);
        }
        let w = to_weights::<N, 32>(&lanes, importance, g * N, &sigma2, 1);
        let scales = search::grid_scale(&lanes, &w);
        for (n, (x, block)) in x.iter().zip(blocks).enumerate() {
            iq4_nl::encode(x, &[scales[n]], block);
        }
    }
}

#[inline(always)]
fn iq4_xs<const N: usize>(importance: &[f32], src: &[f32], dst: &mut [u8]) {
    let groups = src.as_chunks::<256>().0.chunks(GROUP);
    let blocks = dst.as_chunks_mut().0.chunks_mut(GROUP);
    for (g, (x, blocks)) in groups.zip(blocks).enumerate() {
        let sigma2 = spread_of_super_blocks(x, Spread::TwiceTheMean);
        let searches = x.chunks(N / 8).zip(sigma2.chunks(N / 8));
        for (i, ((x, sigma2), blocks)) in searches.zip(blocks.chunks_mut(N / 8)).enumerate() {
            let lanes = Lanes::<N, 32>::of(x.as_flattened().as_chunks().0);
            let w = to_weights::<N, 32>(&lanes, importance, g * GROUP * 8 + i * N, sigma2, 8);
            let scales = search::grid_scale(&lanes, &w);
            for (i, (x, block)) in x.iter().zip(blocks).enumerate() {
                iq4_xs::encode(x, &scales.as_chunks().0[i], block);
            }
        }
    }
}

/// What the searches find for the sub-blocks of a group of super-blocks.
struct SuperBlocks<const SUB_BLOCKS: usize> {
    scales: [[f32; SUB_BLOCKS]; GROUP],
    mins: [[f32; SUB_BLOCKS]; GROUP],
    level_per_x: [[f32; SUB_BLOCKS]; GROUP],
    from: [[f32; SUB_BLOCKS]; GROUP],
    sums_of_w: [[f32; SUB_BLOCKS]; GROUP],
}

impl<const SUB_BLOCKS: usize> SuperBlocks<SUB_BLOCKS> {
    const NONE: Self = Self {
        scales: [[0.0; SUB_BLOCKS]; GROUP],
        mins: [[0.0; SUB_BLOCKS]; GROUP],
        level_per_x: [[0.0; SUB_BLOCKS]; GROUP],
        from: [[0.0; SUB_BLOCKS]; GROUP],
        sums_of_w: [[0.0; SUB_BLOCKS]; GROUP],
    };

    /// Keeps what was found for `N` sub-blocks, the first one being sub-block `at` of the group.
    #[inline(always)]
    fn keep<const N: usize>(&mut self, at: usize, found: &search::Fit<N>, sums_of_w: &[f32; N]) {
        self.scales.as_flattened_mut()[at..][..N].copy_from_slice(&found.scale);
        self.mins.as_flattened_mut()[at..][..N].copy_from_slice(&found.min);
        self.level_per_x.as_flattened_mut()[at..][..N].copy_from_slice(&found.level_per_x);
        self.from.as_flattened_mut()[at..][..N].copy_from_slice(&found.from);
        self.sums_of_w.as_flattened_mut()[at..][..N].copy_from_slice(sums_of_w);
    }

    /// Searches the units of the scales and minimums.
    #[inline(always)]
    fn search_units(&self, max_step: u8) -> [Steps<SUB_BLOCKS>; UNITS] {
        let mut values = Lanes::<UNITS, SUB_BLOCKS>::ZERO;
        let mut w = Lanes::<UNITS, SUB_BLOCKS>::ZERO;
        for n in 0..GROUP {
            for j in 0..SUB_BLOCKS {
                values.0[j][n] = self.scales[n][j];
                values.0[j][GROUP + n] = self.mins[n][j];
                w.0[j][n] = self.sums_of_w[n][j];
                w.0[j][GROUP + n] = self.sums_of_w[n][j];
            }
        }
        search::unit(&values, &w, max_step)
    }
}

/// What each of `N` sub-blocks in lanes counts, the first one being sub-block `first` of the
/// tensor. Each `sigma2` is that of `sub_blocks` lanes.
#[inline(always)]
fn to_weights<const N: usize, const LEN: usize>(
    x: &Lanes<N, LEN>,
    importance: &[f32],
    first: usize,
    sigma2: &[f32],
    sub_blocks: usize,
) -> Lanes<N, LEN> {
    let mut of_lanes = [0.0; N];
    for (of_lanes, sigma2) in of_lanes.chunks_exact_mut(sub_blocks).zip(sigma2) {
        of_lanes.fill(*sigma2);
    }
    let mut w = importance_in_lanes::<N, LEN>(importance, first);
    for i in 0..LEN {
        for n in 0..N {
            w.0[i][n] = weight(w.0[i][n], of_lanes[n], x.0[i][n]);
        }
    }
    w
}

/// The importance of the columns of `N` sub-blocks, the first one being sub-block `first` of the
/// tensor.
#[inline(always)]
fn importance_in_lanes<const N: usize, const LEN: usize>(
    importance: &[f32],
    first: usize,
) -> Lanes<N, LEN> {
    let sub_blocks = importance.as_chunks::<LEN>().0;
    let first = first % sub_blocks.len();
    if let Some(sub_blocks) = sub_blocks[first..].first_chunk::<N>() {
        return Lanes::of(sub_blocks);
    }
    // The row ends here, and the next one begins.
    let mut of_rows = [[0.0; LEN]; N];
    for (n, of_rows) in of_rows.iter_mut().enumerate() {
        *of_rows = sub_blocks[(first + n) % sub_blocks.len()];
    }
    Lanes::of(&of_rows)
}

/// The sum of each lane.
#[inline(always)]
fn sums<const N: usize, const LEN: usize>(w: &Lanes<N, LEN>) -> [f32; N] {
    let mut sums = [0.0; N];
    for w in &w.0 {
        for n in 0..N {
            sums[n] += w[n];
        }
    }
    sums
}

/// The `σ²` of up to a group of super-blocks.
#[inline(always)]
fn spread_of_super_blocks(x: &[[f32; 256]], spread: Spread) -> [f32; GROUP] {
    let mut sums = [0.0; GROUP];
    if let Some(x) = x.first_chunk::<GROUP>() {
        for i in 0..256 {
            for (sum, x) in sums.iter_mut().zip(x) {
                *sum += x[i] * x[i];
            }
        }
    } else {
        for (sum, x) in sums.iter_mut().zip(x) {
            for x in x {
                *sum += x * x;
            }
        }
    }
    let mut sigma2 = [0.0; GROUP];
    for (sigma2, sum) in sigma2.iter_mut().zip(sums) {
        *sigma2 = spread.of(sum, 256);
    }
    sigma2
}

/// The `σ²` of each row of so many columns.
#[inline(always)]
fn spread_of_rows(x: &[f32], columns: usize) -> Vec<f32> {
    let mut sigma2 = Vec::with_capacity(x.len() / columns);
    for rows in x.chunks(ROWS * columns) {
        let mut sums = [0.0; ROWS];
        let mut starts = [0; ROWS];
        let count = rows.len() / columns;
        for (n, start) in starts.iter_mut().enumerate().take(count) {
            *start = n * columns;
        }
        for i in 0..columns {
            for n in 0..ROWS {
                let x = rows[starts[n] + i];
                sums[n] += x * x;
            }
        }
        sigma2.extend(
            sums.iter()
                .take(count)
                .map(|&sum| Spread::Mean.of(sum, columns)),
        );
    }
    sigma2
}
