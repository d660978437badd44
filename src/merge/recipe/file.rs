//! A recipe's file: its text, or what stands in its place.

use std::path::Path;

use super::RecipeError;
use crate::{
    file_kind::FileKind,
    hub::Repo,
    model::metadata::RECIPE_FILE,
    nearest,
    source::text_file::{self, FileProblem},
};

/// Recipes are small.
const MAX_BYTES: u64 = 1 << 20;

/// Files that a message names.
const SHOWN: usize = 3;

/// The text of the recipe at `path`.
pub(super) fn read(path: &Path) -> Result<String, RecipeError> {
    if path.is_dir() {
        return Err(RecipeError::Folder {
            path: path.into(),
            hint: hint_in_folder(path),
        });
    }
    match text_file::read_named_text(path, MAX_BYTES) {
        Ok(Some(text)) => Ok(text),
        Ok(None) => Err(RecipeError::NotThere {
            path: path.into(),
            hint: hint_beside(path),
        }),
        Err(problem) => Err(RecipeError::File {
            path: path.into(),
            hint: match problem {
                // What was to be the recipe.
                FileProblem::Kind(FileKind::Pointer { .. } | FileKind::Html | FileKind::Xml) => "",
                FileProblem::Kind(_) | FileProblem::TooLarge { .. } => {
                    ", expected mergekit-moe's YAML"
                }
                _ => "",
            },
            problem,
        }),
    }
}

/// What is to be given in place of the folder.
fn hint_in_folder(dir: &Path) -> String {
    if dir.join(RECIPE_FILE).is_file() {
        return format!(", did you mean `{}`?", dir.join(RECIPE_FILE).display());
    }
    let found = nearest::files_in(dir, &["yml", "yaml"]);
    let mut found: Vec<String> = found
        .iter()
        .map(|path| format!("`{}`", path.display()))
        .collect();
    match &found[..] {
        [] if dir.join("config.json").is_file() => {
            ": it is a model, which `convert` takes".to_owned()
        }
        [] => String::new(),
        [one] => format!(", did you mean {one}?"),
        [..] => {
            let dots = if found.len() > SHOWN { ", …" } else { "" };
            found.truncate(SHOWN);
            format!(": it has {}{dots}", found.join(", "))
        }
    }
}

/// What is to be given in place of a file that is not there.
fn hint_beside(path: &Path) -> String {
    let text = path.to_string_lossy();
    if Repo::is_remote(&text) {
        return ", which is to be a file here: download it".to_owned();
    }
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
        return String::new();
    };
    let dir = path.parent().unwrap_or(Path::new(""));
    // The ending is left out, or the other of two.
    let endings = ["yml", "yaml"].map(|ending| path.with_extension(ending));
    let found = endings.into_iter().find(|path| path.is_file()).or_else(|| {
        let found = nearest::in_folder(dir, name, |path| path.is_file())?;
        Some(dir.join(found))
    });
    match found {
        Some(found) => format!(", did you mean `{}`?", found.display()),
        None => String::new(),
    }
}

/// What a text that is no YAML has that recipes from the web often have.
pub(super) fn yaml_hint(text: &str, error: &serde_yaml_ng::Error) -> String {
    // Nothing in a recipe begins a line so.
    if let Some(at) = text.lines().position(|line| line.starts_with("```")) {
        let line = at + 1;
        return format!("; line {line} is a fence of Markdown, take such lines out");
    }
    let is_indented_by_tab = |line: &str| {
        let text = line.trim_start();
        !text.is_empty() && line[..line.len() - text.len()].contains('\t')
    };
    // The error is there, or found right behind.
    let near = error.location().map_or(0, |place| place.line());
    let tab = text.lines().take(near).skip(near.saturating_sub(2));
    if tab.into_iter().any(is_indented_by_tab) {
        return "; it is indented with a tab there, write spaces".to_owned();
    }
    match error.to_string().contains("more than one document") {
        true => "; a line of `---` begins another, expected one recipe".to_owned(),
        false => String::new(),
    }
}
