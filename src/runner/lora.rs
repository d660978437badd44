//! An adapter (LoRA) beside a model.

use std::path::Path;

use llama_cpp_2::model::{LlamaLoraAdapter, LlamaModel};

use super::{ModelFile, ModelFileError, RunnerError, log};
use crate::gguf::{Gguf, Value, escape};

/// An adapter in memory. The model it was loaded for frees it.
#[derive(Debug)]
pub(super) struct Lora {
    pub(super) adapter: LlamaLoraAdapter,
    pub(super) scale: f32,
}

/// Loads the adapter at `path` for the model of `file`.
pub(super) fn load(
    path: &Path,
    scale: f32,
    file: &ModelFile,
    model: &mut LlamaModel,
) -> Result<Lora, RunnerError> {
    check(path, file)?;
    let adapter = model.lora_adapter_init(path);
    let adapter = adapter.map_err(|error| RunnerError::Lora {
        path: path.to_owned(),
        model: file.path.clone(),
        reason: log::take_first_error().unwrap_or_else(|| error.to_string()),
    })?;
    Ok(Lora { adapter, scale })
}

/// What can be said of a file that is no adapter for the model; some of it llama.cpp would end the
/// program over.
fn check(path: &Path, file: &ModelFile) -> Result<(), RunnerError> {
    let gguf = Gguf::open(path).map_err(ModelFileError::from)?;
    let is = |found: String, expected: String| {
        Err(RunnerError::NoAdapter {
            path: path.to_owned(),
            found,
            expected,
        })
    };
    let said = |key: &str| gguf.get_str(key).map(|said| escape(said.as_bytes()));
    let ty = said("general.type");
    if ty.as_deref() != Some("adapter") || said("adapter.type").as_deref() != Some("lora") {
        let found = match ty.as_deref() {
            Some("adapter") => "an adapter of another kind",
            _ => "a model",
        };
        return is(found.to_owned(), "an adapter (LoRA) in a GGUF".to_owned());
    }
    let architecture = said("general.architecture").unwrap_or_default();
    if architecture != file.architecture {
        return is(
            format!("an adapter for `{architecture}` models"),
            format!("one for `{}`, as the model is", file.architecture),
        );
    }
    match gguf.get("adapter.lora.alpha") {
        None | Some(Value::F32(_)) => Ok(()),
        Some(_) => is(
            "an adapter whose `adapter.lora.alpha` is no f32".to_owned(),
            "one that llama.cpp's converter wrote".to_owned(),
        ),
    }
}
