//! How clear a model's most likely tokens are, by llama.cpp itself.

use std::{collections::BTreeSet, ffi::CString, path::Path};

use llama_cpp_sys_2::{
    llama_batch_get_one, llama_context, llama_context_default_params, llama_decode, llama_free,
    llama_get_logits_ith, llama_init_from_model, llama_model, llama_model_default_params,
    llama_model_free, llama_model_get_vocab, llama_model_load_from_file, llama_token,
    llama_tokenize, llama_vocab_n_tokens,
};

/// What is known of the most likely tokens after a prompt.
pub(super) struct Clearness {
    /// By which part of the logits' deviation one is ahead of the next, where this is least.
    pub(super) margin: f32,
    /// How many different ones there are.
    pub(super) different: usize,
}

/// How clear the first `tokens` after `prompt` are, or why llama.cpp does not run the model.
pub(super) fn clearness(path: &Path, prompt: &str, tokens: usize) -> Result<Clearness, String> {
    let model = Model::load(path)?;
    let mut batch = model.tokens(prompt);
    let mut margin = f32::INFINITY;
    let mut seen = BTreeSet::new();
    for _ in 0..tokens {
        let logits = model.logits(&mut batch)?;
        if logits.iter().any(|logit| !logit.is_finite()) {
            return Err("logits that are no numbers".to_owned());
        }
        let mean = logits.iter().sum::<f32>() / logits.len() as f32;
        let square = logits
            .iter()
            .map(|logit| (logit - mean).powi(2))
            .sum::<f32>();
        let deviation = (square / logits.len() as f32).sqrt();
        let mut order: Vec<usize> = (0..logits.len()).collect();
        order.sort_by(|a, b| logits[*b].total_cmp(&logits[*a]));
        margin = margin.min((logits[order[0]] - logits[order[1]]) / deviation);
        seen.insert(order[0]);
        batch = vec![order[0] as llama_token];
    }
    Ok(Clearness {
        margin,
        different: seen.len(),
    })
}

/// A model and its context, freed in the end.
struct Model {
    model: *mut llama_model,
    context: *mut llama_context,
}

impl Model {
    fn load(path: &Path) -> Result<Self, String> {
        let path = CString::new(path.to_str().unwrap()).unwrap();
        // SAFETY: the path outlives the call, the parameters are llama.cpp's own, and what is made is freed
        // by `drop`, the context before its model.
        unsafe {
            let mut params = llama_model_default_params();
            params.n_gpu_layers = 0;
            let model = llama_model_load_from_file(path.as_ptr(), params);
            if model.is_null() {
                return Err("llama.cpp does not load it".to_owned());
            }
            let mut params = llama_context_default_params();
            params.n_ctx = 128;
            params.n_threads = 1;
            params.n_threads_batch = 1;
            let context = llama_init_from_model(model, params);
            let model = Self { model, context };
            match context.is_null() {
                true => Err("llama.cpp makes no context for it".to_owned()),
                false => Ok(model),
            }
        }
    }

    fn tokens(&self, text: &str) -> Vec<llama_token> {
        let mut tokens = vec![0; 4 * text.len() + 8];
        // SAFETY: the model is alive, and both lists are as long as is said.
        let count = unsafe {
            llama_tokenize(
                llama_model_get_vocab(self.model),
                text.as_ptr().cast(),
                text.len() as i32,
                tokens.as_mut_ptr(),
                tokens.len() as i32,
                true,
                true,
            )
        };
        tokens.truncate(count.try_into().unwrap());
        tokens
    }

    /// The logits after these further tokens.
    fn logits(&self, batch: &mut [llama_token]) -> Result<Vec<f32>, String> {
        // SAFETY: model and context are alive, the batch is as long as is said, and the logits of its
        // last token are as many as the vocabulary has tokens.
        unsafe {
            let batch = llama_batch_get_one(batch.as_mut_ptr(), batch.len() as i32);
            if llama_decode(self.context, batch) != 0 {
                return Err("llama.cpp does not decode".to_owned());
            }
            let logits = llama_get_logits_ith(self.context, -1);
            let len = llama_vocab_n_tokens(llama_model_get_vocab(self.model));
            Ok(std::slice::from_raw_parts(logits, len.try_into().unwrap()).to_vec())
        }
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        // SAFETY: both were made by llama.cpp and are used no more.
        unsafe {
            if !self.context.is_null() {
                llama_free(self.context);
            }
            llama_model_free(self.model);
        }
    }
}
