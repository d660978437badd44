//! A folder that should hold a checkpoint, and what it is where it does not.

use std::{collections::BTreeSet, fs, io, path::Path};

use serde_json::Value as Json;

use super::{FileProblem, SourceError, text_file::read_json};
use crate::{gguf::shown, hub::quoted, nearest};

pub(super) const CONFIG_FILE: &str = "config.json";
pub(super) const ADAPTER_FILE: &str = "adapter_config.json";

/// The largest JSON file we read whole: real ones are far smaller.
pub(super) const MAX_JSON_BYTES: u64 = 256 << 20;

/// The names of the files and folders in `dir`, dangling links included.
///
/// # Errors
/// When `dir` is no folder, and then what it is, or cannot be read.
pub(super) fn names(dir: &Path) -> Result<BTreeSet<String>, SourceError> {
    match fs::metadata(dir) {
        Ok(metadata) if metadata.is_dir() => {}
        Ok(_) => return Err(not_a_checkpoint(dir, given_a_file(dir))),
        Err(error) => {
            return Err(match FileProblem::io(dir, error) {
                FileProblem::Read(error) if error.kind() == io::ErrorKind::NotFound => {
                    not_a_checkpoint(dir, "there is no such folder")
                }
                problem => SourceError::file(dir, problem),
            });
        }
    }
    let failed = |error| SourceError::file(dir, FileProblem::Read(error));
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(dir).map_err(failed)? {
        // Names that are not UTF-8 are none of a checkpoint's.
        if let Ok(name) = entry.map_err(failed)?.file_name().into_string() {
            names.insert(name);
        }
    }
    Ok(names)
}

/// Reads config.json in `dir`, which has files of these `names`.
///
/// # Errors
/// When there is none, and then what the folder is; when it cannot be read.
pub(super) fn config(dir: &Path, names: &BTreeSet<String>) -> Result<Json, SourceError> {
    let path = dir.join(CONFIG_FILE);
    let read = read_json(&path, MAX_JSON_BYTES);
    match read.map_err(|problem| SourceError::file(&path, problem))? {
        Some(config) => Ok(config),
        None => Err(not_a_checkpoint(dir, without_config(dir, names))),
    }
}

fn not_a_checkpoint(dir: &Path, reason: impl Into<String>) -> SourceError {
    SourceError::NotACheckpoint {
        path: dir.into(),
        reason: reason.into(),
    }
}

/// What a file is that was given in place of a folder.
fn given_a_file(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let ends = |end: &str| name.to_ascii_lowercase().ends_with(end);
    if ends(".gguf") {
        return "it is a GGUF file: `swallow-gguf quantize` changes its types, `swallow-gguf run` \
                runs it, `swallow-gguf diff` holds it against another"
            .into();
    }
    if ends(".yml") || ends(".yaml") {
        return "it is a YAML file: `swallow-gguf merge` takes recipes".into();
    }
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    if parent.join(CONFIG_FILE).is_file() {
        let parent = parent.display();
        return format!("it is a file of one: give the folder, `{parent}`");
    }
    match adapter_config(parent) {
        Some(config) => an_adapter(&config),
        None => format!("it is a file, expected the folder that holds `{CONFIG_FILE}`"),
    }
}

/// What a folder is that has no config.json.
fn without_config(dir: &Path, names: &BTreeSet<String>) -> String {
    if let Some(config) = adapter_config(dir) {
        return an_adapter(&config);
    }
    if let Some(inner) = inner_checkpoints(dir, names) {
        return match &inner[..] {
            [one] => format!(
                "it has no `{CONFIG_FILE}`, but `{}` in it has: give that",
                shown(one)
            ),
            several => format!(
                "it has no `{CONFIG_FILE}`, but folders in it have: give one of {}",
                quoted(several)
            ),
        };
    }
    // `..`, and not the parent of the path: the folder may be given as `.`.
    let above = dir.join("..");
    if above.join(CONFIG_FILE).is_file() {
        let above = fs::canonicalize(&above).unwrap_or(above);
        return format!(
            "it has no `{CONFIG_FILE}`, but the folder above has: give `{}`",
            above.display()
        );
    }
    by_names(names).unwrap_or_else(|| format!("it has no `{CONFIG_FILE}`"))
}

/// What the names of files without a config.json among them say; `None` where that is nothing.
fn by_names(names: &BTreeSet<String>) -> Option<String> {
    let find = |is: &dyn Fn(&str) -> bool| names.iter().find(|name| is(name.as_str()));
    if names.is_empty() {
        return Some("it is empty".into());
    }
    if find(&|n| n.starts_with("models--")).is_some() {
        return Some(
            "it is the cache of the Hugging Face hub: give `hf:ORG/NAME` to take a model from it"
                .into(),
        );
    }
    if names.contains("model_index.json") {
        return Some("it is a pipeline of diffusers, which makes images, no language model".into());
    }
    if let Some(original) = find(&|n| n == "params.json" || n.starts_with("consolidated")) {
        return Some(format!(
            "it has no `{CONFIG_FILE}`, but `{}` of Meta's and Mistral's own format: take \
             the `-hf` repository of the model, or convert it with transformers",
            shown(original)
        ));
    }
    if let Some(gguf) = find(&|n| n.to_ascii_lowercase().ends_with(".gguf")) {
        return Some(format!(
            "it holds a GGUF, `{}`: give that file to `swallow-gguf run` or `swallow-gguf \
             quantize`",
            shown(gguf)
        ));
    }
    // A second download, or an ending that a program hides; or a slip of the pen.
    let like = |n: &str| n != CONFIG_FILE && n.starts_with("config") && n.contains(".json");
    let json = names
        .iter()
        .map(String::as_str)
        .filter(|n| n.ends_with(".json"));
    let near = find(&like).map(String::as_str);
    let near = near.or_else(|| nearest::of(CONFIG_FILE, json))?;
    let near = shown(near);
    Some(format!(
        "it has no `{CONFIG_FILE}`, but `{near}`: is that it?"
    ))
}

/// Sub-folders, or snapshots of a repository in the hub's cache, that have a config.json.
fn inner_checkpoints(dir: &Path, names: &BTreeSet<String>) -> Option<Vec<String>> {
    let mut inner: Vec<String> = names.iter().cloned().collect();
    if names.contains("snapshots")
        && let Ok(snapshots) = fs::read_dir(dir.join("snapshots"))
    {
        let names = snapshots.filter_map(|s| s.ok()?.file_name().into_string().ok());
        inner.extend(names.map(|name| format!("snapshots/{name}")));
    }
    inner.retain(|name| dir.join(name).join(CONFIG_FILE).is_file());
    inner.sort_unstable();
    (!inner.is_empty()).then_some(inner)
}

/// What a user should know of a folder that has a config.json.
pub(super) fn notes(names: &BTreeSet<String>) -> Vec<String> {
    let adapter = names.contains(ADAPTER_FILE).then(|| {
        format!("there is an adapter too (`{ADAPTER_FILE}`), which is not merged into the model")
    });
    adapter.into_iter().collect()
}

/// What describes the adapter in `dir`, where there is one; nothing in it where that is broken.
fn adapter_config(dir: &Path) -> Option<Json> {
    let path = dir.join(ADAPTER_FILE);
    let config = read_json(&path, MAX_JSON_BYTES);
    config.unwrap_or(Some(Json::Null))
}

/// What is said of an adapter; `config` is its adapter_config.json.
pub(super) fn an_adapter(config: &Json) -> String {
    let text = |key: &str| config.get(key)?.as_str().filter(|text| !text.is_empty());
    let kind = text("peft_type").unwrap_or("LORA");
    let base = match text("base_model_name_or_path") {
        Some(base) => format!("`{}`", shown(base)),
        None => "another model".into(),
    };
    format!(
        "it is an adapter ({}) of {base}, not a model: merge it into that first, for example \
         with peft's `merge_and_unload`, and convert the result",
        shown(kind)
    )
}
