//! How the next token is chosen.

use llama_cpp_2::sampling::LlamaSampler;
use serde::{Deserialize, Serialize};

/// Sampling options. The defaults and the order of the steps are llama.cpp's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sampling {
    /// Temperature, at least 0. At 0 the most likely token is taken, and nothing is random.
    pub temperature: f32,
    /// Keep the `top_k` most likely tokens; 0 keeps all.
    pub top_k: u32,
    /// Keep the most likely tokens whose probabilities sum to this; 1 keeps all.
    pub top_p: f32,
    /// Keep tokens at least this likely relative to the most likely one; 0 keeps all.
    pub min_p: f32,
    /// Divides the logits of recent tokens, above 0; 1 is off.
    pub repeat_penalty: f32,
    /// Seed of the random choice. Each answer of a conversation adds one, so that the same
    /// question can be answered anew.
    pub seed: u32,
}

/// Tokens back that the repeat penalty looks.
pub(super) const PENALTY_WINDOW: i32 = 64;

impl Default for Sampling {
    fn default() -> Self {
        Self {
            temperature: 0.8,
            top_k: 40,
            top_p: 0.95,
            min_p: 0.05,
            repeat_penalty: 1.0,
            seed: 0,
        }
    }
}

impl Sampling {
    /// The sampler of the `nth` answer for a vocabulary of `n_vocab` tokens.
    pub(super) fn chain(&self, n_vocab: i32, nth: u32) -> LlamaSampler {
        let mut steps = Vec::new();
        if self.penalizes() {
            steps.push(LlamaSampler::penalties(
                n_vocab,
                PENALTY_WINDOW,
                self.repeat_penalty,
                0.0,
                0.0,
            ));
        }
        if self.temperature <= 0.0 {
            steps.push(LlamaSampler::greedy());
        } else {
            let top_k = i32::try_from(self.top_k).unwrap_or(i32::MAX);
            steps.push(LlamaSampler::top_k(top_k));
            steps.push(LlamaSampler::top_p(self.top_p, 0));
            steps.push(LlamaSampler::min_p(self.min_p, 0));
            steps.push(LlamaSampler::temp(self.temperature));
            steps.push(LlamaSampler::dist(self.nth_seed(nth)));
        }
        LlamaSampler::chain(steps, true)
    }

    /// The seed of the `nth` answer. llama.cpp takes its largest seed to mean "another each time".
    fn nth_seed(&self, nth: u32) -> u32 {
        match self.seed.wrapping_add(nth) {
            u32::MAX => 0,
            seed => seed,
        }
    }

    /// Whether the sampler has to know the tokens of the prompt.
    pub(super) fn penalizes(&self) -> bool {
        (self.repeat_penalty - 1.0).abs() > f32::EPSILON
    }
}

#[cfg(test)]
mod tests {
    use llama_cpp_2::token::{LlamaToken, data::LlamaTokenData, data_array::LlamaTokenDataArray};

    use super::*;

    fn choose(sampling: &Sampling, nth: u32, accepted: &[i32]) -> i32 {
        let logits = [1.0, 3.0, 2.9, 2.8, -4.0];
        let candidates = (0..).zip(logits);
        let mut candidates = LlamaTokenDataArray::from_iter(
            candidates.map(|(id, logit)| LlamaTokenData::new(LlamaToken(id), logit, 0.0)),
            false,
        );
        let mut chain = sampling.chain(5, nth);
        chain.accept_many(accepted.iter().map(|&id| LlamaToken(id)));
        candidates.apply_sampler(&mut chain);
        candidates.selected_token().unwrap().0
    }

    #[test]
    fn temperature_zero_takes_the_most_likely() {
        let greedy = Sampling {
            temperature: 0.0,
            ..Sampling::default()
        };
        assert!((0..20).all(|nth| choose(&greedy, nth, &[]) == 1));
    }

    #[test]
    fn a_seed_repeats_its_choices_and_answers_differ() {
        let sampling = Sampling {
            seed: u32::MAX,
            ..Sampling::default()
        };
        let first: Vec<i32> = (0..40).map(|nth| choose(&sampling, nth, &[])).collect();
        let again: Vec<i32> = (0..40).map(|nth| choose(&sampling, nth, &[])).collect();
        assert_eq!(first, again);
        assert!(first.iter().any(|&token| token != first[0]));
        assert!(!first.contains(&4), "min-p 0.05 leaves token 4 out");
    }

    #[test]
    fn top_k_one_is_greedy_and_the_penalty_moves_it() {
        let sampling = Sampling {
            top_k: 1,
            repeat_penalty: 1.5,
            ..Sampling::default()
        };
        assert_eq!(choose(&sampling, 0, &[]), 1);
        assert_eq!(choose(&sampling, 0, &[1]), 2);
        assert_eq!(choose(&sampling, 0, &[1, 2]), 3);
    }
}
