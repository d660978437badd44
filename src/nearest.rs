//! The name that was probably meant, where one was given that is not there.

use std::path::{Path, PathBuf};

/// Bytes of the longest name that a file or a key of ours has.
const MAX_NAME: usize = 255;

/// Entries of a folder that are looked at, so that a folder of millions costs no time.
const MAX_ENTRIES: usize = 10_000;

/// The one of `names` that differs least from `name`, where that is a slip of the pen: at most a third
/// of the letters, or only in upper and lower case. Of several the first.
pub(crate) fn of<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > MAX_NAME {
        return None;
    }
    let lower = name.to_lowercase();
    names
        .into_iter()
        .filter(|other| *other != name && other.len() <= MAX_NAME)
        .map(|other| {
            let distance = strsim::damerau_levenshtein(&lower, &other.to_lowercase());
            (distance, other)
        })
        .filter(|(distance, other)| *distance <= other.chars().count() / 3)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, other)| other)
}

/// As [`of`], among the entries of a folder that are `wanted`.
pub(crate) fn in_folder(
    folder: &Path,
    name: &str,
    wanted: impl Fn(&Path) -> bool,
) -> Option<String> {
    let folder = match folder.as_os_str().is_empty() {
        true => Path::new("."),
        false => folder,
    };
    let names = names(folder);
    let near = names.iter().map(String::as_str);
    let near = near.filter(|name| wanted(&folder.join(name)));
    of(name, near).map(str::to_owned)
}

/// The files of a folder whose names end with one of `endings`, in the order of their names.
pub(crate) fn files_in(folder: &Path, endings: &[&str]) -> Vec<PathBuf> {
    let ends = |path: &Path| {
        let ending = path.extension().and_then(|ending| ending.to_str());
        ending.is_some_and(|ending| endings.iter().any(|e| e.eq_ignore_ascii_case(ending)))
    };
    let paths = names(folder).into_iter().map(|name| folder.join(name));
    paths.filter(|path| ends(path) && path.is_file()).collect()
}

/// The names in a folder, in their order: that of the folder is chance.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let mut names: Vec<String> = entries
        .take(MAX_ENTRIES)
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_a_slip_of_the_pen_away() {
        let names = ["gate_mode", "dtype", "experts"];
        assert_eq!(of("gate_mod", names), Some("gate_mode"));
        assert_eq!(of("GATE_MODE", names), Some("gate_mode"));
        assert_eq!(of("dytpe", names), Some("dtype"));
        assert_eq!(of("zzz", names), None);
        assert_eq!(of("", names), None);
        assert_eq!(of("dtype", names), None);
    }
}
