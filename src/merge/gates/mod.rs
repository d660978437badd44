//! The gates of a merge: which expert a token is sent to, as one vector for each expert and layer.

mod file;

use std::str::FromStr;

pub use file::GateError;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use crate::source::Dtype;

/// How gates are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GateMode {
    /// Of normal numbers.
    Random,
    /// Of evenly distributed numbers, as `torch.nn.Linear` begins.
    UniformRandom,
    /// Of the token embeddings of prompts.
    CheapEmbed,
    /// As [`GateMode::HiddenLast`].
    Hidden,
    /// Of the mean of the hidden states of prompts.
    HiddenAvg,
    /// Of the hidden state at the last token of prompts.
    HiddenLast,
}

impl GateMode {
    const NAMES: [(&'static str, Self); 6] = [
        ("random", Self::Random),
        ("uniform_random", Self::UniformRandom),
        ("cheap_embed", Self::CheapEmbed),
        ("hidden", Self::Hidden),
        ("hidden_avg", Self::HiddenAvg),
        ("hidden_last", Self::HiddenLast),
    ];

    /// The name in a recipe.
    pub fn name(self) -> &'static str {
        let found = Self::NAMES.iter().find(|(_, mode)| *mode == self);
        found.map_or("", |(name, _)| name)
    }
}

impl FromStr for GateMode {
    type Err = String;

    /// The mode of this name; else what was expected.
    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::NAMES.iter().find(|(name, _)| *name == text);
        found.map(|(_, mode)| *mode).ok_or_else(|| {
            let names: Vec<&str> = Self::NAMES.iter().map(|(name, _)| *name).collect();
            format!("one of {}", names.join(", "))
        })
    }
}

/// The prompts of one expert.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prompts {
    /// What should be routed to it.
    pub positive: Vec<String>,
    /// What should not.
    pub negative: Vec<String>,
}

/// The gates of every layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Gates {
    /// Number of layers.
    pub n_layer: usize,
    /// Number of experts.
    pub n_expert: usize,
    /// Width of the residual stream.
    pub n_embd: usize,
    /// For each layer `n_expert` rows of `n_embd` numbers.
    pub layers: Vec<Vec<f32>>,
}

impl Gates {
    /// Numbers of the normal distribution, from ChaCha8 with this seed: the same on every machine.
    pub fn random(n_layer: usize, n_expert: usize, n_embd: usize, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        Self::drawn(n_layer, n_expert, n_embd, || {
            StandardNormal.sample(&mut rng)
        })
    }

    /// Numbers between `±√(1/n_embd)`, from ChaCha8 with this seed: the same on every machine.
    pub fn uniform_random(n_layer: usize, n_expert: usize, n_embd: usize, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let scale = (1.0 / n_embd as f32).sqrt();
        Self::drawn(n_layer, n_expert, n_embd, || {
            rng.random::<f32>() * 2.0 * scale - scale
        })
    }

    fn drawn(
        n_layer: usize,
        n_expert: usize,
        n_embd: usize,
        mut draw: impl FnMut() -> f32,
    ) -> Self {
        let mut layer = || (0..n_expert * n_embd).map(|_| draw()).collect();
        Self {
            n_layer,
            n_expert,
            n_embd,
            layers: (0..n_layer).map(|_| layer()).collect(),
        }
    }

    /// The gates as the merged checkpoint has them.
    pub fn rounded(mut self, dtype: Dtype) -> Self {
        for gate in self.layers.iter_mut().flatten() {
            *gate = dtype.round(*gate);
        }
        self
    }
}
