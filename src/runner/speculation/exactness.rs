//! Whether a batch gives the logits that its tokens would have alone.
//!
//! On the CPU most of llama.cpp's kernels compute each token of a batch as they would alone, bit by bit.
//! Some do not: those for weights in another order (`--repack`) take four tokens at a time, the
//! attention of a single token is divided among the threads from 512 places of the cache on, and
//! GPUs have kernels of their own for each. The difference is in the last bits; but activations are
//! rounded to 8 bits in every layer, so it grows to some hundredths in the logits, for all tokens
//! that look back at such a batch. That is far less than quantization costs, and no matter where tokens
//! are drawn; but the most likely token changes with it every hundred tokens or so.
//!
//! So it is tried: the same token alone and in a batch, once, and again when the context has doubled,
//! because the kernels are chosen by size.

/// Tokens of the batch that is tried: the fewest for which all kernels for several tokens are used.
pub(super) const PROBE: usize = 4;

/// Logits that are no further apart differ by the rounding of the last matrix alone.
const ROUNDING: f32 = 1e-4;

/// How many times that difference the two highest logits must be apart.
const MARGIN: f32 = 20.0;

/// The smallest context that is tried apart from larger ones.
const SMALLEST: usize = 256;

/// What may be done.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Verdict {
    /// Propose; where the two highest logits are not further apart than this, a token has to be
    /// evaluated alone.
    Propose {
        /// 0 where there is no difference at all, or it does not matter.
        margin: f32,
    },
    /// Do not propose.
    Alone,
    /// It has to be tried.
    Unknown,
}

/// What was found, by the size of the context.
#[derive(Debug, Default)]
pub(super) struct Exactness {
    /// For contexts up to [`SMALLEST`], up to twice as much, and so on.
    found: Vec<Option<Verdict>>,
    impossible: bool,
}

impl Exactness {
    /// A model whose context cannot be taken back.
    pub(super) fn impossible() -> Self {
        Self {
            found: Vec::new(),
            impossible: true,
        }
    }

    /// What may be done in a context that holds `held` tokens; `greedy` where the most likely is chosen.
    pub(super) fn verdict(&self, held: usize, greedy: bool) -> Verdict {
        if self.impossible {
            Verdict::Alone
        } else if !greedy {
            Verdict::Propose { margin: 0.0 }
        } else {
            let found = self.found.get(size(held)).copied().flatten();
            found.unwrap_or(Verdict::Unknown)
        }
    }

    /// Whether it is known that nothing may be proposed.
    pub(super) fn is_hopeless(&self, held: usize, greedy: bool) -> bool {
        self.verdict(held, greedy) == Verdict::Alone
    }

    /// In a context that held `held` tokens, one more had these logits in a batch and alone.
    pub(super) fn found(&mut self, held: usize, together: &[f32], alone: &[f32]) {
        let apart = std::iter::zip(together, alone)
            // Equal infinities have no difference.
            .filter(|(together, alone)| together != alone)
            .map(|(together, alone)| (together - alone).abs())
            .fold(0.0, f32::max);
        let verdict = match apart {
            0.0 => Verdict::Propose { margin: 0.0 },
            apart if apart <= ROUNDING => Verdict::Propose {
                margin: MARGIN * apart,
            },
            _ => Verdict::Alone,
        };
        let size = size(held);
        if self.found.len() <= size {
            self.found.resize(size + 1, None);
        }
        self.found[size] = Some(verdict);
    }
}

/// How often a context has doubled.
fn size(held: usize) -> usize {
    // The cache is looked at in steps of 256 places, and a batch must not reach over the step.
    let steps = (held + 64).div_ceil(SMALLEST).max(1);
    steps.next_power_of_two().trailing_zeros() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_counts_only_where_the_most_likely_is_chosen() {
        let mut exactness = Exactness::default();
        assert_eq!(
            exactness.verdict(10, false),
            Verdict::Propose { margin: 0.0 }
        );
        assert_eq!(exactness.verdict(10, true), Verdict::Unknown);
        exactness.found(10, &[1.0, 2.0], &[1.0, 2.01]);
        assert_eq!(exactness.verdict(10, true), Verdict::Alone);
        assert_eq!(
            exactness.verdict(10, false),
            Verdict::Propose { margin: 0.0 }
        );
        exactness.found(10, &[1.0, f32::NEG_INFINITY], &[1.0, f32::NEG_INFINITY]);
        assert_eq!(
            exactness.verdict(10, true),
            Verdict::Propose { margin: 0.0 }
        );
        exactness.found(10, &[1.0, 2.0], &[1.0, 2.00001]);
        assert!(matches!(
            exactness.verdict(10, true),
            Verdict::Propose { margin } if margin > 0.0
        ));
    }

    #[test]
    fn it_is_tried_again_when_the_context_has_doubled() {
        let mut exactness = Exactness::default();
        exactness.found(100, &[1.0], &[1.0]);
        assert_ne!(exactness.verdict(190, true), Verdict::Unknown);
        assert_eq!(exactness.verdict(200, true), Verdict::Unknown);
        exactness.found(3000, &[1.0], &[1.1]);
        assert_eq!(exactness.verdict(2100, true), Verdict::Alone);
        assert_eq!(exactness.verdict(1000, true), Verdict::Unknown);
    }

    #[test]
    fn what_cannot_be_taken_back_is_never_proposed() {
        let exactness = Exactness::impossible();
        assert_eq!(exactness.verdict(10, false), Verdict::Alone);
    }
}
