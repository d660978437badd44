//! The loop that makes an answer, token by token.

use std::ops::ControlFlow;
use std::time::Instant;

use llama_cpp_2::token::LlamaToken;

use super::{Answer, Ended, Event, Figures, Session, Task};
use crate::runner::RunnerError;
use crate::runner::repeats::{Repetition, RepetitionFinder, Said};
use crate::runner::stop::Shown;

impl Session<'_> {
    pub(super) fn generate(
        &mut self,
        mut task: Task<'_>,
        on: &mut impl FnMut(Event<'_>) -> ControlFlow<()>,
    ) -> Result<Answer, RunnerError> {
        let vocab = self.model.llama.vocab();
        let mut sampler = self.options.sampling.chain(vocab.n_tokens());
        let answers = &mut self.options.sampling.answers;
        *answers = answers.wrapping_add(1);
        if self.options.sampling.penalizes() {
            sampler.accept_many(&task.prompt);
        }
        let mut figures = Figures::default();
        let mut text = String::new();
        let mut thoughts = String::new();
        let mut generated = Vec::new();
        // Bytes of the text after each token.
        let mut ends = Vec::new();
        let mut repetitions = self.options.loop_stop.then(RepetitionFinder::new);

        let began = Instant::now();
        let reused = self.read(&task.prompt, on)?;
        figures.prompt_time = began.elapsed();
        let Some(reused) = reused else {
            return Ok(Answer {
                text,
                thoughts,
                ended: Ended::Interrupted,
                figures,
                once: 0,
            });
        };
        figures.reused_tokens = reused;
        figures.prompt_tokens = task.prompt.len() - reused;
        self.speculator.begin(
            self.options.speculate,
            &self.options.sampling,
            &task.prompt,
            figures.per_prompt_token(),
        );

        let began = Instant::now();
        let ended = loop {
            if self
                .options
                .limit
                .is_some_and(|limit| generated.len() >= limit)
            {
                break Ended::Limit;
            }
            // The token before is evaluated only now that one more is wanted.
            if !generated.is_empty()
                && self.speculator.is_behind()
                && self.engine.is_full()
                && let Err(ended) = self.make_room(&mut task, &generated, on)?
            {
                break ended;
            }
            let wanted = self.options.limit.map(|limit| limit - generated.len());
            let token = self.speculator.next(
                &mut self.engine,
                &mut sampler,
                generated.last().copied(),
                wanted.unwrap_or(usize::MAX),
            )?;
            if vocab.is_eog(token) {
                break Ended::EndOfGeneration;
            }
            generated.push(token);
            let piece = vocab.token_to_piece(token, task.marks.contains(&token), None);
            let (shown, stopped) = task.text.push(&piece);
            let heard = give(&shown, &mut thoughts, &mut text, on);
            ends.push(text.len());
            if stopped {
                break Ended::StopString;
            }
            if heard.is_break() {
                break Ended::Interrupted;
            }
            let said = Said::new(token.0, &piece);
            let found = repetitions.as_mut().and_then(|finder| finder.push(said));
            if let Some(repetition) = found {
                break Ended::Repetition(repetition);
            }
        };
        figures.speculated = self.speculator.end(&mut self.engine)?;
        if ended != Ended::StopString {
            let (held, _) = task.text.finish();
            // Nothing more is coming, so there is nothing left to end.
            let _ = give(&held, &mut thoughts, &mut text, on);
        }
        figures.answer_tokens = generated.len();
        figures.answer_time = began.elapsed();
        let once = match ended {
            Ended::Repetition(Repetition { tokens, times }) => {
                ends[ends.len() - tokens * (times - 1) - 1]
            }
            _ => text.len(),
        };
        Ok(Answer {
            text,
            thoughts,
            ended,
            figures,
            once,
        })
    }

    fn read(
        &mut self,
        tokens: &[LlamaToken],
        on: &mut impl FnMut(Event<'_>) -> ControlFlow<()>,
    ) -> Result<Option<usize>, RunnerError> {
        self.engine
            .evaluate(tokens, |done, total| on(Event::Reading { done, total }))
    }

    /// Forgets the oldest turns in the middle of an answer, and evaluates what is left together
    /// with the answer so far, but for its last token. The inner error is why the answer has to
    /// end instead.
    fn make_room(
        &mut self,
        task: &mut Task<'_>,
        generated: &[LlamaToken],
        on: &mut impl FnMut(Event<'_>) -> ControlFlow<()>,
    ) -> Result<Result<(), Ended>, RunnerError> {
        let Some(conversation) = task.conversation.as_deref_mut() else {
            return Ok(Err(Ended::ContextFull));
        };
        let taken = generated.len() + self.reserve(generated.len(), 8);
        let room = self.engine.size().saturating_sub(taken);
        let fitted = conversation.fit(room, |text| self.model.tokenize(text))?;
        if fitted.dropped == 0 || fitted.tokens.len() > room {
            return Ok(Err(Ended::ContextFull));
        }
        conversation.forget(fitted.dropped);
        let _ = on(Event::Forgot {
            turns: fitted.dropped,
        });
        let mut tokens = fitted.tokens;
        tokens.extend(generated.iter().rev().skip(1).rev());
        let reused = self.read(&tokens, on)?;
        Ok(reused.map(|_| ()).ok_or(Ended::Interrupted))
    }
}

/// Tells what is shown, and keeps it.
fn give(
    shown: &Shown,
    thoughts: &mut String,
    text: &mut String,
    on: &mut impl FnMut(Event<'_>) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let mut heard = ControlFlow::Continue(());
    if !shown.thought.is_empty() {
        thoughts.push_str(&shown.thought);
        heard = on(Event::Thought(&shown.thought));
    }
    text.push_str(&shown.answer);
    match on(Event::Text(&shown.answer)) {
        ControlFlow::Continue(()) => heard,
        stop => stop,
    }
}
