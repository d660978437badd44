//! Llama 3's scaling.

use super::RopeScaling;

impl RopeScaling {
    /// What llama.cpp divides each rotary frequency by: `head_dim / 2` values, for Llama 3's
    /// scaling only, which has no keys of its own but the tensor `rope_freqs.weight`.
    ///
    /// The formula is transformers' `_compute_llama3_parameters`, in f32 step by step as the
    /// reference converter evaluates it.
    pub fn frequency_factors(&self, head_dim: u32, rope_theta: f32) -> Option<Vec<f32>> {
        let Self::Llama3 {
            factor,
            low_freq_factor,
            high_freq_factor,
            original_context,
        } = *self
        else {
            return None;
        };
        let context = original_context as f32;
        let longest_short = (f64::from(original_context) / f64::from(high_freq_factor)) as f32;
        let shortest_long = (f64::from(original_context) / f64::from(low_freq_factor)) as f32;
        let factors = (0..head_dim / 2).map(|i| {
            let exponent = (2 * i) as f32 / head_dim as f32;
            // A power rounded once, from f64, is what a careful f32 power gives.
            let frequency = 1.0 / (f64::from(rope_theta).powf(f64::from(exponent)) as f32);
            let wavelength = std::f32::consts::TAU / frequency;
            if wavelength < longest_short {
                1.0
            } else if wavelength > shortest_long {
                factor
            } else {
                let smooth =
                    (context / wavelength - low_freq_factor) / (high_freq_factor - low_freq_factor);
                1.0 / ((1.0 - smooth) / factor + smooth)
            }
        });
        Some(factors.collect())
    }
}
