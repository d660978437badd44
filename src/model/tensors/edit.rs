//! What a merge does to weights between reading and quantizing: noise, a factor, and rounding to the
//! merged checkpoint's number format.
//!
//! The steps and their rounding are torch's in mergekit-moe. A tensor's arithmetic is in its own
//! format, so each step ends with a rounding to that, and the last one rounds to the recipe's:
//!
//! ```text
//! noise  = round(round(normal) × noise_scale)
//! weight = round(weight + noise)
//! weight = round(weight × factor)
//! weight = rounded to the recipe's dtype
//! ```
//!
//! The noise of a weight hangs on the seed, the tensor's name and the weight's index alone, so that
//! it is the same whatever the threads, the chunks, and whether a GGUF or a checkpoint is written: a
//! tensor is cut into blocks of [`NOISE_BLOCK`] weights, and each block has a stream of ChaCha8 of
//! its own, whose key is the SHA-256 of seed and name.

use half::{bf16, f16};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use sha2::{Digest, Sha256};
use swallow_quant::Isa;

use crate::source::Dtype;

/// Weights that share a stream of random numbers. Part of what makes the noise repeatable.
const NOISE_BLOCK: u64 = 1 << 14;

/// Weights that are edited at a time.
const PIECE: usize = 512;

/// Steps that the weights of a part go through. Never empty: [`Edit::new`] gives `None` then.
#[derive(Clone, Debug, PartialEq)]
pub struct Edit {
    /// The format that the weights have before, in which the arithmetic is done.
    source: Dtype,
    /// Normal noise that is added.
    noise: Option<Noise>,
    /// What the weights are multiplied by.
    factor: Option<f32>,
    /// The format that the weights are rounded to.
    dtype: Dtype,
}

/// Normal noise for one tensor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Noise {
    /// Standard deviation.
    scale: f32,
    /// Key of the random numbers.
    key: [u8; 32],
}

impl Noise {
    /// Noise of standard deviation `scale` for the merged checkpoint's tensor `name` (of the 2024
    /// layout, whatever is written).
    pub fn new(scale: f32, seed: u64, name: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(seed.to_le_bytes());
        hash.update(name);
        Self {
            scale,
            key: hash.finalize().into(),
        }
    }

    /// Adds noise to `weights` of format `source`, the first of which is weight `first` of the tensor.
    fn add_to(&self, weights: &mut [f32], first: u64, source: Dtype) {
        let mut at = first;
        let mut rest = weights;
        while !rest.is_empty() {
            let (block, within) = (at / NOISE_BLOCK, at % NOISE_BLOCK);
            let mut rng = ChaCha8Rng::from_seed(self.key);
            rng.set_stream(block);
            let n = rest.len().min((NOISE_BLOCK - within) as usize);
            let (now, later) = rest.split_at_mut(n);
            // How many random words a number takes is not fixed, so those before are drawn, too.
            let mut normal = StandardNormal.sample_iter(&mut rng).skip(within as usize);
            for weights in now.chunks_mut(PIECE) {
                let mut noise = [0.0; PIECE];
                let noise = &mut noise[..weights.len()];
                noise
                    .iter_mut()
                    .zip(&mut normal)
                    .for_each(|(x, drawn)| *x = drawn);
                source.round_all(noise);
                noise.iter_mut().for_each(|x| *x *= self.scale);
                source.round_all(noise);
                weights.iter_mut().zip(noise).for_each(|(w, x)| *w += *x);
                source.round_all(weights);
            }
            rest = later;
            at += n as u64;
        }
    }
}

impl Edit {
    /// The steps from weights of format `source` to `dtype`; `None` where they change nothing.
    pub fn new(
        source: Dtype,
        noise: Option<Noise>,
        factor: Option<f32>,
        dtype: Dtype,
    ) -> Option<Self> {
        let changes = noise.is_some() || factor.is_some() || source != dtype;
        changes.then_some(Self {
            source,
            noise,
            factor,
            dtype,
        })
    }

    /// The format that the weights have afterwards.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// Does the steps. The first of `weights` is weight `first` of the tensor.
    pub fn apply(&self, weights: &mut [f32], first: u64) {
        if let Some(noise) = &self.noise {
            noise.add_to(weights, first, self.source);
        }
        if let Some(factor) = self.factor {
            weights.iter_mut().for_each(|weight| *weight *= factor);
            self.source.round_all(weights);
        }
        if self.dtype != self.source {
            self.dtype.round_all(weights);
        }
    }
}

impl Dtype {
    /// The nearest number of this format, to even where two are as near; an infinity beyond the largest.
    pub fn round(self, x: f32) -> f32 {
        match self {
            Self::Bf16 => bf16::from_f32(x).to_f32(),
            Self::F16 => f16::from_f32(x).to_f32(),
            Self::F32 => x,
        }
    }

    /// Rounds each number as [`Dtype::round`] does, with the kernels that write and read the format.
    fn round_all(self, weights: &mut [f32]) {
        if self == Self::F32 {
            return;
        }
        let (ty, isa) = (self.ggml_type(), Isa::best());
        let mut bytes = [0; PIECE * 2];
        for weights in weights.chunks_mut(PIECE) {
            let bytes = &mut bytes[..weights.len() * 2];
            if let Err(unsupported) = swallow_quant::quantize(ty, isa, weights, bytes) {
                unreachable!("{unsupported}");
            }
            self.to_f32(bytes, weights);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn noisy(source: Dtype, dtype: Dtype) -> Edit {
        let noise = Noise::new(0.5, 7, "a");
        Edit::new(source, Some(noise), Some(2.0), dtype).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn noise_does_not_depend_on_where_a_tensor_is_cut(cuts in prop::collection::vec(0usize..40_000, 0..6)) {
            let edit = noisy(Dtype::F32, Dtype::F32);
            let mut whole = vec![1.0; 40_000];
            edit.apply(&mut whole, 0);
            let mut cut = vec![1.0; 40_000];
            let mut cuts = cuts;
            cuts.extend([0, 40_000]);
            cuts.sort_unstable();
            for range in cuts.windows(2) {
                edit.apply(&mut cut[range[0]..range[1]], range[0] as u64);
            }
            prop_assert_eq!(whole, cut);
        }
    }

    #[test]
    fn many_are_rounded_as_one_is() {
        let all: Vec<f32> = (0..1u32 << 16)
            .flat_map(|upper| {
                [0, 1, 0x0fff, 0x1000, 0x7fff, 0x8000, 0x8001].map(|l| upper << 16 | l)
            })
            .map(f32::from_bits)
            .filter(|x| !x.is_nan())
            .collect();
        for dtype in [Dtype::Bf16, Dtype::F16, Dtype::F32] {
            let mut rounded = all.clone();
            dtype.round_all(&mut rounded);
            for (x, y) in all.iter().zip(rounded) {
                assert_eq!(dtype.round(*x).to_bits(), y.to_bits(), "{x:e} {dtype:?}");
            }
        }
    }

    #[test]
    fn noise_is_normal_and_another_for_another_seed_name_or_block() {
        let draw = |seed, name| {
            let noise = Noise::new(0.25, seed, name);
            let edit = Edit::new(Dtype::F32, Some(noise), None, Dtype::F32).unwrap();
            let mut weights = vec![0.0; 1 << 16];
            edit.apply(&mut weights, 0);
            weights
        };
        let weights = draw(0, "a");
        let n = weights.len() as f32;
        let mean = weights.iter().sum::<f32>() / n;
        let variance = weights.iter().map(|w| w * w).sum::<f32>() / n;
        assert!(mean.abs() < 0.005, "{mean}");
        assert!((variance.sqrt() - 0.25).abs() < 0.003, "{variance}");
        assert_eq!(weights, draw(0, "a"));
        assert_ne!(weights, draw(1, "a"));
        assert_ne!(weights, draw(0, "b"));
        let block = NOISE_BLOCK as usize;
        assert_ne!(weights[..block], weights[block..2 * block]);
    }

    #[test]
    fn each_step_rounds_to_the_source_and_the_last_to_the_recipe() {
        let mut weights = [1.0 + 1.0 / 128.0];
        // 1.0078125 × 1.1 lies between the bf16 numbers 1.1015625 and 1.109375.
        let edit = Edit::new(Dtype::Bf16, None, Some(1.1), Dtype::F32).unwrap();
        edit.apply(&mut weights, 0);
        assert_eq!(weights, [1.109375]);
        let edit = noisy(Dtype::F32, Dtype::Bf16);
        let mut weights = [0.1; 100];
        edit.apply(&mut weights, 0);
        assert!(weights.iter().all(|&w| w == Dtype::Bf16.round(w)));
        let mut large = [7e4, 65519.0];
        Edit::new(Dtype::F32, None, None, Dtype::F16)
            .unwrap()
            .apply(&mut large, 0);
        assert_eq!(large, [f32::INFINITY, 65504.0]);
        assert_eq!(Edit::new(Dtype::F16, None, None, Dtype::F16), None);
    }
}
