//! The choice of tokens, as the command line asks for it.

use crate::cli::SamplingArgs;
use crate::runner::Sampling;

pub(super) fn sampling(args: &SamplingArgs) -> Sampling {
    Sampling {
        temperature: args.temp,
        top_k: args.top_k,
        top_p: args.top_p,
        min_p: args.min_p,
        typical_p: args.typical_p,
        top_n_sigma: args.top_n_sigma,
        xtc_probability: args.xtc_probability,
        xtc_threshold: args.xtc_threshold,
        repeat_penalty: args.repeat_penalty,
        repeat_last_n: args.repeat_last_n,
        presence_penalty: args.presence_penalty,
        frequency_penalty: args.frequency_penalty,
        seed: args.seed.value(),
    }
}
