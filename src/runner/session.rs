//! Prompts in, answers out.

use std::ops::ControlFlow;
use std::time::Duration;

use llama_cpp_2::token::LlamaToken;
use llama_cpp_2::token_type::LlamaTokenAttr;

use swallow_quant::GgmlType;

use super::engine::Engine;
use super::repeats::Repetition;
use super::speculation::{Speculate, Speculated, Speculator};
use super::stop::AnswerText;
use super::thoughts::Marks;
use super::{ContextOptions, Conversation, FlashAttention, Model, RunnerError, Sampling};

mod align;
mod generate;
mod state;

pub use state::{State, StateError, StateIdentity};

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
    /// Whether tokens are proposed, so that several are evaluated at once.
    pub speculate: Speculate,
}

impl Default for SessionOptions {
    fn default() -> Self {
        Self {
            context: ContextOptions::default(),
            sampling: Sampling::default(),
            limit: None,
            stops: Vec::new(),
            loop_stop: true,
            speculate: Speculate::default(),
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
    /// The next piece of what the model thinks before it answers.
    Thought(&'a str),
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
    /// What was thought before it, which was also given piece by piece.
    pub thoughts: String,
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
    /// What came of tokens that were proposed.
    pub speculated: Speculated,
}

impl Figures {
    /// Seconds for a token of a prompt, where so many were read that it says something.
    fn per_prompt_token(&self) -> Option<f64> {
        let tokens = self.prompt_tokens;
        (tokens >= 16).then(|| self.prompt_time.as_secs_f64() / tokens as f64)
    }
}

/// Answers with one model, one after another.
#[derive(Debug)]
pub struct Session<'m> {
    model: &'m Model,
    engine: Engine<'m>,
    speculator: Speculator<'m>,
    options: SessionOptions,
}

/// The context that an answer is made in. With keys and values in F16 llama.cpp divides the attention of a
/// single token among its threads, and that of several tokens not, so that the last bits depend on
/// both. At temperature 0, where text is expected to repeat, values are kept in BF16, which takes the same
/// memory and is never divided.
fn context_for(model: &Model, options: &SessionOptions) -> ContextOptions {
    let mut context = options.context.clone();
    let divided = context.threads > 1
        && context.flash_attn != FlashAttention::Off
        && (context.key_type, context.value_type) == (GgmlType::F16, GgmlType::F16)
        && model.offloaded_layers().0 == 0;
    if divided && options.sampling.temperature <= 0.0 && !model.shape.keeps_latent() {
        context.value_type = GgmlType::BF16;
    }
    context
}

/// How a generation begins and what it is held to.
struct Task<'a> {
    prompt: Vec<LlamaToken>,
    text: AnswerText,
    /// Tokens that mark thoughts.
    marks: Vec<LlamaToken>,
    /// The conversation whose oldest turns go when the context is full.
    conversation: Option<&'a mut Conversation>,
}

impl<'m> Session<'m> {
    /// Makes the context.
    ///
    /// # Errors
    /// Where there is no memory for it.
    pub fn new(model: &'m Model, options: SessionOptions) -> Result<Self, RunnerError> {
        Self::with_draft(model, None, options)
    }

    /// The same with a smaller model that proposes tokens.
    ///
    /// # Errors
    /// Where there is no memory for the contexts, or the smaller model has another vocabulary.
    pub fn with_draft(
        model: &'m Model,
        draft: Option<&'m Model>,
        options: SessionOptions,
    ) -> Result<Self, RunnerError> {
        let context = context_for(model, &options);
        Ok(Self {
            model,
            engine: Engine::new(model, &context)?,
            speculator: Speculator::new(model, draft, &context)?,
            options,
        })
    }

    /// Tokens the context has room for.
    pub fn context(&self) -> usize {
        self.engine.size()
    }

    /// How answers are made.
    pub fn options(&self) -> &SessionOptions {
        &self.options
    }

    /// How the next answers are made. The context stays what it is.
    pub fn options_mut(&mut self) -> &mut SessionOptions {
        &mut self.options
    }

    /// Tokens the context holds.
    pub fn held(&self) -> usize {
        self.engine.held().len()
    }

    /// How many tokens `text` is.
    pub fn count_tokens(&self, text: &str) -> usize {
        self.model
            .llama
            .vocab()
            .tokenize(text.as_bytes(), false, false)
            .len()
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
        let template = conversation.template().source();
        let marks = Marks::of(template, |mark| self.model.token(mark).is_some());
        let tokens = marks.into_iter().flat_map(Marks::all);
        let task = Task {
            prompt: self.as_held(fitted.tokens, room),
            text: AnswerText::new(stops, true).with_thoughts(marks, &fitted.text),
            marks: tokens.filter_map(|mark| self.model.token(mark)).collect(),
            conversation: Some(conversation),
        };
        let answer = self.generate(task, &mut on)?;
        // An answer stopped before its first word is none, and thoughts alone are none either.
        let whole = matches!(answer.ended, Ended::EndOfGeneration | Ended::StopString);
        if !answer.text.is_empty() || whole && answer.thoughts.is_empty() {
            conversation.answered(answer.remembered().to_owned(), answer.thoughts.clone());
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
            text: AnswerText::new(self.options.stops.clone(), false),
            marks: Vec::new(),
            conversation: None,
        };
        self.generate(task, &mut on)
    }

    /// The prompt in the tokens that the context holds, as far as they are the same text; as it is
    /// where that would take more than `room`.
    fn as_held(&self, prompt: Vec<LlamaToken>, room: usize) -> Vec<LlamaToken> {
        let vocab = self.model.llama.vocab();
        let aligned = align::aligned(self.engine.held(), prompt.clone(), |token| align::Piece {
            bytes: vocab.token_to_piece(token, true, None),
            only_itself: !vocab
                .attr(token)
                .intersects(LlamaTokenAttr::Normal | LlamaTokenAttr::Byte),
        });
        if aligned.len() <= room {
            aligned
        } else {
            prompt
        }
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
