//! Prompts in, answers out.

use std::ops::ControlFlow;
use std::time::Duration;

use llama_cpp_2::token::LlamaToken;

use super::engine::Engine;
use super::repeats::Repetition;
use super::{ContextOptions, Conversation, Model, RunnerError, Sampling, rpc};

mod generate;

/// How answers are made.
#[derive(Clone, Debug)]
pub struct SessionOptions {
    /// What the model is evaluated with.
    pub context: ContextOptions,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// Most tokens of an answer; `None` leaves the end to the model.
    pub limit: Option<usize>,
    /// Strings that end an answer, besides those of the template.
    pub stops: Vec<String>,
    /// Whether an answer ends that only repeats itself.
    pub loop_stop: bool,
}

impl Default for SessionOptions {
    fn default() -> Self {
        Self {
            context: ContextOptions::default(),
            sampling: Sampling::default(),
            limit: None,
            stops: Vec::new(),
            loop_stop: true,
        }
    }
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
        let _computing = rpc::computing();
        Ok(Self {
            model,
            engine: Engine::new(model, &options.context)?,
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
}
