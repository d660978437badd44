//! What may have been meant where a file is not there, or is a folder.

use std::path::Path;

use super::ReadError;
use crate::nearest;

/// Digits and words in the name of a split model's first part, behind the model's own name.
const FIRST_PART: &str = "-00001-of-";

/// There is no file at `path`.
pub(super) fn not_there(path: &Path) -> ReadError {
    let hint = match std::fs::read_link(path) {
        Ok(target) => format!(
            ": it is a link to `{}`, which is not there",
            target.display()
        ),
        Err(_) => near(path).unwrap_or_default(),
    };
    ReadError::NotThere {
        path: path.into(),
        hint,
    }
}

fn near(path: &Path) -> Option<String> {
    let folder = path.parent()?;
    let (name, stem) = (path.file_name()?.to_str()?, path.file_stem()?.to_str()?);
    let files = nearest::files_in(folder, &["gguf"]);
    let named = |wanted: &dyn Fn(&str) -> bool| {
        files.iter().find(|file| {
            let name = file.file_name().and_then(|name| name.to_str());
            name.is_some_and(wanted)
        })
    };
    if let Some((model, number, count)) = as_part(stem) {
        let is_other = |name: &str| {
            let part = name.rsplit_once('.').and_then(|(stem, _)| as_part(stem));
            part.is_some_and(|part| part != (model, number, count) && part.0 == model)
        };
        return named(&is_other).map(|other| {
            format!(
                ", `{}` is another part of the model: download all {} of them into one folder",
                other.display(),
                count.trim_start_matches('0')
            )
        });
    }
    let first_part = format!("{stem}{FIRST_PART}");
    if let Some(part) = named(&|name| name.starts_with(&first_part)) {
        return Some(format!(
            ", the model is split and `{}` its first part",
            part.display()
        ));
    }
    // Without the ending.
    let whole = folder.join(format!("{name}.gguf"));
    let found = match whole.is_file() {
        true => whole,
        false => folder.join(nearest::in_folder(folder, name, |path| path.is_file())?),
    };
    Some(format!(", did you mean `{}`?", found.display()))
}

/// Model, number and count of what is named as a part of a split model: `model-00002-of-00003`.
fn as_part(stem: &str) -> Option<(&str, &str, &str)> {
    let (rest, count) = stem.rsplit_once("-of-")?;
    let (model, number) = rest.rsplit_once('-')?;
    let is_number = |text: &str| text.len() == 5 && text.bytes().all(|b| b.is_ascii_digit());
    (is_number(number) && is_number(count)).then_some((model, number, count))
}

/// There is a folder at `path`.
pub(super) fn folder(path: &Path) -> ReadError {
    let hint = match &nearest::files_in(path, &["gguf"])[..] {
        [] if path.join("config.json").is_file() => {
            ": it is a checkpoint, of which `swallow-gguf convert` makes one".to_owned()
        }
        [] => String::new(),
        [first, ..] => format!(", such as `{}`", first.display()),
    };
    ReadError::Folder {
        path: path.into(),
        hint,
    }
}
