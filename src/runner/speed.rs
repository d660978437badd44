//! What an engine takes for prompts and for tokens, without choosing any.

use llama_cpp_2::token::LlamaToken;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::engine::Engine;
use super::{ContextOptions, Model, RunnerError};

/// A context that is filled with random tokens.
#[derive(Debug)]
pub struct SpeedTest<'m> {
    engine: Engine<'m>,
    model: &'m Model,
    random: ChaCha8Rng,
}

impl<'m> SpeedTest<'m> {
    /// Makes the context.
    ///
    /// # Errors
    /// Where there is no memory for it.
    pub fn new(model: &'m Model, options: &ContextOptions) -> Result<Self, RunnerError> {
        Ok(Self {
            engine: Engine::new(model, options)?,
            model,
            random: ChaCha8Rng::seed_from_u64(1),
        })
    }

    /// Weights of the model.
    pub fn parameters(&self) -> u64 {
        self.model.llama.n_params()
    }

    /// Bytes of its tensors.
    pub fn bytes(&self) -> u64 {
        self.model.llama.size()
    }

    /// Makes the context hold so many tokens, whatever they are.
    ///
    /// # Errors
    /// Where llama.cpp fails.
    pub fn hold(&mut self, tokens: usize) -> Result<(), RunnerError> {
        let held = self.engine.held().len();
        match tokens {
            0 => {
                self.engine.forget();
                Ok(())
            }
            fewer if fewer <= held => self.engine.take_back(fewer).map(|_| ()),
            more => self.read(more - held),
        }
    }

    /// Reads a prompt of so many tokens after those that are held.
    ///
    /// # Errors
    /// Where llama.cpp fails, for one because there is no room.
    pub fn read(&mut self, tokens: usize) -> Result<(), RunnerError> {
        let prompt: Vec<LlamaToken> = (0..tokens).map(|_| self.any_token()).collect();
        for batch in prompt.chunks(self.engine.batch_size()) {
            self.engine.append(batch)?;
        }
        self.engine.wait();
        Ok(())
    }

    /// Evaluates so many tokens one after the other, each when the one before is ready.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn generate(&mut self, tokens: usize) -> Result<(), RunnerError> {
        for _ in 0..tokens {
            let token = self.any_token();
            self.engine.append(&[token])?;
            self.engine.wait();
        }
        Ok(())
    }

    fn any_token(&mut self) -> LlamaToken {
        let count = self.model.llama.vocab().n_tokens().max(1);
        LlamaToken(self.random.random_range(0..count))
    }
}
