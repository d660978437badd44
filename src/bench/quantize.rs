//! `bench quantize`: the kernels of every instruction set beside ggml's own, on one core.
//!
//! What is timed is what converting does with a chunk of a tensor: bf16 to f32, then f32 to
//! blocks. For ggml both steps are ggml's own, for us both are ours. With an importance matrix the
//! searches are others and slower, so they are measured apart. The contestants take turns
//! within each repetition, so that what else the machine does hits all of them; a time is the
//! median over the repetitions, a ratio the median of the ratios within each.

use std::fmt;
use std::time::{Duration, Instant};

use serde::Serialize;
use swallow_quant::{GgmlType, Isa};

use super::ggml;

/// The types that are measured where none are named: all that are quantized to, but for F32.
pub const TYPES: [GgmlType; 14] = [
    GgmlType::Q2_K,
    GgmlType::Q3_K,
    GgmlType::Q4_K,
    GgmlType::Q5_K,
    GgmlType::Q6_K,
    GgmlType::IQ4_NL,
    GgmlType::IQ4_XS,
    GgmlType::Q8_0,
    GgmlType::Q4_0,
    GgmlType::Q4_1,
    GgmlType::Q5_0,
    GgmlType::Q5_1,
    GgmlType::F16,
    GgmlType::BF16,
];

/// Weights in a chunk: few enough that it stays in the cache, and that the slowest contestant's
/// turn is shorter than a time slice. On a busy machine the long turns would otherwise be
/// interrupted and the short ones not.
pub(super) const WEIGHTS: usize = 16 * 1024;

/// Weights in a row of them, so columns of the importance matrix.
const COLUMNS: usize = 4096;

/// Chunks, a different one in each repetition. Over a single one, a good processor learns by heart
/// which way the branches of the searches go, and ggml's Q3_K takes half the time it takes for the
/// weights of a model, which come once each.
const CHUNKS: usize = 128;

/// Repetitions at least, however long one takes.
pub(super) const REPETITIONS: usize = 5;

/// What the figures were measured on.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// The processor, as it names itself.
    pub cpu: String,
    /// The instruction sets it has kernels for.
    pub instruction_sets: Vec<&'static str>,
    /// The linked ggml.
    pub ggml_version: String,
    /// Whether that ggml writes the bytes that are promised, see [`ggml::is_built_as_expected`].
    pub ggml_built_as_expected: bool,
}

impl Machine {
    /// Looks at this machine.
    pub fn look() -> Self {
        Self {
            cpu: cpu_model(),
            instruction_sets: Isa::available().into_iter().map(Isa::name).collect(),
            ggml_version: ggml::version(),
            ggml_built_as_expected: ggml::is_built_as_expected(),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let build = if self.ggml_built_as_expected {
            "built as expected"
        } else {
            "NOT built as expected: other bytes than its x86-64 build (target-cpu in RUSTFLAGS?)"
        };
        write!(
            f,
            "{} (one core), ggml {} {build}",
            self.cpu, self.ggml_version
        )
    }
}

/// One line of the table: one type, one contestant.
#[derive(Clone, Debug, Serialize)]
pub struct Measurement {
    /// The type quantized to.
    #[serde(rename = "type")]
    pub ty: &'static str,
    /// `ggml`, or the instruction set of ours.
    pub kernel: &'static str,
    /// 10⁹ bytes of bf16 weights per second.
    pub gb_per_second: f64,
    /// Nanoseconds for a weight.
    pub ns_per_weight: f64,
    /// How many times as fast as ggml.
    pub times_ggml: f64,
    /// Whether the bytes are ggml's.
    pub same_bytes: bool,
}

impl Measurement {
    /// What the columns of a line are.
    pub const HEADER: &'static str = "type   kernel     GB/s   ns/weight   vs ggml   bytes";
}

impl fmt::Display for Measurement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            ty,
            kernel,
            gb_per_second,
            ns_per_weight,
            times_ggml,
            same_bytes,
        } = self;
        let bytes = if *same_bytes { "same" } else { "DIFFER" };
        write!(
            f,
            "{ty:<6} {kernel:<8} {gb_per_second:>6.2}   {ns_per_weight:>9.3}   {times_ggml:>6.1}x   {bytes}"
        )
    }
}

/// Measures ggml and every available instruction set on one type, for about `seconds`: the
/// quantizers with an importance matrix or those without.
pub fn measure(ty: GgmlType, with_imatrix: bool, seconds: f64) -> Vec<Measurement> {
    let bf16 = weights();
    let mut chunks = bf16.chunks(2 * WEIGHTS).cycle();
    let importance = with_imatrix.then(importance);
    let mut values = vec![0.0; WEIGHTS];
    let mut blocks = vec![0; ty.row_bytes(WEIGHTS).unwrap_or(0)];

    let isas = Isa::available();
    let mut contestants = vec![None];
    contestants.extend(isas.into_iter().map(Some));
    let mut times = vec![Vec::new(); contestants.len()];
    let mut expected = Vec::new();
    let mut same_bytes = vec![true; contestants.len()];

    let start = Instant::now();
    let end = Duration::from_secs_f64(seconds);
    while times[0].len() < REPETITIONS || start.elapsed() < end {
        let bf16 = chunks.next().unwrap_or_default();
        for (i, &contestant) in contestants.iter().enumerate() {
            let start = Instant::now();
            match contestant {
                None => {
                    ggml::dequantize(GgmlType::BF16, bf16, &mut values);
                    match &importance {
                        None => ggml::quantize(ty, &values, &mut blocks),
                        Some(importance) => {
                            ggml::quantize_with_importance(ty, importance, &values, &mut blocks);
                        }
                    }
                }
                Some(isa) => {
                    swallow_quant::bf16_to_f32(bf16, &mut values);
                    // A type that cannot be quantized leaves the buffer as it was, which shows.
                    let written = match &importance {
                        None => swallow_quant::quantize(ty, isa, &values, &mut blocks),
                        Some(importance) => swallow_quant::quantize_with_importance(
                            ty,
                            isa,
                            importance,
                            &values,
                            &mut blocks,
                        ),
                    };
                    same_bytes[i] &= written.is_ok();
                }
            }
            times[i].push(start.elapsed().as_secs_f64());
            match contestant {
                None => expected.clone_from(&blocks),
                Some(_) => same_bytes[i] &= blocks == expected,
            }
            // Not even the last one's right bytes may be left standing.
            blocks.fill(0x55);
        }
    }

    contestants
        .iter()
        .enumerate()
        .map(|(i, contestant)| {
            let seconds_per_weight = median(times[i].iter().copied()) / WEIGHTS as f64;
            Measurement {
                ty: ty.name(),
                kernel: contestant.map_or("ggml", Isa::name),
                gb_per_second: 2.0 / seconds_per_weight / 1e9,
                ns_per_weight: seconds_per_weight * 1e9,
                times_ggml: median(
                    times[0]
                        .iter()
                        .zip(&times[i])
                        .map(|(ggml, ours)| ggml / ours),
                ),
                same_bytes: same_bytes[i],
            }
        })
        .collect()
}

pub(super) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// bf16 weights as a trained model has them: about normal, of size 0.02, the same every time.
fn weights() -> Vec<u8> {
    normals(1)
        .take(CHUNKS * WEIGHTS)
        .flat_map(|normal| half::bf16::from_f32(0.02 * normal).to_le_bytes())
        .collect()
}

/// The importance of columns as an importance matrix has it, a mean of squares of activations.
fn importance() -> Vec<f32> {
    normals(2)
        .take(COLUMNS)
        .map(|normal| normal * normal)
        .collect()
}

/// Numbers that are about normal, the same for the same seed.
fn normals(seed: u64) -> impl Iterator<Item = f32> {
    let mut state = seed;
    let mut uniform = move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 24) as f32
    };
    std::iter::repeat_with(move || (0..12).map(|_| uniform()).sum::<f32>() - 6.0)
}

/// The processor as it names itself, or at least its architecture.
fn cpu_model() -> String {
    let named = std::fs::read_to_string("/proc/cpuinfo")
        .ok()
        .and_then(|cpuinfo| {
            let line = cpuinfo
                .lines()
                .find(|line| line.starts_with("model name"))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        });
    let named = named.or_else(|| std::env::var("PROCESSOR_IDENTIFIER").ok());
    named.unwrap_or_else(|| format!("{} processor", std::env::consts::ARCH))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kernel_has_a_line_with_ggmls_bytes() {
        for (ty, with_imatrix) in TYPES.into_iter().flat_map(|ty| [(ty, false), (ty, true)]) {
            let lines = measure(ty, with_imatrix, 0.0);
            let mut kernels = vec!["ggml"];
            kernels.extend(Isa::available().into_iter().map(Isa::name));
            assert_eq!(
                lines.iter().map(|line| line.kernel).collect::<Vec<_>>(),
                kernels
            );
            for line in lines {
                assert!(line.same_bytes, "{line}");
                assert!(line.ns_per_weight > 0.0 && line.times_ggml > 0.0, "{line}");
            }
        }
    }

    #[test]
    fn columns_stand_under_their_headings() {
        let line = Measurement {
            ty: "Q4_K",
            kernel: "AVX-512",
            gb_per_second: 0.4749,
            ns_per_weight: 4.2116,
            times_ggml: 14.76,
            same_bytes: true,
        };
        assert_eq!(
            Measurement::HEADER,
            "type   kernel     GB/s   ns/weight   vs ggml   bytes"
        );
        assert_eq!(
            line.to_string(),
            "Q4_K   AVX-512    0.47       4.212     14.8x   same"
        );
    }

    #[test]
    fn the_machine_is_told_in_one_line() {
        let machine = Machine::look();
        assert!(machine.ggml_built_as_expected, "{machine}");
        assert_eq!(machine.to_string().lines().count(), 1);
    }
}
