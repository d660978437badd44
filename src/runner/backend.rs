//! llama.cpp's global state: set up once for the process, and never taken down while a model may
//! still use it.

use std::sync::LazyLock;

use llama_cpp_2::llama_backend::LlamaBackend;

use super::RunnerError;

static BACKEND: LazyLock<Result<LlamaBackend, String>> =
    LazyLock::new(|| LlamaBackend::init().map_err(|error| error.to_string()));

/// llama.cpp, ready to load models; the same one for every caller.
///
/// # Errors
/// Where it cannot be set up.
pub fn backend() -> Result<&'static LlamaBackend, RunnerError> {
    BACKEND.as_ref().map_err(|reason| RunnerError::Backend {
        reason: reason.clone(),
    })
}
