//! What was meant where a model's path leads to no model.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::hub::{Repo, RepoFile};

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

/// What was meant by `path`, where nothing is: a file with nearly its name, or one of the hub.
pub(super) fn in_place_of(path: &Path) -> Option<String> {
    let meant = similar_file(path)
        .map(|file| file.display().to_string())
        .or_else(|| on_the_hub(path.to_str()?))?;
    Some(format!("did you mean `{meant}`?"))
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

/// The file of the hub that is named by its page, by its repository alone, or as llama.cpp names it.
fn on_the_hub(text: &str) -> Option<String> {
    let file = |text: &str| RepoFile::parse(text).ok().map(|_| text.to_owned());
    for host in ["https://huggingface.co/", "https://hf.co/"] {
        let Some(page) = text.strip_prefix(host) else {
            continue;
        };
        let page = page.split(['?', '#']).next().unwrap_or_default();
        let parts: Vec<&str> = page.trim_end_matches('/').splitn(5, '/').collect();
        return match parts[..] {
            [org, name, "resolve" | "blob", "main", path] => {
                file(&format!("hf:{org}/{name}:{path}"))
            }
            [org, name, "resolve" | "blob", at, path] => {
                file(&format!("hf:{org}/{name}@{at}:{path}"))
            }
            [org, name, ..] => file(&format!("hf:{org}/{name}:FILE")),
            _ => None,
        };
    }
    let (repo, tag) = match text.split_once(':') {
        Some((repo, tag)) => (repo, Some(tag)),
        None => (text, None),
    };
    let parts: Vec<&str> = repo.splitn(3, '/').collect();
    let (org, name, path) = match parts[..] {
        [org, name] if tag.is_some() || !is_model(name) => (org, name, tag),
        [org, name, path] if tag.is_none() => (org, name, Some(path)),
        _ => return None,
    };
    if Path::new(org).exists() {
        return None;
    }
    // What llama.cpp calls a tag is a type of tensors, and not the name of a file.
    let path = path.filter(|path| is_model(path)).unwrap_or("FILE");
    Repo::parse(&format!("hf:{org}/{name}"), "").ok()?;
    file(&format!("hf:{org}/{name}:{path}"))
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
    fn what_is_meant_of_the_hub() {
        let cases = [
            ("TheOrg/some-model", Some("hf:TheOrg/some-model:FILE")),
            (
                "TheOrg/some-model:Q4_K_M",
                Some("hf:TheOrg/some-model:FILE"),
            ),
            (
                "TheOrg/some-model:x.Q4_K_M.gguf",
                Some("hf:TheOrg/some-model:x.Q4_K_M.gguf"),
            ),
            (
                "TheOrg/some-model/a/x.gguf",
                Some("hf:TheOrg/some-model:a/x.gguf"),
            ),
            (
                "https://huggingface.co/TheOrg/some-model/resolve/main/x.gguf?download=true",
                Some("hf:TheOrg/some-model:x.gguf"),
            ),
            (
                "https://huggingface.co/TheOrg/some-model/blob/v2/a/x.gguf",
                Some("hf:TheOrg/some-model@v2:a/x.gguf"),
            ),
            (
                "https://huggingface.co/TheOrg/some-model",
                Some("hf:TheOrg/some-model:FILE"),
            ),
            ("https://example.com/x.gguf", None),
            ("models/x.gguf", None),
            ("src/some-model", None),
            ("x.gguf", None),
            ("/models/x", None),
            ("../TheOrg/model", None),
            ("C:\\models\\x.gguf", None),
            ("", None),
            ("::", None),
        ];
        for (given, expected) in cases {
            assert_eq!(on_the_hub(given).as_deref(), expected, "{given}");
        }
    }

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
