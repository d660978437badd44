//! The chat template that a checkpoint brings along.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
};

use serde_json::{Map, Value};

use super::{VocabularyError, added::kind_of, files};

/// The most templates we take. Each has a key of its own; those in use have two or three.
const MAX_TEMPLATES: usize = 64;

/// A checkpoint's templates.
#[derive(Debug, Default, PartialEq)]
pub(super) struct OwnTemplates {
    /// The one for plain chat.
    pub(super) default: Option<String>,
    /// Others by their name, for example `tool_use`.
    pub(super) named: Vec<(String, String)>,
}

/// Reads the templates of the folder `dir`: tokenizer_config.json's entry (`config`, read from
/// `config_path`) goes before `chat_template.jinja`, and that before `chat_template.json`.
pub(super) fn read(
    dir: &Path,
    config_path: &Path,
    config: Option<&Map<String, Value>>,
) -> Result<OwnTemplates, VocabularyError> {
    if let Some(entry) = config.and_then(|config| config.get("chat_template"))
        && !entry.is_null()
    {
        return parse(config_path, entry);
    }
    if let Some(default) = files::read_text(&dir.join("chat_template.jinja"))? {
        let named = read_additional(&dir.join("additional_chat_templates"))?;
        return Ok(OwnTemplates {
            default: Some(default),
            named,
        });
    }
    let path = dir.join("chat_template.json");
    match files::read_json::<Map<String, Value>>(&path)? {
        Some(file) => parse(&path, file.get("chat_template").unwrap_or(&Value::Null)),
        None => Ok(OwnTemplates::default()),
    }
}

/// A `chat_template` entry: one template, or a list of templates with names.
fn parse(path: &Path, entry: &Value) -> Result<OwnTemplates, VocabularyError> {
    let mut templates = OwnTemplates::default();
    match entry {
        Value::Null => {}
        Value::String(template) => templates.default = Some(template.clone()),
        Value::Array(list) => {
            check_number(path, list.len())?;
            for (index, item) in list.iter().enumerate() {
                let text = |name| item.get(name).and_then(Value::as_str);
                let (Some(name), Some(template)) = (text("name"), text("template")) else {
                    return Err(VocabularyError::Entry {
                        path: path.to_owned(),
                        place: format!("`chat_template`, entry {index}"),
                        expected: "a map with `name` and `template`".to_owned(),
                        found: kind_of(item).to_owned(),
                    });
                };
                templates.add(name, template.to_owned());
            }
        }
        other => {
            return Err(VocabularyError::Entry {
                path: path.to_owned(),
                place: "`chat_template`".to_owned(),
                expected: "a template or a list of templates".to_owned(),
                found: kind_of(other).to_owned(),
            });
        }
    }
    Ok(templates)
}

/// The `*.jinja` files of a folder, by name, so that the output does not depend on the file system.
fn read_additional(dir: &Path) -> Result<Vec<(String, String)>, VocabularyError> {
    let mut templates = OwnTemplates::default();
    let failed = |error| VocabularyError::List {
        path: dir.to_owned(),
        error,
    };
    if dir.is_dir() {
        let entries = std::fs::read_dir(dir).map_err(failed)?;
        let mut paths: Vec<PathBuf> = entries
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<_, _>>()
            .map_err(failed)?;
        paths.retain(|path| path.extension() == Some(OsStr::new("jinja")));
        check_number(dir, paths.len())?;
        paths.sort();
        for path in paths {
            let name = path
                .file_stem()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            if let Some(template) = files::read_text(&path)? {
                templates.add(&name, template);
            }
        }
    }
    Ok(templates.named)
}

fn check_number(path: &Path, found: usize) -> Result<(), VocabularyError> {
    if found <= MAX_TEMPLATES {
        return Ok(());
    }
    Err(VocabularyError::Entry {
        path: path.to_owned(),
        place: "chat templates".to_owned(),
        expected: format!("at most {MAX_TEMPLATES}"),
        found: found.to_string(),
    })
}

impl OwnTemplates {
    fn add(&mut self, name: &str, template: String) {
        let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
        let name: String = name.chars().map(plain).collect();
        if name == "default" {
            self.default = Some(template);
        } else if let Some((_, known)) = self.named.iter_mut().find(|(known, _)| *known == name) {
            *known = template;
        } else if !name.is_empty() {
            self.named.push((name, template));
        }
    }
}
