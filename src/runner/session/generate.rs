//! The loop that makes an answer, token by token.

use std::ops::ControlFlow;
use std::time::Instant;

use llama_cpp_2::token::LlamaToken;

use super::{Answer, Ended, Event, Figures, Session, Task};
use crate::runner::RunnerError;
use crate::runner::repeats::{Repetition, RepetitionFinder, Said};
use crate::runner::rpc;
use crate::runner::stop::AnswerText;

impl Session<'_> {
    pub(super) fn generate(
        &mut self,
        mut task: Task<'_>,
        on: &mut impl FnMut(Event<'_>) -> ControlFlow<()>,
    ) -> Result<Answer, RunnerError> {
        let _computing = rpc::computing();
        let vocab = self.model.llama.vocab();
        let mut sampler = self.options.sampling.chain(vocab.n_tokens(), self.answers);
        self.answers = self.answers.wrapping_add(1);
        if self.options.sampling.penalizes() {
            sampler.accept_many(&task.prompt);
        }
        let mut figures = Figures::default();
        let mut filter = AnswerText::new(std::mem::take(&mut task.stops), task.trim);
        let mut text = String::new();
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
                ended: Ended::Interrupted,
                figures,
                once: 0,
            });
        };
        figures.reused_tokens = reused;
        figures.prompt_tokens = task.prompt.len() - reused;

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
            if let Some(&last) = generated.last() {
                if self.engine.is_full()
                    && let Err(ended) = self.make_room(&mut task, &generated, on)?
                {
                    break ended;
                }
                self.engine.append(&[last])?;
            }
            let token = self.engine.sample(&mut sampler);
            if vocab.is_eog(token) {
                break Ended::EndOfGeneration;
            }
            generated.push(token);
            let piece = vocab.token_to_piece(token, false, None);
            let (shown, stopped) = filter.push(&piece);
            text.push_str(&shown);
            ends.push(text.len());
            let heard = on(Event::Text(&shown));
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
        if ended != Ended::StopString {
            let held = filter.finish();
            text.push_str(&held);
            // Nothing more is coming, so there is nothing left to end.
            let _ = on(Event::Text(&held));
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
