//! Prompts in, answers out.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use llama_cpp_2::token::LlamaToken;

use super::engine::Engine;
use super::repeats::{Repetition, RepetitionFinder, Said};
use super::stop::AnswerText;
use super::{Conversation, Model, RunnerError, Sampling};

/// How answers are made.
#[derive(Clone, Debug)]
pub struct SessionOptions {
    /// Tokens of the context; `None` is the model's training context, at most
    /// [`SessionOptions::DEFAULT_CONTEXT`].
    pub context: Option<u32>,
    /// Threads that evaluate.
    pub threads: u32,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// Most tokens of an answer; `None` leaves the end to the model.
    pub limit: Option<usize>,
    /// Strings that end an answer, besides those of the template.
    pub stops: Vec<String>,
    /// Whether an answer ends that only repeats itself.
    pub loop_stop: bool,
}

impl SessionOptions {
    /// The largest context made unasked. Keys and values take memory for every token of it, and
    /// newer models were trained for a million.
    pub const DEFAULT_CONTEXT: u32 = 8192;
}

/// What happens while an answer is made. Returning `Break` ends it.
#[derive(Debug)]
pub enum Event<'a> {
    /// So many of the prompt's new tokens are evaluated.
    Reading {
        /// Evaluated tokens.
        done: usize,
        /// Tokens to evaluate.
        total: usize,
    },
    /// The next piece of the answer; may be empty.
    Text(&'a str),
    /// The context is full, and so many of the oldest turns were forgotten.
    Forgot {
        /// Number of turns.
        turns: usize,
    },
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The model ended it.
    EndOfGeneration,
    /// A stop string came.
    StopString,
    /// It has as many tokens as were allowed.
    Limit,
    /// The receiver of the events ended it.
    Interrupted,
    /// The context is full, and there is no older turn to forget.
    ContextFull,
    /// It only repeats itself.
    Repetition(Repetition),
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its text, which was also given piece by piece.
    pub text: String,
    /// Why it ended.
    pub ended: Ended,
    /// What it took.
    pub figures: Figures,
    /// Bytes of the text without what repeats itself at its end.
    once: usize,
}

impl Answer {
    /// What a conversation remembers: in a prompt that repeats itself the next answer would, too.
    fn remembered(&self) -> &str {
        match self.ended {
            Ended::Repetition(_) => self.text[..self.once].trim_end(),
            _ => &self.text,
        }
    }
}

/// What an answer took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    /// Tokens of the prompt that were evaluated.
    pub prompt_tokens: usize,
    /// Tokens of the prompt that the context still held.
    pub reused_tokens: usize,
    /// Time for the prompt.
    pub prompt_time: Duration,
    /// Tokens of the answer.
    pub answer_tokens: usize,
    /// Time for the answer.
    pub answer_time: Duration,
}

/// Answers with one model, one after another.
#[derive(Debug)]
pub struct Session<'m> {
    model: &'m Model,
    engine: Engine<'m>,
    options: SessionOptions,
    /// Answers made so far.
    answers: u32,
}

/// How a generation begins and what it is held to.
struct Task<'a> {
    prompt: Vec<LlamaToken>,
    stops: Vec<String>,
    trim: bool,
    /// The conversation whose oldest turns go when the context is full.
    conversation: Option<&'a mut Conversation>,
}

impl<'m> Session<'m> {
    /// Makes the context.
    ///
    /// # Errors
    /// Where there is no memory for it.
    pub fn new(model: &'m Model, options: SessionOptions) -> Result<Self, RunnerError> {
        let trained = model.trained_context();
        let unasked = || trained.min(SessionOptions::DEFAULT_CONTEXT);
        let size = options.context.unwrap_or_else(unasked);
        Ok(Self {
            model,
            engine: Engine::new(model, size, options.threads)?,
            options,
            answers: 0,
        })
    }

    /// Tokens the context has room for.
    pub fn context(&self) -> usize {
        self.engine.size()
    }

    /// Answers the last question of `conversation` and records the answer there. Where the
    /// context is full its oldest turns are forgotten.
    ///
    /// # Errors
    /// Where the template fails, the question alone is too long (then no turn is forgotten), or
    /// llama.cpp fails. The question then has no answer.
    pub fn answer(
        &mut self,
        conversation: &mut Conversation,
        mut on: impl FnMut(Event<'_>) -> ControlFlow<()>,
    ) -> Result<Answer, RunnerError> {
        let room = self.engine.size().saturating_sub(self.reserve(0, 4));
        let fitted = conversation.fit(room, |text| self.model.tokenize(text))?;
        self.check_length(&fitted.tokens)?;
        if fitted.dropped > 0 {
            conversation.forget(fitted.dropped);
            // The answer is wanted all the same; whether to go on is asked again at once.
            let _ = on(Event::Forgot {
                turns: fitted.dropped,
            });
        }
        let mut stops = self.options.stops.clone();
        stops.extend_from_slice(conversation.template().stop_strings());
        let task = Task {
            prompt: fitted.tokens,
            stops,
            trim: true,
            conversation: Some(conversation),
        };
        let answer = self.generate(task, &mut on)?;
        // An answer stopped before its first word is none.
        if answer.ended != Ended::Interrupted || !answer.text.is_empty() {
            conversation.answered(answer.remembered().to_owned());
        }
        Ok(answer)
    }

    /// Continues `prompt` as it is, without a template.
    ///
    /// # Errors
    /// Where the prompt is empty or too long, or llama.cpp fails.
    pub fn complete(
        &mut self,
        prompt: &str,
        mut on: impl FnMut(Event<'_>) -> ControlFlow<()>,
    ) -> Result<Answer, RunnerError> {
        let prompt = self.model.tokenize(prompt);
        self.check_length(&prompt)?;
        let task = Task {
            prompt,
            stops: self.options.stops.clone(),
            trim: false,
            conversation: None,
        };
        self.generate(task, &mut on)
    }

    fn check_length(&self, prompt: &[LlamaToken]) -> Result<(), RunnerError> {
        if prompt.is_empty() {
            return Err(RunnerError::EmptyPrompt);
        }
        if prompt.len() >= self.engine.size() {
            return Err(RunnerError::PromptTooLong {
                tokens: prompt.len(),
                context: self.engine.size(),
                trained: self.model.trained_context(),
            });
        }
        Ok(())
    }

    /// Tokens to keep free for the rest of an answer that has `generated` of them: what it may
    /// still take, but at most one part in `share` of the context.
    fn reserve(&self, generated: usize, share: usize) -> usize {
        let most = self.engine.size() / share;
        let rest = self
            .options
            .limit
            .map(|limit| limit.saturating_sub(generated));
        rest.map_or(most, |rest| rest.min(most)).max(1)
    }

    fn generate(
        &mut self,
        mut task: Task<'_>,
        on: &mut impl FnMut(Event<'_>) -> ControlFlow<()>,
    ) -> Result<Answer, RunnerError> {
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
