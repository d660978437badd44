//! `bench quantize --search best`: how much lower the error of the better blocks is than that of
//! ggml's, and what they cost in time, on one core.
//!
//! The gain is measured on weights drawn from a Gaussian and from a Student-t distribution with six
//! degrees of freedom, whose outliers are more like those of trained weights. Real weights that were
//! quantized before prove nothing: they lie on a grid already. The error is the squared one, weighted
//! as ggml's search weights it, and next to it the plain one. With an importance matrix, both searches
//! have it, and the error is weighted as ggml weights it then.
//!
//! What is timed is f32 to blocks, on the Gaussian weights. As in [`super::quantize`] the contestants
//! take turns within each repetition, a time is the median over the repetitions and a ratio the median
//! of the ratios within each.

use std::fmt;
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use serde::Serialize;
use swallow_quant::{GgmlType, Isa};

use super::ggml;
use super::quantize::{REPETITIONS, WEIGHTS, median};

/// The types that there is a better search for.
pub const TYPES: [GgmlType; 3] = [GgmlType::Q4_K, GgmlType::Q5_K, GgmlType::Q6_K];

/// Weights that the gain is measured on: a thousand super-blocks.
const SAMPLE: usize = 256 * 1000;

/// Weights in a row of them, so columns of the importance matrix.
const COLUMNS: usize = 2048;

/// One line of the table: one type, one contestant.
#[derive(Clone, Debug, Serialize)]
pub struct Measurement {
    /// The type quantized to.
    #[serde(rename = "type")]
    pub ty: &'static str,
    /// `ggml`, or the instruction set of ours.
    pub kernel: &'static str,
    /// Nanoseconds for a weight.
    pub ns_per_weight: f64,
    /// How many times as fast as ggml.
    pub times_ggml: f64,
    /// The gain on Gaussian weights.
    pub gaussian: Gain,
    /// The gain on Student-t weights.
    pub student_t: Gain,
}

/// How much lower errors are than ggml's, in percent.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Gain {
    /// The error as ggml weights it.
    pub weighted: f64,
    /// The plain mean square error.
    pub plain: f64,
    /// The super-block that comes out worst, weighted. Not below 0: none gets worse.
    pub worst_block: f64,
}

impl Measurement {
    /// What the columns of a line are.
    pub const HEADER: &'static str = concat!(
        "                                      error lower by, in %\n",
        "                                      Gaussian         Student-t\n",
        "type   kernel   ns/weight   vs ggml   weighted plain   weighted plain",
    );
}

impl fmt::Display for Measurement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            ty,
            kernel,
            ns_per_weight,
            times_ggml,
            gaussian,
            student_t,
        } = self;
        write!(
            f,
            "{ty:<6} {kernel:<8} {ns_per_weight:>9.2}   {times_ggml:>6.2}x   {:>8.2} {:>5.2}   {:>8.2} {:>5.2}",
            gaussian.weighted, gaussian.plain, student_t.weighted, student_t.plain
        )
    }
}

/// Measures ggml's own search and the better one of every available instruction set on one type, for
/// about `seconds`: with an importance matrix or without.
///
/// # Panics
/// Where there is no better search for the type.
pub fn measure(ty: GgmlType, with_imatrix: bool, seconds: f64) -> Vec<Measurement> {
    assert!(
        swallow_quant::can_search_best(ty),
        "no better search for {ty}"
    );
    let (gaussian, student_t) = (gaussian(), student_t());
    let importance = with_imatrix.then(importance);
    let importance = importance.as_deref();
    let contestants: Vec<Option<Isa>> = std::iter::once(None)
        .chain(Isa::available().into_iter().map(Some))
        .collect();

    let timed = &gaussian[..WEIGHTS];
    let mut times = vec![Vec::new(); contestants.len()];
    let start = Instant::now();
    let end = Duration::from_secs_f64(seconds);
    while times[0].len() < REPETITIONS || start.elapsed() < end {
        for (times, &contestant) in times.iter_mut().zip(&contestants) {
            let start = Instant::now();
            std::hint::black_box(quantize(ty, contestant, importance, timed));
            times.push(start.elapsed().as_secs_f64());
        }
    }

    let lines = contestants.iter().zip(&times);
    lines
        .map(|(&contestant, ours)| Measurement {
            ty: ty.name(),
            kernel: contestant.map_or("ggml", Isa::name),
            ns_per_weight: median(ours.iter().copied()) / WEIGHTS as f64 * 1e9,
            times_ggml: median(times[0].iter().zip(ours).map(|(ggml, ours)| ggml / ours)),
            gaussian: gain(ty, contestant, importance, &gaussian),
            student_t: gain(ty, contestant, importance, &student_t),
        })
        .collect()
}

/// The blocks that ggml's search finds, or the better one with the kernels of an instruction set.
fn quantize(
    ty: GgmlType,
    contestant: Option<Isa>,
    importance: Option<&[f32]>,
    rows: &[f32],
) -> Vec<u8> {
    let mut blocks = vec![0; ty.row_bytes(rows.len()).unwrap_or(0)];
    match (contestant, importance) {
        (None, None) => ggml::quantize(ty, rows, &mut blocks),
        (None, Some(importance)) => {
            ggml::quantize_with_importance(ty, importance, rows, &mut blocks);
        }
        (Some(isa), importance) => {
            if swallow_quant::quantize_best(ty, isa, importance, rows, &mut blocks).is_err() {
                unreachable!("what can be searched can be quantized");
            }
        }
    }
    blocks
}

fn gain(ty: GgmlType, contestant: Option<Isa>, importance: Option<&[f32]>, rows: &[f32]) -> Gain {
    let errors_of = |contestant| {
        let blocks = quantize(ty, contestant, importance, rows);
        errors(ty, importance, rows, &blocks)
    };
    let (before, after) = (errors_of(None), errors_of(contestant));
    let sum = |errors: &[Error], of: fn(&Error) -> f64| errors.iter().map(of).sum::<f64>();
    let lower = |before: f64, after: f64| 100.0 * (1.0 - after / before);
    Gain {
        weighted: lower(sum(&before, |e| e.weighted), sum(&after, |e| e.weighted)),
        plain: lower(sum(&before, |e| e.plain), sum(&after, |e| e.plain)),
        worst_block: before
            .iter()
            .zip(&after)
            .map(|(before, after)| lower(before.weighted, after.weighted))
            .fold(f64::INFINITY, f64::min),
    }
}

/// Sums of squared errors over a super-block.
struct Error {
    weighted: f64,
    plain: f64,
}

/// The errors of each super-block, as ggml reads it.
fn errors(ty: GgmlType, importance: Option<&[f32]>, rows: &[f32], blocks: &[u8]) -> Vec<Error> {
    let mut read = vec![0.0; rows.len()];
    ggml::dequantize(ty, blocks, &mut read);
    let super_blocks = rows.chunks(256).zip(read.chunks(256)).enumerate();
    super_blocks
        .map(|(i, (x, y))| {
            let columns = importance.map(|importance| &importance[256 * i % COLUMNS..][..256]);
            let squares = x.iter().zip(y).map(|(x, y)| f64::from(y - x).powi(2));
            let squares: Vec<f64> = squares.collect();
            Error {
                weighted: squares
                    .iter()
                    .zip(weights(ty, columns, x))
                    .map(|(e, w)| e * w)
                    .sum(),
                plain: squares.iter().sum(),
            }
        })
        .collect()
}

/// How much ggml's search lets each weight of a super-block count: with its square in Q6_K, else with
/// its magnitude plus the root mean square of its 32. With the importance of its column, with that in
/// Q6_K, else with that times the root of its square plus twice the mean square of the super-block.
fn weights(ty: GgmlType, columns: Option<&[f32]>, x: &[f32]) -> Vec<f64> {
    let square = |x: &f32| f64::from(*x).powi(2);
    if let Some(columns) = columns {
        let columns = columns.iter().map(|importance| f64::from(*importance));
        if ty == GgmlType::Q6_K {
            return columns.collect();
        }
        let spread = 2.0 * x.iter().map(square).sum::<f64>() / 256.0;
        let roots = x.iter().map(|x| (spread + square(x)).sqrt());
        return columns.zip(roots).map(|(q, root)| q * root).collect();
    }
    if ty == GgmlType::Q6_K {
        return x.iter().map(square).collect();
    }
    let sub_blocks = x.chunks(32);
    sub_blocks
        .flat_map(|x| {
            let root_mean_square = (x.iter().map(square).sum::<f64>() / 32.0).sqrt();
            x.iter().map(move |x| root_mean_square + f64::from(x.abs()))
        })
        .collect()
}

/// Gaussian weights of the size that trained ones have, the same every time.
fn gaussian() -> Vec<f32> {
    let normals = StandardNormal.sample_iter(ChaCha8Rng::seed_from_u64(1));
    normals.map(|x: f32| 0.02 * x).take(SAMPLE).collect()
}

/// Weights with more outliers: Student-t with six degrees of freedom.
fn student_t() -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let mut normal = || -> f32 { StandardNormal.sample(&mut rng) };
    (0..SAMPLE)
        .map(|_| {
            let square: f32 = (0..6).map(|_| normal().powi(2)).sum();
            0.02 * normal() / (square / 6.0).sqrt()
        })
        .collect()
}

/// The importance of columns: a few count much more than most, as activations have it.
fn importance() -> Vec<f32> {
    let normals = StandardNormal.sample_iter(ChaCha8Rng::seed_from_u64(3));
    normals.map(f32::exp).take(COLUMNS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kernel_has_the_gain_that_is_promised() {
        for (with_imatrix, least) in [(false, [4.0, 12.0, 17.0]), (true, [4.0, 12.0, 13.0])] {
            check(with_imatrix, least);
        }
    }

    fn check(with_imatrix: bool, least: [f64; 3]) {
        for (ty, least) in TYPES.into_iter().zip(least) {
            let lines = measure(ty, with_imatrix, 0.0);
            let [ggml, ours @ ..] = lines.as_slice() else {
                panic!("no lines for {ty}");
            };
            assert_eq!(ggml.kernel, "ggml");
            assert_eq!(ggml.gaussian.weighted, 0.0);
            let kernels: Vec<&str> = Isa::available().into_iter().map(Isa::name).collect();
            assert_eq!(
                ours.iter().map(|line| line.kernel).collect::<Vec<_>>(),
                kernels
            );
            for line in ours {
                for gain in [line.gaussian, line.student_t] {
                    assert!(gain.weighted >= least, "{line}");
                    assert!(gain.worst_block >= -1e-4, "{gain:?}");
                }
            }
        }
    }

    #[test]
    fn columns_stand_under_their_headings() {
        let gain = Gain {
            weighted: 5.163,
            plain: 4.761,
            worst_block: 0.2,
        };
        let line = Measurement {
            ty: "Q4_K",
            kernel: "AVX-512",
            ns_per_weight: 11.04,
            times_ggml: 4.061,
            gaussian: gain,
            student_t: gain,
        };
        let heads = Measurement::HEADER.lines().last();
        assert_eq!(
            heads,
            Some("type   kernel   ns/weight   vs ggml   weighted plain   weighted plain")
        );
        assert_eq!(
            line.to_string(),
            "Q4_K   AVX-512      11.04     4.06x       5.16  4.76       5.16  4.76"
        );
    }
}
