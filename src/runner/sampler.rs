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
    /// Keep the tokens whose surprise is nearest to the expected one, until their probabilities sum to
    /// this; 1 is off.
    pub typical_p: f32,
    /// Keep tokens whose logits are within so many standard deviations of the highest; 0 is off.
    pub top_n_sigma: f32,
    /// How often all but the least likely of the top choices are left out; 0 is off.
    pub xtc_probability: f32,
    /// How likely a top choice is at least; above 0.5 there are never two.
    pub xtc_threshold: f32,
    /// Divides the logits of recent tokens, above 0; 1 is off.
    pub repeat_penalty: f32,
    /// Tokens back that the penalties look.
    pub repeat_last_n: u32,
    /// Taken off the logits of recent tokens; 0 is off.
    pub presence_penalty: f32,
    /// Taken off the logits of recent tokens for each time they came; 0 is off.
    pub frequency_penalty: f32,
    /// Seed of the random choice. Each answer of a conversation adds one, so that the same
    /// question can be answered anew.
    pub seed: u32,
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            temperature: 0.8,
            top_k: 40,
            top_p: 0.95,
            min_p: 0.05,
            typical_p: 1.0,
            top_n_sigma: 0.0,
            xtc_probability: 0.0,
            xtc_threshold: 0.1,
            repeat_penalty: 1.0,
            repeat_last_n: 64,
            presence_penalty: 0.0,
            frequency_penalty: 0.0,
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
                i32::try_from(self.repeat_last_n).unwrap_or(i32::MAX),
                self.repeat_penalty,
                self.frequency_penalty,
                self.presence_penalty,
            ));
        }
        if self.temperature <= 0.0 {
            steps.push(LlamaSampler::greedy());
        } else {
            let top_k = i32::try_from(self.top_k).unwrap_or(i32::MAX);
            let seed = self.nth_seed(nth);
            if self.top_n_sigma > 0.0 {
                steps.push(LlamaSampler::top_n_sigma(self.top_n_sigma));
            }
            steps.push(LlamaSampler::top_k(top_k));
            if self.typical_p < 1.0 {
                steps.push(LlamaSampler::typical(self.typical_p, 0));
            }
            steps.push(LlamaSampler::top_p(self.top_p, 0));
            steps.push(LlamaSampler::min_p(self.min_p, 0));
            if self.xtc_probability > 0.0 {
                steps.push(LlamaSampler::xtc(
                    self.xtc_probability,
                    self.xtc_threshold,
                    0,
                    seed,
                ));
            }
            steps.push(LlamaSampler::temp(self.temperature));
            steps.push(LlamaSampler::dist(seed));
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
        let off = [
            self.repeat_penalty - 1.0,
            self.presence_penalty,
            self.frequency_penalty,
        ];
        off.iter().any(|penalty| penalty.abs() > f32::EPSILON) && self.repeat_last_n > 0
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
        let short = Sampling {
            repeat_last_n: 1,
            ..sampling
        };
        assert_eq!(choose(&short, 0, &[1, 2]), 1);
    }

    #[test]
    fn the_other_penalties_and_filters_move_the_choice() {
        let greedy = Sampling {
            temperature: 0.0,
            ..Sampling::default()
        };
        let presence = Sampling {
            presence_penalty: 0.15,
            ..greedy.clone()
        };
        assert_eq!(choose(&presence, 0, &[1]), 2);
        assert_eq!(choose(&presence, 0, &[1, 1]), 2);
        let frequency = Sampling {
            frequency_penalty: 0.15,
            ..greedy
        };
        assert_eq!(choose(&frequency, 0, &[1]), 2);
        assert_eq!(choose(&frequency, 0, &[1, 1, 2]), 3);
        // With these only the highest logit, or only the least likely of the top choices, is left.
        let sigma = Sampling {
            top_n_sigma: 0.01,
            ..Sampling::default()
        };
        assert!((0..20).all(|nth| choose(&sigma, nth, &[]) == 1));
        let xtc = Sampling {
            xtc_probability: 1.0,
            xtc_threshold: 0.2,
            ..Sampling::default()
        };
        assert!((0..20).all(|nth| ![1, 2].contains(&choose(&xtc, nth, &[]))));
    }
}
