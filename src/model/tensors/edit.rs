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

use crate::source::Dtype;

/// Weights that share a stream of random numbers. Part of what makes the noise repeatable.
const NOISE_BLOCK: u64 = 1 << 14;

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

    /// Calls `add` with each of `weights`, the first of which is weight `first` of the tensor, and a
    /// number of the normal distribution.
    fn for_each(&self, weights: &mut [f32], first: u64, mut add: impl FnMut(&mut f32, f32)) {
        let mut at = first;
        let mut rest = weights;
        while !rest.is_empty() {
            let (block, within) = (at / NOISE_BLOCK, at % NOISE_BLOCK);
            let mut rng = ChaCha8Rng::from_seed(self.key);
            rng.set_stream(block);
            let n = rest.len().min((NOISE_BLOCK - within) as usize);
            let (now, later) = rest.split_at_mut(n);
            // How many random words a number takes is not fixed, so those before are drawn, too.
            let normal = StandardNormal.sample_iter(&mut rng).skip(within as usize);
            now.iter_mut().zip(normal).for_each(|(w, x)| add(w, x));
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
            let round = |x| self.source.round(x);
            noise.for_each(weights, first, |weight, normal| {
                *weight = round(*weight + round(round(normal) * noise.scale));
            });
        }
        if let Some(factor) = self.factor {
            for weight in weights.iter_mut() {
                *weight = self.source.round(*weight * factor);
            }
        }
        if self.dtype != self.source {
            for weight in weights {
                *weight = self.dtype.round(*weight);
            }
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
