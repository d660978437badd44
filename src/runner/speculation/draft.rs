//! A smaller model with the same vocabulary, which proposes what it would say itself.

use llama_cpp_2::token::LlamaToken;

use crate::runner::engine::Engine;
use crate::runner::{ContextOptions, Model, RunnerError};

/// It proposes a token where it is as sure as this.
const SURE: f32 = 0.6;

/// The smaller model and its own context.
#[derive(Debug)]
pub(super) struct DraftModel<'m> {
    engine: Engine<'m>,
    model: &'m Model,
}

impl<'m> DraftModel<'m> {
    /// A context of `draft`, as long as that of `model`.
    pub(super) fn new(
        model: &Model,
        draft: &'m Model,
        options: &ContextOptions,
    ) -> Result<Self, RunnerError> {
        check_vocabulary(model, draft)?;
        Ok(Self {
            engine: Engine::new(draft, options)?,
            model: draft,
        })
    }

    /// What follows `last` behind the tokens in `held`.
    pub(super) fn propose(
        &mut self,
        held: &[LlamaToken],
        last: LlamaToken,
        most: usize,
    ) -> Result<Vec<LlamaToken>, RunnerError> {
        let mut proposed = Vec::new();
        let mut text = held.to_vec();
        text.push(last);
        if text.len() + most > self.engine.size() {
            return Ok(proposed);
        }
        self.engine
            .evaluate(&text, |_, _| std::ops::ControlFlow::Continue(()))?;
        let vocab = self.model.llama.vocab();
        while proposed.len() < most {
            let (token, probability) = most_likely(self.engine.logits(-1));
            if probability < SURE || vocab.is_eog(token) {
                break;
            }
            proposed.push(token);
            if proposed.len() < most {
                self.engine.append(&[token])?;
            }
        }
        Ok(proposed)
    }
}

/// The most likely token, and its probability.
fn most_likely(logits: &[f32]) -> (LlamaToken, f32) {
    let highest = (0..).zip(logits).max_by(|a, b| a.1.total_cmp(b.1));
    let Some((id, &highest)) = highest else {
        return (LlamaToken(0), 0.0);
    };
    let sum: f32 = logits.iter().map(|logit| (logit - highest).exp()).sum();
    (LlamaToken(id), 1.0 / sum)
}

/// Tokens are handed from one model to the other as they are, so they must be the same.
fn check_vocabulary(model: &Model, draft: &Model) -> Result<(), RunnerError> {
    let (ours, theirs) = (model.llama.vocab(), draft.llama.vocab());
    let differs = |what: String| Err(RunnerError::DraftVocabulary { what });
    if ours.n_tokens() != theirs.n_tokens() {
        return differs(format!(
            "it has {} tokens, expected {}",
            theirs.n_tokens(),
            ours.n_tokens()
        ));
    }
    for id in 0..ours.n_tokens() {
        let token = LlamaToken(id);
        let (expected, found) = (ours.text(token), theirs.text(token));
        if expected != found {
            let text = |text: Option<&std::ffi::CStr>| match text {
                Some(text) => format!("`{}`", text.to_string_lossy()),
                None => "nothing".to_owned(),
            };
            return differs(format!(
                "its token {id} is {}, expected {}",
                text(found),
                text(expected)
            ));
        }
    }
    let special = [
        ("begins a text", ours.bos(), theirs.bos()),
        ("ends a text", ours.eos(), theirs.eos()),
        ("ends a turn", ours.eot(), theirs.eot()),
    ];
    for (what, expected, found) in special {
        if expected != found {
            return differs(format!(
                "the token that {what} is {}, expected {}",
                found.0, expected.0
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_likely_token_has_its_share() {
        let (token, probability) = most_likely(&[0.0, 2.0_f32.ln(), 0.0]);
        assert_eq!(token, LlamaToken(1));
        assert!((probability - 0.5).abs() < 1e-6);
    }
}
