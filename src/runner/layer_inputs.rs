//! What goes into each layer of a model while it reads a text.
//!
//! llama.cpp gives a program the logits and the state after the last layer. It has a hook, though,
//! that is called for every node of the graph as it is computed, and the nodes of Llama, Qwen2
//! and Qwen3 are named:
//!
//! | node | what it is |
//! | --- | --- |
//! | `embd` | the tokens' embeddings: the input of layer 0 |
//! | `l_out-N` | the output of layer N: the input of layer N + 1 |
//! | `kqv_out-N` | what the heads of layer N make, before the projection that adds it to the input |
//!
//! Each is a row of `n_embd` numbers for each token. Only sums over the tokens and the last token's
//! row are kept, so the memory does not grow with the text.
//!
//! `llama_cpp_2` has no way to set the hook, so this is the one place of the runner that calls llama.cpp
//! itself. Everything is computed on the CPU, with keys and values in F32 and without flash
//! attention, which would round them: this is about what the numbers are, and prompts are short.

use std::ffi::{CStr, CString, c_void};
use std::path::Path;
use std::ptr::{self, NonNull};
use std::sync::{Arc, Mutex, MutexGuard};

use llama_cpp_sys_2::{
    GGML_TYPE_F32, LLAMA_FLASH_ATTN_TYPE_DISABLED, ggml_backend_dev_t, ggml_tensor, llama_context,
    llama_model,
};

use super::{RunnerError, backend, log};

/// Tokens evaluated at once.
const BATCH: usize = 256;

/// A model whose layers are looked into.
#[derive(Debug)]
pub struct LayerModel {
    model: NonNull<llama_model>,
}

/// What the tokens of one text bring to each layer.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerInputs {
    /// For each layer the sum over all tokens: `n_embd` numbers.
    pub sums: Vec<Vec<f64>>,
    /// For each layer the row of the last token: `n_embd` numbers.
    pub last: Vec<Vec<f32>>,
}

/// A token's attention to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attention {
    /// To itself and all tokens before it, as the model was trained.
    Causal,
    /// To nothing, not even itself: attention adds zeros. So does a model in PyTorch treat the tokens
    /// that fill up a batch of texts of different lengths.
    None,
}

/// Evaluates texts one by one.
#[derive(Debug)]
pub struct LayerReader<'m> {
    context: NonNull<llama_context>,
    /// llama.cpp holds a pointer to it, for the hook.
    recorder: Arc<Mutex<Recorder>>,
    _model: &'m LayerModel,
}

impl LayerModel {
    /// Loads the GGUF at `path`, mapped into memory.
    ///
    /// # Errors
    /// Where llama.cpp cannot load it, with llama.cpp's reason.
    pub fn load(path: &Path) -> Result<Self, RunnerError> {
        log::install(false);
        backend()?;
        let c_path = path
            .to_str()
            .and_then(|path| CString::new(path).ok())
            .ok_or_else(|| RunnerError::Path { path: path.into() })?;
        let mut no_devices: [ggml_backend_dev_t; 1] = [ptr::null_mut()];
        // SAFETY: the defaults but for plain values, and a list of devices that ends with a null and, as
        // the path, outlives the call.
        let model = unsafe {
            let mut params = llama_cpp_sys_2::llama_model_default_params();
            params.n_gpu_layers = 0;
            params.devices = no_devices.as_mut_ptr();
            // Weights in another order for faster kernels would be a copy of them.
            params.use_extra_bufts = false;
            llama_cpp_sys_2::llama_model_load_from_file(c_path.as_ptr(), params)
        };
        let model = NonNull::new(model).ok_or_else(|| RunnerError::Load {
            path: path.into(),
            reason: log::take_first_error().unwrap_or_else(|| "it gives no reason".into()),
        })?;
        Ok(Self { model })
    }

    /// Makes a context for texts of at most `size` tokens, evaluated by `threads` threads.
    ///
    /// # Errors
    /// Where there is no memory for it.
    pub fn reader(&self, size: u32, threads: u32) -> Result<LayerReader<'_>, RunnerError> {
        // SAFETY: the model lives.
        let (n_layer, n_embd) = unsafe {
            let model = self.model.as_ptr();
            (
                llama_cpp_sys_2::llama_model_n_layer(model),
                llama_cpp_sys_2::llama_model_n_embd(model),
            )
        };
        let recorder = Arc::new(Mutex::new(Recorder {
            inputs: LayerInputs::zeros(n_layer.max(0) as usize, n_embd.max(0) as usize),
            attention: Attention::Causal,
            seen: vec![0; n_layer.max(0) as usize],
            row: Vec::new(),
        }));
        let threads = i32::try_from(threads.max(1)).unwrap_or(i32::MAX);
        // SAFETY: the model lives as long as the context, which borrows it. The hook gets the address
        // of the recorder, which the reader keeps until the context is freed.
        let context = unsafe {
            let mut params = llama_cpp_sys_2::llama_context_default_params();
            params.n_ctx = size.max(1);
            params.n_batch = BATCH as u32;
            params.n_ubatch = BATCH as u32;
            params.n_seq_max = 1;
            params.n_threads = threads;
            params.n_threads_batch = threads;
            params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_DISABLED;
            params.type_k = GGML_TYPE_F32;
            params.type_v = GGML_TYPE_F32;
            params.offload_kqv = false;
            params.op_offload = false;
            params.no_perf = true;
            params.cb_eval = Some(on_node);
            params.cb_eval_user_data = Arc::as_ptr(&recorder).cast::<c_void>().cast_mut();
            llama_cpp_sys_2::llama_init_from_model(self.model.as_ptr(), params)
        };
        let context = NonNull::new(context).ok_or_else(|| RunnerError::LayerContext {
            size,
            reason: log::take_first_error().unwrap_or_else(|| "it gives no reason".into()),
        })?;
        Ok(LayerReader {
            context,
            recorder,
            _model: self,
        })
    }
}

impl Drop for LayerModel {
    fn drop(&mut self) {
        // SAFETY: made by llama.cpp and freed once; contexts borrow the model, so none is left.
        unsafe { llama_cpp_sys_2::llama_model_free(self.model.as_ptr()) };
    }
}

impl LayerReader<'_> {
    /// Evaluates `tokens` as one text, from its beginning.
    ///
    /// # Errors
    /// Where there are no tokens, one that the model does not have, or more than the context has room
    /// for; and where llama.cpp fails.
    pub fn read(
        &mut self,
        tokens: &[u32],
        attention: Attention,
    ) -> Result<LayerInputs, RunnerError> {
        if tokens.is_empty() {
            return Err(RunnerError::EmptyPrompt);
        }
        self.recorder().start(attention);
        // SAFETY: the context lives.
        unsafe {
            let memory = llama_cpp_sys_2::llama_get_memory(self.context.as_ptr());
            llama_cpp_sys_2::llama_memory_clear(memory, true);
        }
        for (i, batch) in tokens.chunks(BATCH).enumerate() {
            self.decode(batch).map_err(|reason| RunnerError::Decode {
                tokens: batch.len(),
                position: i * BATCH,
                reason,
            })?;
        }
        self.recorder().finish(tokens.len())
    }

    fn recorder(&self) -> MutexGuard<'_, Recorder> {
        let recorder = self.recorder.lock();
        recorder.unwrap_or_else(|poison| poison.into_inner())
    }

    fn decode(&mut self, tokens: &[u32]) -> Result<(), String> {
        let mut tokens: Vec<i32> = tokens.iter().map(|&id| id as i32).collect();
        // SAFETY: the batch points to `tokens`, which outlive the call; llama.cpp itself refuses ids that
        // are not in the vocabulary, and numbers the positions.
        let status = unsafe {
            let batch =
                llama_cpp_sys_2::llama_batch_get_one(tokens.as_mut_ptr(), tokens.len() as i32);
            let status = llama_cpp_sys_2::llama_decode(self.context.as_ptr(), batch);
            llama_cpp_sys_2::llama_synchronize(self.context.as_ptr());
            status
        };
        match status {
            0 => Ok(()),
            other => Err(log::take_first_error().unwrap_or_else(|| format!("it gives {other}"))),
        }
    }
}

impl Drop for LayerReader<'_> {
    fn drop(&mut self) {
        // SAFETY: made by llama.cpp and freed once, before the recorder that it points to.
        unsafe { llama_cpp_sys_2::llama_free(self.context.as_ptr()) };
    }
}

impl LayerInputs {
    fn zeros(n_layer: usize, n_embd: usize) -> Self {
        Self {
            sums: vec![vec![0.0; n_embd]; n_layer],
            last: vec![vec![0.0; n_embd]; n_layer],
        }
    }
}

/// What the hook writes to.
#[derive(Debug)]
struct Recorder {
    inputs: LayerInputs,
    attention: Attention,
    /// Tokens seen by each layer.
    seen: Vec<usize>,
    /// The numbers of one node.
    row: Vec<f32>,
}

/// A node that the hook is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Node {
    /// The input of this layer.
    InputOf(usize),
    /// What the heads of a layer make. Zeros stay zeros in the projection behind it, which has no bias.
    Attention,
}

impl Recorder {
    fn start(&mut self, attention: Attention) {
        self.attention = attention;
        self.seen.fill(0);
        self.inputs.sums.iter_mut().for_each(|sum| sum.fill(0.0));
    }

    /// What was recorded, if every layer has seen `n_tokens`.
    fn finish(&self, n_tokens: usize) -> Result<LayerInputs, RunnerError> {
        match self.seen.iter().position(|&seen| seen != n_tokens) {
            None => Ok(self.inputs.clone()),
            Some(layer) => Err(RunnerError::LayerInput {
                layer,
                expected: n_tokens,
                found: self.seen[layer],
            }),
        }
    }

    /// What the node named `name` is to us.
    fn node(&self, name: &[u8]) -> Option<Node> {
        let name = std::str::from_utf8(name).ok()?;
        if name == "embd" {
            return Some(Node::InputOf(0));
        }
        let (kind, layer) = name.rsplit_once('-')?;
        let layer: usize = layer.parse().ok()?;
        match kind {
            // The last layer's output is nobody's input.
            "l_out" if layer + 1 < self.seen.len() => Some(Node::InputOf(layer + 1)),
            "kqv_out" if self.attention == Attention::None => Some(Node::Attention),
            _ => None,
        }
    }

    /// Adds the rows of `n_embd` numbers in `self.row`.
    fn add(&mut self, layer: usize) {
        let (sums, last) = (&mut self.inputs.sums[layer], &mut self.inputs.last[layer]);
        for row in self.row.chunks_exact(last.len()) {
            for (sum, value) in std::iter::zip(&mut *sums, row) {
                *sum += f64::from(*value);
            }
            last.copy_from_slice(row);
            self.seen[layer] += 1;
        }
    }
}

/// The hook. Asked whether a node is wanted (`ask`), and called again when it is computed; what
/// comes after has not begun then. Must not panic: it is called from C.
unsafe extern "C" fn on_node(tensor: *mut ggml_tensor, ask: bool, recorder: *mut c_void) -> bool {
    // SAFETY: the pointer that `reader` has given; the recorder lives at least as long as the context.
    let recorder = unsafe { &*recorder.cast::<Mutex<Recorder>>() };
    let mut recorder = recorder.lock().unwrap_or_else(|poison| poison.into_inner());
    // SAFETY: a node of the graph, with a name that ends in a zero.
    let name = unsafe { CStr::from_ptr((*tensor).name.as_ptr()) };
    let Some(node) = recorder.node(name.to_bytes()) else {
        return !ask;
    };
    if ask {
        return true;
    }
    // SAFETY: a node that is computed, so it has a buffer; the copies are as long as what we checked.
    unsafe {
        let (bytes, is_f32) = (
            llama_cpp_sys_2::ggml_nbytes(tensor),
            (*tensor).type_ == GGML_TYPE_F32 && llama_cpp_sys_2::ggml_is_contiguous(tensor),
        );
        match node {
            // Of another type or shape, it is not counted as seen.
            Node::InputOf(layer) => {
                let n_embd = recorder.inputs.last[layer].len();
                if is_f32 && usize::try_from((*tensor).ne[0]) == Ok(n_embd) {
                    recorder.row.resize(bytes / size_of::<f32>(), 0.0);
                    let row = recorder.row.as_mut_ptr().cast::<c_void>();
                    llama_cpp_sys_2::ggml_backend_tensor_get(tensor, row, 0, bytes);
                    recorder.add(layer);
                }
            }
            Node::Attention => {
                llama_cpp_sys_2::ggml_backend_tensor_memset(tensor, 0, 0, bytes);
            }
        }
    }
    true
}
