//! What a model is evaluated with.

use std::num::NonZeroU32;

use llama_cpp_2::context::params::{KvCacheType, LlamaContextParams};
use llama_cpp_sys_2::{ggml_type, llama_context_params, llama_flash_attn_type};
use swallow_quant::GgmlType;

use super::RunnerError;
use crate::memory::{DEFAULT_CONTEXT, Shape, Usage};

/// What a model is evaluated with.
#[derive(Clone, Debug)]
pub struct ContextOptions {
    /// Tokens of the context; `None` is the model's training context, at most
    /// [`ContextOptions::DEFAULT_SIZE`].
    pub size: Option<u32>,
    /// Threads that evaluate.
    pub threads: u32,
    /// Threads that evaluate prompts; `None` is as many.
    pub threads_batch: Option<u32>,
    /// Tokens handed to llama.cpp at once; `None` is as many as are evaluated at once.
    pub batch: Option<u32>,
    /// Tokens evaluated at once; `None` is what suits the CPU or a device.
    pub ubatch: Option<u32>,
    /// Type of the keys that are kept.
    pub key_type: GgmlType,
    /// Type of the values that are kept.
    pub value_type: GgmlType,
    /// Whether attention is computed without its matrix of scores.
    pub flash_attn: FlashAttention,
    /// Base of the rotary frequencies; `None` is the model's.
    pub rope_freq_base: Option<f32>,
    /// Factor of the rotary frequencies; `None` is the model's.
    pub rope_freq_scale: Option<f32>,
}

/// Whether attention is computed without its matrix of scores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum FlashAttention {
    /// Where the devices can
    #[default]
    Auto,
    /// Always
    On,
    /// Never
    Off,
}

impl Default for ContextOptions {
    fn default() -> Self {
        Self {
            size: None,
            threads: 1,
            threads_batch: None,
            batch: None,
            ubatch: None,
            key_type: GgmlType::F16,
            value_type: GgmlType::F16,
            flash_attn: FlashAttention::Auto,
            rope_freq_base: None,
            rope_freq_scale: None,
        }
    }
}

impl ContextOptions {
    /// The largest context made unasked.
    pub const DEFAULT_SIZE: u32 = DEFAULT_CONTEXT;

    /// Types that keys and values can be kept in.
    pub const CACHE_TYPES: &[GgmlType] = &[
        GgmlType::F16,
        GgmlType::BF16,
        GgmlType::F32,
        GgmlType::Q8_0,
        GgmlType::Q5_1,
        GgmlType::Q5_0,
        GgmlType::Q4_1,
        GgmlType::Q4_0,
        GgmlType::IQ4_NL,
    ];

    /// Tokens handed to llama.cpp at once, and evaluated at once.
    pub fn batches(&self, on_device: bool) -> (u32, u32) {
        let unasked = if on_device {
            Usage::UBATCH_GPU
        } else {
            Usage::UBATCH_CPU
        };
        let ubatch = self
            .ubatch
            .or(self.batch.map(|batch| batch.min(unasked)))
            .unwrap_or(unasked);
        let batch = self.batch.unwrap_or(ubatch);
        (batch, ubatch.min(batch))
    }

    /// Fails where keys or values of the model cannot be kept as asked, which llama.cpp says only in
    /// its log, or not at all.
    ///
    /// # Errors
    /// With the reason.
    pub fn check(&self, shape: &Shape) -> Result<(), RunnerError> {
        let refuse = |what, ty, reason| Err(RunnerError::CacheType { what, ty, reason });
        let off = self.flash_attn == FlashAttention::Off;
        if off && self.value_type.is_quantized() {
            let reason = "without flash attention they lie in columns, which have no blocks; leave out \
                          `--flash-attn off`, or give `--kv-type` a plain second type such as `f16`";
            return refuse("values", self.value_type, reason.to_owned());
        }
        if shape.keeps_latent() && self.key_type != self.value_type {
            let reason = "this model keeps one vector for key and value; give one type for both";
            return refuse("values", self.value_type, reason.to_owned());
        }
        let (key, value) = shape.head_sizes();
        for (what, ty, width) in [
            ("keys", self.key_type, key),
            ("values", self.value_type, value),
        ] {
            let block = ty.block_len() as u64;
            if !off && !width.is_multiple_of(block) {
                let reason = format!(
                    "this model's heads are {width} weights wide, no multiple of its blocks of {block}"
                );
                return refuse(what, ty, reason);
            }
        }
        Ok(())
    }

    /// llama.cpp's parameters for a context of `size` tokens.
    pub(super) fn params(&self, size: u32, on_device: bool) -> LlamaContextParams {
        let threads = i32::try_from(self.threads).unwrap_or(i32::MAX);
        let threads_batch = self.threads_batch.unwrap_or(self.threads);
        let (batch, ubatch) = self.batches(on_device);
        let mut params = LlamaContextParams::default()
            .with_n_ctx(NonZeroU32::new(size))
            .with_n_batch(batch)
            .with_n_ubatch(ubatch)
            .with_n_threads(threads)
            .with_n_threads_batch(i32::try_from(threads_batch).unwrap_or(i32::MAX))
            .with_type_k(KvCacheType::from(self.key_type as ggml_type))
            .with_type_v(KvCacheType::from(self.value_type as ggml_type))
            .with_flash_attention_policy(self.flash_attn_type())
            .with_no_perf(true);
        if let Some(base) = self.rope_freq_base {
            params = params.with_rope_freq_base(base);
        }
        if let Some(scale) = self.rope_freq_scale {
            params = params.with_rope_freq_scale(scale);
        }
        params
    }

    /// As [`ContextOptions::params`], as far as it decides about memory.
    pub(super) fn raw(&self, size: u32, on_device: bool) -> llama_context_params {
        // SAFETY: it takes nothing and returns plain values and nulls.
        let mut raw = unsafe { llama_cpp_sys_2::llama_context_default_params() };
        raw.n_ctx = size;
        (raw.n_batch, raw.n_ubatch) = self.batches(on_device);
        raw.type_k = self.key_type as ggml_type;
        raw.type_v = self.value_type as ggml_type;
        raw.flash_attn_type = self.flash_attn_type();
        raw
    }

    fn flash_attn_type(&self) -> llama_flash_attn_type {
        match self.flash_attn {
            FlashAttention::Auto => llama_cpp_sys_2::LLAMA_FLASH_ATTN_TYPE_AUTO,
            FlashAttention::On => llama_cpp_sys_2::LLAMA_FLASH_ATTN_TYPE_ENABLED,
            FlashAttention::Off => llama_cpp_sys_2::LLAMA_FLASH_ATTN_TYPE_DISABLED,
        }
    }

    /// How a context of a model of this shape uses memory, with so many layers on devices.
    pub fn usage(&self, shape: &Shape, gpu_layers: u32) -> Usage {
        Usage {
            key_type: self.key_type,
            value_type: self.value_type,
            ubatch: self.batches(gpu_layers > 0).1,
            flash_attn: self.flash_attn != FlashAttention::Off,
            gpu_layers,
            ..Usage::on_cpu(shape.context(self.size))
        }
    }
}
