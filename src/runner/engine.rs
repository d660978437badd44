//! A context of llama.cpp: it evaluates tokens, and keeps what it has evaluated.

use std::ops::ControlFlow;

use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::llama_batch::LlamaBatch;
use llama_cpp_2::sampling::LlamaSampler;
use llama_cpp_2::token::LlamaToken;

use super::{ContextOptions, Model, RunnerError, backend, log};

/// The one sequence of a context.
const SEQUENCE: u32 = 0;

/// Evaluates tokens; the keys and values of all evaluated tokens are kept, so that a prompt that
/// begins like the last one costs only what is new.
#[derive(Debug)]
pub(super) struct Engine<'m> {
    context: LlamaContext<'m>,
    batch: LlamaBatch<'static>,
    /// Tokens per batch.
    batch_size: usize,
    /// The tokens whose keys and values are in the context.
    held: Vec<LlamaToken>,
    /// Tokens the context has room for. llama.cpp rounds its own up to a multiple of 256.
    size: usize,
}

impl<'m> Engine<'m> {
    /// A context of `model`.
    pub(super) fn new(model: &'m Model, options: &ContextOptions) -> Result<Self, RunnerError> {
        let size = model.shape.context(options.size);
        options.check(&model.shape)?;
        let on_device = model.offloaded_layers().0 > 0;
        let params = options.params(size, on_device);
        let context = model.llama.new_context(backend()?, params);
        let mut context = context.map_err(|error| RunnerError::Context {
            size,
            reason: log::take_first_error().unwrap_or_else(|| error.to_string()),
        })?;
        if let Some(lora) = &model.lora {
            let mut lora = lora.lock().unwrap_or_else(|poison| poison.into_inner());
            let scale = lora.scale;
            let set = context.lora_adapter_set(&mut lora.adapter, scale);
            set.map_err(|error| RunnerError::Context {
                size,
                reason: error.to_string(),
            })?;
        }
        let (batch, _) = options.batches(on_device);
        let batch_size = batch as usize;
        Ok(Self {
            context,
            batch: LlamaBatch::new(batch_size, 1),
            batch_size,
            held: Vec::new(),
            size: size as usize,
        })
    }

    /// Tokens the context has room for.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// Whether no further token can be appended.
    pub(super) fn is_full(&self) -> bool {
        self.held.len() >= self.size
    }

    /// Makes the context hold exactly `tokens`, not none, and returns how many of them it held
    /// already. Between batches `go_on` is told how many of the new ones are evaluated; `None`
    /// where it ended the evaluation.
    pub(super) fn evaluate(
        &mut self,
        tokens: &[LlamaToken],
        mut go_on: impl FnMut(usize, usize) -> ControlFlow<()>,
    ) -> Result<Option<usize>, RunnerError> {
        // The last one is always evaluated, for its logits.
        let reusable = common_prefix(&self.held, tokens).min(tokens.len().saturating_sub(1));
        let reused = self.keep(reusable);
        let new = &tokens[reused..];
        let mut done = 0;
        for batch in new.chunks(self.batch_size) {
            if go_on(done, new.len()).is_break() {
                return Ok(None);
            }
            self.append(batch)?;
            done += batch.len();
        }
        self.context.synchronize();
        Ok(Some(reused))
    }

    /// Evaluates `tokens`, at most a batch of them, after those it holds.
    pub(super) fn append(&mut self, tokens: &[LlamaToken]) -> Result<(), RunnerError> {
        let position = self.held.len();
        let failed = |reason: String| RunnerError::Decode {
            tokens: tokens.len(),
            position,
            reason,
        };
        self.batch.clear();
        for (i, &token) in tokens.iter().enumerate() {
            let place = i32::try_from(position + i).map_err(|error| failed(error.to_string()))?;
            let wants_logits = i + 1 == tokens.len();
            self.batch
                .add(token, place, &[SEQUENCE as i32], wants_logits)
                .map_err(|error| failed(error.to_string()))?;
        }
        match self.context.decode(&mut self.batch) {
            Ok(()) => {
                self.held.extend_from_slice(tokens);
                Ok(())
            }
            Err(error) => {
                // What a failed batch leaves behind is not known.
                self.keep(0);
                Err(failed(
                    log::take_first_error().unwrap_or_else(|| error.to_string()),
                ))
            }
        }
    }

    /// Chooses the token that follows those it holds.
    pub(super) fn sample(&self, sampler: &mut LlamaSampler) -> LlamaToken {
        sampler.sample(&self.context, -1)
    }

    /// Forgets all but the first `count` tokens, and returns how many are left: none where the
    /// architecture cannot forget a part (recurrent models).
    fn keep(&mut self, count: usize) -> usize {
        if count < self.held.len() {
            let from = u32::try_from(count).ok();
            let cleared = self.context.clear_kv_cache_seq(Some(SEQUENCE), from, None);
            if count > 0 && matches!(cleared, Ok(true)) {
                self.held.truncate(count);
            } else {
                self.context.clear_kv_cache();
                self.held.clear();
            }
        }
        self.held.len()
    }
}

fn common_prefix(a: &[LlamaToken], b: &[LlamaToken]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_common_prefix_ends_at_the_first_difference() {
        let tokens = |ids: &[i32]| ids.iter().map(|&id| LlamaToken(id)).collect::<Vec<_>>();
        let prefix = |a: &[i32], b: &[i32]| common_prefix(&tokens(a), &tokens(b));
        assert_eq!(prefix(&[], &[1]), 0);
        assert_eq!(prefix(&[1, 2, 3], &[1, 2, 4, 3]), 2);
        assert_eq!(prefix(&[1, 2], &[1, 2, 3]), 2);
        assert_eq!(prefix(&[2], &[1]), 0);
    }
}
