//! Rows that are hard to quantize, and a comparison of blocks that says where they differ.
//!
//! Used by the tests of every instruction set against the scalar reference, and by the tests of
//! both against ggml.

pub(crate) mod importance;

use proptest::prelude::*;
use swallow_quant::{GgmlType, Isa};

/// The types that are quantized to.
pub(crate) const QUANTIZED: [GgmlType; 15] = [
    GgmlType::IQ4_NL,
    GgmlType::IQ4_XS,
    GgmlType::Q2_K,
    GgmlType::Q3_K,
    GgmlType::Q4_K,
    GgmlType::Q5_K,
    GgmlType::Q6_K,
    GgmlType::Q8_0,
    GgmlType::Q4_0,
    GgmlType::Q4_1,
    GgmlType::Q5_0,
    GgmlType::Q5_1,
    GgmlType::F16,
    GgmlType::BF16,
    GgmlType::F32,
];

/// The types that an importance of columns makes a difference to.
pub(crate) const WEIGHTED: [GgmlType; 11] = [
    GgmlType::IQ4_NL,
    GgmlType::IQ4_XS,
    GgmlType::Q2_K,
    GgmlType::Q3_K,
    GgmlType::Q4_K,
    GgmlType::Q5_K,
    GgmlType::Q6_K,
    GgmlType::Q4_0,
    GgmlType::Q4_1,
    GgmlType::Q5_0,
    GgmlType::Q5_1,
];

/// What a stretch of weights looks like.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Zeros,
    NegativeZeros,
    MixedZeros,
    Constant(f32),
    /// Small noise with one weight of this value in it.
    Outlier(f32),
    /// As trained weights are: noise around zero of this size.
    Noise(f32),
    /// Noise that is nowhere above (or below) zero.
    OneSided(f32),
    /// Noise of this size around 1 or -1: a range that is small beside the values.
    Offset(f32, f32),
    /// This value and the few next to it: a range that rounding errors are as large as.
    Neighbours(f32),
    /// Nine weights of ten are zero.
    Sparse(f32),
    /// A rising or falling line.
    Ramp(f32),
    /// Two values only.
    TwoValues(f32, f32),
    /// Halves of a power of two: many ties for the rounding.
    Ties(f32),
    /// Any bf16 that is finite.
    AnyBf16,
    /// Any f32 that is finite.
    AnyF32,
    Denormals,
    Huge,
}

/// Rows of whole super-blocks, made of stretches of every kind.
pub(crate) fn rows() -> impl Strategy<Value = Vec<f32>> {
    let stretch = (
        kind(),
        prop::sample::select(vec![1usize, 16, 16, 32, 32, 48, 256, 300]),
        any::<u64>(),
    );
    (1usize..=9, prop::collection::vec(stretch, 1..24)).prop_map(|(blocks, stretches)| {
        let len = 256 * blocks;
        let mut row = Vec::with_capacity(len);
        for &(kind, stretch, seed) in stretches.iter().cycle() {
            let mut random = Random(seed ^ row.len() as u64);
            fill(kind, stretch.min(len - row.len()), &mut random, &mut row);
            if row.len() == len {
                break;
            }
        }
        row
    })
}

fn kind() -> impl Strategy<Value = Kind> {
    // Also sizes at which f16 scales overflow, vanish, or are subnormal.
    let size = prop_oneof![
        4 => Just(0.02f32),
        4 => (-45i32..38).prop_map(|exponent| 10f32.powi(exponent)),
        1 => Just(1e-15),
        1 => Just(65504.0 * 31.0),
    ];
    let signed =
        (size.clone(), any::<bool>()).prop_map(|(s, negative)| if negative { -s } else { s });
    prop_oneof![
        1 => Just(Kind::Zeros),
        1 => Just(Kind::NegativeZeros),
        1 => Just(Kind::MixedZeros),
        1 => signed.clone().prop_map(Kind::Constant),
        1 => signed.clone().prop_map(Kind::Outlier),
        4 => size.clone().prop_map(Kind::Noise),
        1 => signed.clone().prop_map(Kind::OneSided),
        2 => (signed.clone(), size.clone()).prop_map(|(one, size)| Kind::Offset(one, size)),
        3 => signed.clone().prop_map(Kind::Neighbours),
        1 => size.clone().prop_map(Kind::Sparse),
        1 => signed.clone().prop_map(Kind::Ramp),
        1 => (signed.clone(), signed.clone()).prop_map(|(a, b)| Kind::TwoValues(a, b)),
        1 => size.prop_map(Kind::Ties),
        1 => Just(Kind::AnyBf16),
        1 => Just(Kind::AnyF32),
        1 => Just(Kind::Denormals),
        1 => Just(Kind::Huge),
    ]
}

/// Appends `n` weights of a kind.
pub(crate) fn fill(kind: Kind, n: usize, random: &mut Random, row: &mut Vec<f32>) {
    let outlier = random.below(n.max(1));
    for i in 0..n {
        let noise = random.noise();
        row.push(match kind {
            Kind::Zeros => 0.0,
            Kind::NegativeZeros => -0.0,
            Kind::MixedZeros => [0.0, -0.0][random.below(2)],
            Kind::Constant(value) => value,
            Kind::Outlier(value) if i == outlier => value,
            Kind::Outlier(_) => 0.01 * noise,
            Kind::Noise(size) => bf16(size * noise),
            Kind::OneSided(size) => size * noise.abs(),
            Kind::Offset(one, size) => one.signum() + size.min(1e30) * noise,
            Kind::Neighbours(value) => f32::from_bits(value.to_bits() + random.below(6) as u32),
            Kind::Sparse(size) => {
                if random.below(10) == 0 {
                    size * noise
                } else {
                    0.0
                }
            }
            Kind::Ramp(size) => size * (i as f32 / n as f32 - 0.25),
            Kind::TwoValues(a, b) => [a, b][random.below(2)],
            Kind::Ties(size) => size * (random.below(63) as f32 / 2.0 - 15.5),
            Kind::AnyBf16 => finite(random, 0xffff_0000),
            Kind::AnyF32 => finite(random, 0xffff_ffff),
            Kind::Denormals => f32::from_bits((random.next() as u32) & 0x807f_ffff),
            Kind::Huge => f32::from_bits(
                (0x7f7f_ffff - (random.next() as u32 & 0x007f_ffff))
                    | ((random.next() as u32) << 31),
            ),
        });
        // Sizes times noise may overflow: the kernels are for finite weights.
        let last = row.last_mut().expect("one was pushed");
        *last = last.clamp(f32::MIN, f32::MAX);
    }
}

fn bf16(value: f32) -> f32 {
    f32::from_bits(value.to_bits() & 0xffff_0000)
}

fn finite(random: &mut Random, mask: u32) -> f32 {
    loop {
        let value = f32::from_bits(random.next() as u32 & mask);
        if value.is_finite() {
            return value;
        }
    }
}

/// A small generator of random numbers (splitmix64), the same on every machine.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    /// About normal: mean 0, variance 1, at most 6 in magnitude.
    pub(crate) fn noise(&mut self) -> f32 {
        (0..12)
            .map(|_| (self.next() >> 40) as f32 / (1u64 << 24) as f32)
            .sum::<f32>()
            - 6.0
    }
}

/// Quantizes into a poisoned buffer, so that a byte left out shows.
pub(crate) fn quantize(ty: GgmlType, isa: Isa, row: &[f32], poison: u8) -> Vec<u8> {
    let mut blocks = vec![poison; ty.row_bytes(row.len()).expect("rows are whole blocks")];
    swallow_quant::quantize(ty, isa, row, &mut blocks).expect("the type is supported");
    blocks
}

/// Says which blocks and bits differ, if any do.
pub(crate) fn difference(
    ty: GgmlType,
    row: &[f32],
    expected: &[u8],
    found: &[u8],
) -> Option<String> {
    assert_eq!(expected.len(), found.len());
    let blocks = || {
        expected
            .chunks(ty.block_bytes())
            .zip(found.chunks(ty.block_bytes()))
    };
    let differing: Vec<usize> = blocks()
        .enumerate()
        .filter(|(_, (a, b))| a != b)
        .map(|(i, _)| i)
        .collect();
    let &first = differing.first()?;
    let (a, b) = blocks().nth(first)?;
    let bytes: Vec<String> = a
        .iter()
        .zip(b)
        .enumerate()
        .filter(|(_, (a, b))| a != b)
        .map(|(i, (a, b))| format!("byte {i}: expected {a:#010b}, found {b:#010b}"))
        .collect();
    let weights = &row[first * ty.block_len()..][..ty.block_len()];
    Some(format!(
        "{} of {} {ty} blocks differ: {differing:?}; in block {first}: {}; its weights: {weights:?}",
        differing.len(),
        blocks().count(),
        bytes.join(", "),
    ))
}
