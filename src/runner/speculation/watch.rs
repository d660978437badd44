//! What proposals are worth: how often each kind of them is right, and what a batch costs.
//!
//! Whether a proposal from the conversation would have been right is known of every token, whether
//! it was tried or not, so nothing has to be tried to learn it. What batches cost is measured
//! where they are evaluated; before the first, the prompt that was read says what one more token costs, and
//! what was dear once is tried again after a while.

/// What speaks for a proposed token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kind(usize);

impl Kind {
    /// A source that was left and found again.
    pub(super) fn found_again() -> Self {
        Self(0)
    }

    /// So many tokens before it agree.
    pub(super) fn agreeing(tokens: usize) -> Self {
        Self(match tokens {
            0..=2 => 1,
            3 => 2,
            4..=5 => 3,
            6..=8 => 4,
            9..=16 => 5,
            _ => 6,
        })
    }
}

/// How often each [`Kind`] is right, before anything was seen.
const EXPECTED: [f64; 7] = [0.35, 0.15, 0.3, 0.5, 0.7, 0.82, 0.92];

/// What was seen counts as much as this many tokens that were expected.
const DOUBT: f64 = 4.0;

/// Tokens that are remembered, so that what changes is noticed.
const REMEMBERED: f64 = 48.0;

/// A proposal is tried where it is this much faster than none, by all that is known.
const GAIN: f64 = 1.1;

/// Sizes of batches whose costs are measured apart, each up to this.
const SIZES: [usize; 5] = [2, 4, 8, 16, usize::MAX];

/// What a further token of a small batch takes of one alone, however fast prompts are read.
const LEAST: f64 = 0.45;

/// How much of a cost above what is expected is forgotten with each token.
const FORGOTTEN: f64 = 0.02;

/// Most tokens that the smaller model proposes.
const DRAFT: usize = 8;

/// After so many tokens the smaller model is asked again, however wrong it was.
const ASK_AGAIN: usize = 64;

/// A share that is learned.
#[derive(Clone, Copy, Debug)]
struct Share {
    value: f64,
    seen: f64,
}

impl Share {
    fn expecting(value: f64) -> Self {
        Self { value, seen: DOUBT }
    }

    fn saw(&mut self, value: f64) {
        self.seen = (self.seen + 1.0).min(REMEMBERED);
        self.value += (value - self.value) / self.seen;
    }
}

/// Seconds that are learned: what it takes where the machine does little besides. Other programs make a
/// batch take longer now and then, never shorter, so what took less is believed sooner.
#[derive(Clone, Copy, Debug, Default)]
struct Cost(Option<f64>);

impl Cost {
    fn took(&mut self, seconds: f64) {
        self.0 = Some(match self.0 {
            None => seconds,
            Some(known) if seconds < known => known + 0.4 * (seconds - known),
            Some(known) => known + 0.05 * (seconds.min(2.0 * known) - known),
        });
    }
}

/// What is known of acceptance and costs.
#[derive(Debug)]
pub(super) struct Watch {
    right: [Share; EXPECTED.len()],
    /// One token alone.
    single: Cost,
    /// Each further token of a batch, for the sizes of [`SIZES`].
    further: [Cost; SIZES.len()],
    /// Each token of a prompt.
    prompt: Option<f64>,
    /// What the smaller model takes for a token, how often it is right, and the tokens since it was asked.
    draft: Cost,
    draft_right: Share,
    unasked: usize,
}

impl Default for Watch {
    fn default() -> Self {
        Self {
            right: EXPECTED.map(Share::expecting),
            single: Cost::default(),
            further: [Cost::default(); SIZES.len()],
            prompt: None,
            draft: Cost::default(),
            draft_right: Share::expecting(0.6),
            unasked: 0,
        }
    }
}

impl Watch {
    /// An answer begins, to a prompt that took `per_token` seconds for each token that was read.
    pub(super) fn begin(&mut self, per_token: Option<f64>) {
        self.prompt = per_token.or(self.prompt);
    }

    /// Whether a proposal of this kind was right, or would have been.
    pub(super) fn saw(&mut self, kind: Kind, right: bool) {
        self.right[kind.0].saw(f64::from(u8::from(right)));
    }

    /// A batch of `tokens` took so long.
    pub(super) fn took(&mut self, tokens: usize, seconds: f64) {
        if tokens == 1 {
            self.unasked += 1;
            self.single.took(seconds);
            // What is not tried is not measured either, so what seemed dear is forgotten by and by.
            let expected = self.expected(self.single.0.unwrap_or(seconds));
            for cost in self.further.iter_mut().filter_map(|cost| cost.0.as_mut()) {
                *cost -= FORGOTTEN * (*cost - expected).max(0.0);
            }
        } else if let Some(single) = self.single.0 {
            let further = (seconds - single).max(0.0) / (tokens - 1) as f64;
            self.further[size(tokens)].took(further);
        }
    }

    /// How many of the tokens that these kinds speak for are proposed at best; 0 where none is better.
    pub(super) fn best_length(&self, kinds: impl Iterator<Item = Kind>) -> usize {
        let rights = kinds.map(|kind| self.right[kind.0].value);
        self.best(rights, 0.0)
    }

    /// The same of tokens that the smaller model would propose.
    pub(super) fn draft_length(&self) -> usize {
        let draft = match (self.draft.0, self.single.0) {
            (Some(draft), Some(single)) => draft / single,
            _ => return DRAFT,
        };
        match self.best([self.draft_right.value; DRAFT].into_iter(), draft) {
            0 if self.unasked >= ASK_AGAIN => DRAFT / 2,
            best => best,
        }
    }

    /// The smaller model took so long for so many tokens.
    pub(super) fn drafted(&mut self, tokens: usize, seconds: f64) {
        self.unasked = 0;
        self.draft.took(seconds / tokens.max(1) as f64);
    }

    /// So many of its tokens were right, of so many that it proposed.
    pub(super) fn draft_saw(&mut self, right: usize, proposed: usize) {
        for i in 0..proposed.min(right + 1) {
            self.draft_right.saw(f64::from(u8::from(i < right)));
        }
    }

    /// The length with most tokens in the time, where making a proposal costs `extra` for each token. One
    /// token alone costs 1.
    fn best(&self, rights: impl Iterator<Item = f64>, extra: f64) -> usize {
        let (mut expected, mut all_right) = (1.0, 1.0);
        let (mut best, mut length) = (GAIN, 0);
        for (i, right) in rights.enumerate() {
            all_right *= right;
            expected += all_right;
            let cost = self.cost(i + 2) + extra * (i + 1) as f64;
            if expected / cost > best {
                (best, length) = (expected / cost, i + 1);
            }
        }
        length
    }

    /// What each further token of a batch takes where none was measured.
    fn expected(&self, single: f64) -> f64 {
        self.prompt.unwrap_or(0.0).max(LEAST * single)
    }

    /// What a batch costs.
    fn cost(&self, tokens: usize) -> f64 {
        let Some(single) = self.single.0.filter(|&single| single > 0.0) else {
            // Nothing is known yet; the first tokens are evaluated one by one.
            return f64::INFINITY;
        };
        let at = size(tokens);
        // Where this size was not measured the nearest one says it, and before any the prompt, but a small batch
        // is not as cheap.
        let nearest = (0..SIZES.len())
            .filter(|&other| self.further[other].0.is_some())
            .min_by_key(|other| other.abs_diff(at));
        let further = nearest.and_then(|nearest| self.further[nearest].0);
        let further = further.unwrap_or_else(|| self.expected(single));
        1.0 + (tokens - 1) as f64 * further / single
    }
}

/// Which of [`SIZES`] a batch has.
fn size(tokens: usize) -> usize {
    SIZES.iter().take_while(|&&most| tokens > most).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One token takes 10 ms, and each further one of a batch `further` ms.
    fn watch(further: f64) -> Watch {
        let mut watch = Watch::default();
        watch.begin(None);
        watch.took(1, 0.010);
        for tokens in [2, 4, 8, 16, 24] {
            watch.took(tokens, 0.010 + (tokens - 1) as f64 * further / 1000.0);
        }
        watch
    }

    fn long() -> impl Iterator<Item = Kind> {
        (20..44).map(Kind::agreeing)
    }

    #[test]
    fn nothing_is_proposed_before_a_token_was_timed() {
        assert_eq!(Watch::default().best_length(long()), 0);
    }

    #[test]
    fn cheap_batches_are_long_and_dear_ones_short() {
        assert_eq!(watch(0.1).best_length(long()), 24);
        let shorter = watch(4.0).best_length(long());
        assert!((2..20).contains(&shorter), "{shorter}");
        assert_eq!(watch(9.5).best_length(long()), 0);
    }

    #[test]
    fn what_is_mostly_wrong_is_not_proposed_any_more_until_it_is_right_again() {
        let mut watch = watch(3.0);
        assert!(watch.best_length(long()) > 0);
        for _ in 0..100 {
            watch.saw(Kind::agreeing(20), false);
        }
        assert_eq!(watch.best_length(long()), 0);
        for _ in 0..100 {
            watch.saw(Kind::agreeing(20), true);
        }
        assert!(watch.best_length(long()) > 0);
    }

    #[test]
    fn the_prompt_says_what_is_not_measured() {
        let mut watch = Watch::default();
        watch.begin(Some(0.009));
        watch.took(1, 0.010);
        assert!((watch.cost(11) - 10.0).abs() < 1e-9);
        watch.begin(Some(0.001));
        assert!((watch.cost(11) - 5.5).abs() < 1e-9);
    }

    #[test]
    fn a_smaller_model_that_is_wrong_is_asked_again_only_after_a_while() {
        let mut watch = watch(3.0);
        watch.drafted(4, 0.004);
        assert!(watch.draft_length() > 0);
        for _ in 0..50 {
            watch.draft_saw(0, 4);
        }
        assert_eq!(watch.draft_length(), 0);
        for _ in 0..ASK_AGAIN {
            watch.took(1, 0.010);
        }
        assert!(watch.draft_length() > 0);
    }
}
