//! A context of llama.cpp: it evaluates tokens, and keeps what it has evaluated.

use std::ops::ControlFlow;
use std::path::Path;

use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::context::session::{LlamaStateSeqFlags, SaveSeqStateError};
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
    /// As many of the first tokens can only be held together: they came from a state in which a
    /// sliding window has left out what is needed to go on from the middle of them.
    together: usize,
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
            together: 0,
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

    /// Evaluates `tokens`, at most a batch of them, after those it holds, for the logits of the last.
    pub(super) fn append(&mut self, tokens: &[LlamaToken]) -> Result<(), RunnerError> {
        self.decode(tokens, false)
    }

    /// The same for the logits of all of them.
    pub(super) fn append_all(&mut self, tokens: &[LlamaToken]) -> Result<(), RunnerError> {
        self.decode(tokens, true)
    }

    fn decode(&mut self, tokens: &[LlamaToken], all: bool) -> Result<(), RunnerError> {
        let position = self.held.len();
        let failed = |reason: String| RunnerError::Decode {
            tokens: tokens.len(),
            position,
            reason,
        };
        self.batch.clear();
        for (i, &token) in tokens.iter().enumerate() {
            let place = i32::try_from(position + i).map_err(|error| failed(error.to_string()))?;
            let wants_logits = all || i + 1 == tokens.len();
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

    /// Chooses the token that follows the one at `index` of the last batch, all of whose logits are there.
    pub(super) fn sample_at(&self, sampler: &mut LlamaSampler, index: i32) -> LlamaToken {
        sampler.sample(&self.context, index)
    }

    /// The logits of the token at `index` of the last batch, which were asked for; -1 is the last.
    pub(super) fn logits(&self, index: i32) -> &[f32] {
        self.context.get_logits_ith(index)
    }

    /// Waits until everything is computed.
    pub(super) fn wait(&self) {
        self.context.synchronize();
    }

    /// Most tokens of a batch.
    pub(super) fn batch_size(&self) -> usize {
        self.batch_size
    }

    /// Tokens that can still be appended.
    pub(super) fn room(&self) -> usize {
        self.size.saturating_sub(self.held.len())
    }

    /// Forgets everything.
    pub(super) fn forget(&mut self) {
        self.keep(0);
    }

    /// Forgets all but the first `count` tokens, not none. False where the architecture cannot forget a
    /// part: then these are evaluated again.
    pub(super) fn take_back(&mut self, count: usize) -> Result<bool, RunnerError> {
        let left = self.held[..count.min(self.held.len())].to_vec();
        if self.keep(left.len()) == left.len() {
            return Ok(true);
        }
        self.evaluate(&left, |_, _| ControlFlow::Continue(()))?;
        Ok(false)
    }

    /// Forgets all but the first `count` tokens, and returns how many are left: none where the
    /// architecture cannot forget a part (recurrent models).
    fn keep(&mut self, count: usize) -> usize {
        if count < self.held.len() {
            let from = u32::try_from(count).ok();
            let can = count > 0 && count >= self.together;
            if can
                && matches!(
                    self.context.clear_kv_cache_seq(Some(SEQUENCE), from, None),
                    Ok(true)
                )
            {
                self.held.truncate(count);
            } else {
                self.context.clear_kv_cache();
                self.held.clear();
                self.together = 0;
            }
        }
        self.held.len()
    }

    /// The tokens whose keys and values are in the context.
    pub(super) fn held(&self) -> &[LlamaToken] {
        &self.held
    }

    /// Bytes that [`Engine::save`] would write, about.
    pub(super) fn state_size(&self) -> u64 {
        let flags = LlamaStateSeqFlags::empty();
        self.context.state_seq_get_size_ext(SEQUENCE as i32, flags) as u64
    }

    /// Writes the tokens it holds, and their keys and values, into the file at `path`, in llama.cpp's
    /// form; gives the bytes written.
    pub(super) fn save(&self, path: &Path) -> Result<u64, SaveSeqStateError> {
        let saved = self
            .context
            .state_seq_save_file(path, SEQUENCE as i32, &self.held);
        saved.map(|bytes| bytes as u64)
    }

    /// Reads what [`Engine::save`] wrote of so many tokens, in place of what it holds. The file must
    /// be known to be whole. False where llama.cpp does not take it; nothing is held then.
    pub(super) fn load(&mut self, path: &Path, tokens: usize) -> bool {
        self.keep(0);
        let read = self
            .context
            .state_seq_load_file(path, SEQUENCE as i32, tokens);
        match read {
            Ok((read, _)) if read.len() == tokens && tokens <= self.size => {
                let all = self.context.kv_cache_seq_pos_min(SEQUENCE as i32) <= 0;
                self.together = if all { 0 } else { tokens };
                self.held = read;
                true
            }
            _ => {
                self.context.clear_kv_cache();
                false
            }
        }
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
