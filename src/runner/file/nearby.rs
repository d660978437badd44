//! What was meant where a model's path leads to no model.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Entries of a folder that are looked at. Models lie among few files.
const MAX_ENTRIES: usize = 4096;

/// Names that are shown of several.
const SHOWN: usize = 3;

/// How much of a name must be that of another for the other to be meant.
const ALIKE: f64 = 0.8;

/// What to give in place of the folder at `path`.
pub(super) fn in_folder(path: &Path) -> String {
    let names = names(path);
    let mut models: Vec<&String> = names.iter().filter(|name| is_model(name)).collect();
    models.sort();
    if !models.is_empty() {
        let shown: Vec<String> = models
            .iter()
            .take(SHOWN)
            .map(|name| format!("`{}`", path.join(name).display()))
            .collect();
        let more = match models.len().saturating_sub(SHOWN) {
            0 => String::new(),
            n => format!(" and {n} more"),
        };
        return format!("it holds {}{more}", shown.join(", "));
    }
    let is_checkpoint = |name: &String| {
        name == "config.json" || extension(name).is_some_and(|e| e == "safetensors")
    };
    match names.iter().any(is_checkpoint) {
        true => format!(
            "it is a checkpoint, of which `swallow-gguf convert {}` makes one",
            path.display()
        ),
        false => "it holds none".to_owned(),
    }
}

/// What was meant by `path`, where nothing is: a file with nearly its name.
pub(super) fn in_place_of(path: &Path) -> Option<String> {
    let meant = similar_file(path)?;
    Some(format!("did you mean `{}`?", meant.display()))
}

/// The model in the same folder whose name is nearest.
fn similar_file(path: &Path) -> Option<PathBuf> {
    let wanted = path.file_name()?.to_str()?.to_lowercase();
    let stem = |name: &str| name.to_lowercase().trim_end_matches(".gguf").to_owned();
    let folder = match path.parent()? {
        parent if parent == Path::new("") => Path::new("."),
        parent => parent,
    };
    let likeness =
        |name: &String| strsim::jaro_winkler(&stem(name), wanted.trim_end_matches(".gguf"));
    let mut models = names(folder);
    models.retain(|name| is_model(name) && likeness(name) >= ALIKE);
    models.sort();
    let nearest = models
        .iter()
        .max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    Some(path.with_file_name(nearest))
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries
        .take(MAX_ENTRIES)
        .map(|entry| entry.file_name().into_string());
    names.filter_map(Result::ok).collect()
}

fn extension(name: &str) -> Option<&str> {
    Path::new(name).extension().and_then(OsStr::to_str)
}

/// Whether it is the name of a GGUF, of a model in parts the first.
fn is_model(name: &str) -> bool {
    let Some(stem) = name
        .get(..name.len().saturating_sub(".gguf".len()))
        .filter(|_| extension(name).is_some_and(|e| e.eq_ignore_ascii_case("gguf")))
    else {
        return false;
    };
    let part = stem.rsplit_once("-of-").and_then(|(rest, count)| {
        let (_, number) = rest.rsplit_once('-')?;
        let digits = |text: &str| text.len() == 5 && text.bytes().all(|b| b.is_ascii_digit());
        (digits(count) && digits(number)).then_some(number)
    });
    part.is_none_or(|number| number == "00001")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_models() {
        for name in [
            "x.gguf",
            "x.GGUF",
            "x-00001-of-00003.gguf",
            "x-00002-of-3.gguf",
        ] {
            assert!(is_model(name), "{name}");
        }
        for name in ["x-00002-of-00003.gguf", "x.safetensors", "gguf", "日本", ""] {
            assert!(!is_model(name), "{name}");
        }
    }
}
