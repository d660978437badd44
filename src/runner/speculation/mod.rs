//! Answers faster than token by token: what probably comes next is proposed, and the model says about all
//! of it in one batch how far it agrees.
//!
//! Proposals come from the conversation itself ([`lookup`]): an answer that summarises, edits or goes
//! on with a text repeats stretches of it. Where a smaller model was given ([`draft`]), it proposes
//! what the conversation does not know.
//!
//! What is said does not change. Each token is chosen by the sampler from the model's own
//! logits, in order, and a proposal only decides whether the logits of the next one are there already:
//! where the choice is the proposed token they are, else what was evaluated too much is forgotten.
//! So sampled text has the model's distribution, with as many random numbers as without.
//!
//! llama.cpp's kernels for one token and for many are not always the same, and then the last bits of
//! the logits are not ([`exactness`]). At temperature 0, where a choice is expected to repeat, nothing is
//! proposed where that would matter. And a batch costs time, so nothing is proposed that does not pay
//! ([`watch`]).

mod draft;
mod exactness;
mod lookup;
mod watch;

use std::time::Instant;

use llama_cpp_2::sampling::LlamaSampler;
use llama_cpp_2::token::LlamaToken;

use self::draft::DraftModel;
use self::exactness::{Exactness, Verdict};
use self::lookup::Lookup;
use self::watch::Watch;
use super::engine::Engine;
use super::{ContextOptions, Model, RunnerError, Sampling};

/// Whether tokens are proposed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Speculate {
    /// Where it pays.
    #[default]
    Auto,
    /// Never.
    Off,
    /// So many at once, at most [`Speculate::MOST`], wherever there is something to propose, whether it pays
    /// or not.
    UpTo(usize),
}

impl Speculate {
    /// Most tokens that may be proposed at once. llama.cpp's attention computes longer batches otherwise.
    pub const MOST: usize = 48;
}

/// Most tokens proposed at once, unasked. A longer batch gains little more and is lost as a whole.
const MOST: usize = 24;

/// What came of the proposals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Speculated {
    /// Tokens proposed.
    pub proposed: usize,
    /// Tokens of them that the model chose, too.
    pub accepted: usize,
}

/// Tokens that were evaluated in one batch: one that was chosen, and proposed ones after it.
#[derive(Debug)]
struct Ahead {
    /// Tokens the context held before.
    start: usize,
    /// The chosen one, and the proposed ones.
    tokens: Vec<LlamaToken>,
    /// Which of them has the logits that the next token is chosen from. All up to it are chosen.
    at: usize,
    /// How far apart the two highest logits must be, to be told apart.
    margin: f32,
}

/// Proposes, and keeps count of what comes of it. It lives as long as the session, and learns.
#[derive(Debug)]
pub(super) struct Speculator<'m> {
    lookup: Lookup,
    draft: Option<DraftModel<'m>>,
    watch: Watch,
    exactness: Exactness,
    /// Most tokens proposed at once; 0 is off.
    most: usize,
    /// Whether only what pays is proposed.
    watching: bool,
    /// Whether the most likely token is chosen, and whether penalties move that.
    greedy: bool,
    penalizes: bool,
    ahead: Option<Ahead>,
    figures: Speculated,
}

impl<'m> Speculator<'m> {
    /// One for `model`; `draft` is the smaller model, if there is one.
    pub(super) fn new(
        model: &'m Model,
        draft: Option<&'m Model>,
        options: &ContextOptions,
    ) -> Result<Self, RunnerError> {
        let draft = match draft {
            Some(draft) => Some(DraftModel::new(model, draft, options)?),
            None => None,
        };
        Ok(Self {
            lookup: Lookup::default(),
            draft,
            watch: Watch::default(),
            // A state that holds all that came before in one cannot be taken back by some tokens.
            exactness: match model.llama.is_recurrent() || model.llama.is_hybrid() {
                true => Exactness::impossible(),
                false => Exactness::default(),
            },
            most: 0,
            watching: true,
            greedy: false,
            penalizes: false,
            ahead: None,
            figures: Speculated::default(),
        })
    }

    /// An answer to `prompt` begins, whose tokens were read at `per_token` seconds each, if any were.
    pub(super) fn begin(
        &mut self,
        speculate: Speculate,
        sampling: &Sampling,
        prompt: &[LlamaToken],
        per_token: Option<f64>,
    ) {
        self.ahead = None;
        self.figures = Speculated::default();
        self.greedy = sampling.temperature <= 0.0;
        self.penalizes = sampling.penalizes();
        self.watching = speculate == Speculate::Auto;
        self.most = match speculate {
            Speculate::Off => 0,
            Speculate::Auto => MOST,
            Speculate::UpTo(most) => most.min(Speculate::MOST),
        };
        if self.most > 0 {
            self.lookup.begin(prompt);
            self.watch.begin(per_token);
        }
    }

    /// Whether the last token of the answer has to be evaluated before the next is chosen.
    pub(super) fn is_behind(&self) -> bool {
        self.ahead.is_none()
    }

    /// Chooses the next token. `last` is the one before, if the answer has one; `wanted` is how
    /// many tokens the answer may still get, this one included.
    pub(super) fn next(
        &mut self,
        engine: &mut Engine<'_>,
        sampler: &mut LlamaSampler,
        last: Option<LlamaToken>,
        wanted: usize,
    ) -> Result<LlamaToken, RunnerError> {
        if let (None, Some(last)) = (&self.ahead, last) {
            self.evaluate(engine, last, wanted)?;
        }
        let token = match self.ahead.take() {
            None => engine.sample(sampler),
            Some(ahead) => self.choose(engine, sampler, ahead)?,
        };
        if self.most > 0
            && let Some((kind, right)) = self.lookup.push(token)
        {
            self.watch.saw(kind, right);
        }
        Ok(token)
    }

    /// The answer has ended: what was evaluated beyond it is forgotten, and its last token, which
    /// the loop without proposals does not evaluate either.
    pub(super) fn end(&mut self, engine: &mut Engine<'_>) -> Result<Speculated, RunnerError> {
        if let Some(ahead) = self.ahead.take() {
            engine.take_back(ahead.start + ahead.at)?;
        }
        Ok(self.figures)
    }

    /// Evaluates `last`, and what is proposed after it.
    fn evaluate(
        &mut self,
        engine: &mut Engine<'_>,
        last: LlamaToken,
        wanted: usize,
    ) -> Result<(), RunnerError> {
        let start = engine.held().len();
        let room = engine.room().min(engine.batch_size());
        let most = self
            .most
            .min(wanted.saturating_sub(1))
            .min(room.saturating_sub(1));
        let proposed = self.propose(engine, last, most)?;
        if proposed.is_empty() {
            return self.evaluate_alone(engine, last);
        }
        let mut tokens = vec![last];
        tokens.extend(proposed);
        let margin = match self.exactness.verdict(start, self.greedy) {
            Verdict::Propose { margin } if margin == 0.0 || !self.penalizes => margin,
            Verdict::Unknown if room >= exactness::PROBE => {
                // Both ways once. It ends as it would have without a proposal.
                tokens.resize(exactness::PROBE, last);
                engine.append_all(&tokens)?;
                let together = engine.logits(0).to_vec();
                if !engine.take_back(start)? {
                    self.exactness = Exactness::impossible();
                }
                self.evaluate_alone(engine, last)?;
                self.exactness.found(start, &together, engine.logits(-1));
                return Ok(());
            }
            _ => return self.evaluate_alone(engine, last),
        };
        let began = Instant::now();
        engine.append_all(&tokens)?;
        engine.wait();
        self.watch.took(tokens.len(), began.elapsed().as_secs_f64());
        self.figures.proposed += tokens.len() - 1;
        self.ahead = Some(Ahead {
            start,
            tokens,
            at: 0,
            margin,
        });
        Ok(())
    }

    fn evaluate_alone(
        &mut self,
        engine: &mut Engine<'_>,
        last: LlamaToken,
    ) -> Result<(), RunnerError> {
        let began = Instant::now();
        engine.append(&[last])?;
        engine.wait();
        self.watch.took(1, began.elapsed().as_secs_f64());
        Ok(())
    }

    /// What probably follows `last`: nothing where it would not pay.
    fn propose(
        &mut self,
        engine: &Engine<'_>,
        last: LlamaToken,
        most: usize,
    ) -> Result<Vec<LlamaToken>, RunnerError> {
        if most == 0 || self.exactness.is_hopeless(engine.held().len(), self.greedy) {
            return Ok(Vec::new());
        }
        let known = self.lookup.propose(most);
        let length = match self.watching {
            true => self.watch.best_length(known.iter().map(|&(_, kind)| kind)),
            false => known.len(),
        };
        if length > 0 {
            return Ok(known.iter().take(length).map(|&(token, _)| token).collect());
        }
        let Some(draft) = &mut self.draft else {
            return Ok(Vec::new());
        };
        let most = match self.watching {
            true => most.min(self.watch.draft_length()),
            false => most,
        };
        if most == 0 {
            return Ok(Vec::new());
        }
        let began = Instant::now();
        let proposed = draft.propose(engine.held(), last, most)?;
        self.watch
            .drafted(proposed.len(), began.elapsed().as_secs_f64());
        Ok(proposed)
    }

    /// Chooses a token from the logits of a batch.
    fn choose(
        &mut self,
        engine: &mut Engine<'_>,
        sampler: &mut LlamaSampler,
        mut ahead: Ahead,
    ) -> Result<LlamaToken, RunnerError> {
        let decided = ahead.margin == 0.0 || ahead.margin < margin(engine.logits(ahead.at as i32));
        if self.greedy && !decided {
            // What is so near to a tie is not decided by the last bits of a batch.
            self.watch_draft(&ahead);
            engine.take_back(ahead.start + ahead.at)?;
            engine.append(&ahead.tokens[ahead.at..=ahead.at])?;
            return Ok(engine.sample(sampler));
        }
        let token = engine.sample_at(sampler, ahead.at as i32);
        match ahead.tokens.get(ahead.at + 1) {
            Some(&proposed) if proposed == token => {
                self.figures.accepted += 1;
                ahead.at += 1;
                self.ahead = Some(ahead);
            }
            proposed => {
                self.watch_draft(&ahead);
                if proposed.is_some() && !engine.take_back(ahead.start + ahead.at + 1)? {
                    self.exactness = Exactness::impossible();
                }
            }
        }
        Ok(token)
    }

    /// Counts how far the smaller model was right; what the conversation proposes is counted all along.
    fn watch_draft(&mut self, ahead: &Ahead) {
        if self.draft.is_some() {
            self.watch.draft_saw(ahead.at, ahead.tokens.len() - 1);
        }
    }
}

/// How far the highest logit is above the second.
fn margin(logits: &[f32]) -> f32 {
    let (mut first, mut second) = (f32::NEG_INFINITY, f32::NEG_INFINITY);
    for &logit in logits {
        if logit > second {
            second = logit.min(first);
            first = first.max(logit);
        }
    }
    first - second
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_margin_is_between_the_two_highest() {
        assert_eq!(margin(&[1.0, 5.0, 3.5, -2.0]), 1.5);
        assert_eq!(margin(&[5.0, 1.0, 5.0]), 0.0);
        assert_eq!(margin(&[1.0, 2.0, 4.0]), 2.0);
    }
}
