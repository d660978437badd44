//! The gates of a merge: what decides which experts a token is sent to.
//!
//! The gate of an expert in a layer is a vector as wide as the residual stream. A token goes to the
//! experts whose gates have the largest products with its hidden state. Gates are not trained in a merge;
//! mergekit's ways to make them, which these are:
//!
//! | mode | the gate of an expert |
//! | --- | --- |
//! | `random` | normal numbers with deviation 1 |
//! | `uniform_random` | numbers between `±√(1/n_embd)`, as a linear layer of PyTorch begins |
//! | `cheap_embed` | the embeddings of its prompts' tokens, the same in every layer |
//! | `hidden_avg` | the mean of the hidden states at its prompts' tokens |
//! | `hidden_last`, `hidden` | the hidden states at the last token of each prompt |
//!
//! The last three rows look at prompts, as told in `prompts`: [`from_prompts`]. Random numbers come from
//! a seed ([`Gates::random`], [`Gates::uniform_random`]), where mergekit's are others each time.
//! [`Gates::read`] and [`Gates::save`] keep gates in a file, and [`Gates::degenerate`] tells which are
//! too similar to be told apart.

mod degenerate;
mod error;
mod file;
mod hidden;
mod matrix;
mod prompts;
#[cfg(test)]
mod tests;

use std::str::FromStr;

use half::{bf16, f16};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

pub use degenerate::Degenerate;
pub use error::GateError;
pub use file::GateNames;
pub use prompts::{GateProgress, PromptOptions, Prompts, from_prompts};

use crate::source::Dtype;

/// How gates are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GateMode {
    /// Of normal numbers.
    Random,
    /// Of evenly distributed numbers.
    UniformRandom,
    /// Of the token embeddings of prompts.
    CheapEmbed,
    /// As [`GateMode::HiddenLast`].
    Hidden,
    /// Of the mean of the hidden states of prompts.
    HiddenAvg,
    /// Of the hidden states at the last token of prompts.
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

    /// Whether the gates are made of prompts, and not of a seed.
    pub fn looks_at_prompts(self) -> bool {
        !matches!(self, Self::Random | Self::UniformRandom)
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

/// The gates of every layer, before they are rounded to the number format of the merged model.
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
    /// For each layer the row of the shared expert; empty where there is none. It says how much of that
    /// expert's answer is taken, and is none of those that are chosen from.
    pub shared: Vec<Vec<f32>>,
}

impl Gates {
    /// Normal numbers with mean 0 and deviation 1.
    ///
    /// They come from the stream of ChaCha8 with this seed (`seed_from_u64` of `rand`) through the
    /// ziggurat of `rand_distr`, layer by layer and expert by expert: the same on every machine, and
    /// a merge can be repeated from its seed.
    pub fn random(n_layer: usize, n_expert: usize, n_embd: usize, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        Self::drawn(n_layer, n_expert, n_embd, || {
            StandardNormal.sample(&mut rng)
        })
    }

    /// Numbers evenly distributed between `±√(1/n_embd)`, from the stream of ChaCha8 with this seed as
    /// in [`Gates::random`].
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
            shared: Vec::new(),
        }
    }

    /// Zeros, in the place of gates that are not made.
    pub fn zeros(n_layer: usize, n_expert: usize, n_embd: usize) -> Self {
        Self::drawn(n_layer, n_expert, n_embd, || 0.0)
    }

    /// Has the last `n` of the experts be shared ones.
    #[must_use]
    pub fn with_shared(mut self, n: usize) -> Self {
        self.n_expert -= n.min(self.n_expert);
        if n > 0 {
            let begin = self.n_expert * self.n_embd;
            let layers = self.layers.iter_mut();
            self.shared = layers.map(|layer| layer.split_off(begin)).collect();
        }
        self
    }

    /// The gates as a checkpoint in `dtype` has them: rounded to the nearest, ties to even.
    pub fn rounded(mut self, dtype: Dtype) -> Self {
        for gate in self.layers.iter_mut().chain(&mut self.shared).flatten() {
            *gate = round(*gate, dtype);
        }
        self
    }
}

fn round(value: f32, dtype: Dtype) -> f32 {
    match dtype {
        Dtype::Bf16 => bf16::from_f32(value).to_f32(),
        Dtype::F16 => f16::from_f32(value).to_f32(),
        Dtype::F32 => value,
    }
}
