//! What is given in the wrong place: told with what there is, before anything is opened.

use std::{fs, path::Path};

use anyhow::bail;

use crate::hub::{ggufs, quoted};

/// Entries of a folder that are looked at, at most.
const MAX_ENTRIES: usize = 10_000;

/// Fails where `path`, which should be a GGUF, is a folder: with the GGUF files in it, or with what
/// takes a folder.
pub(super) fn require_no_folder(path: &Path) -> anyhow::Result<()> {
    if !path.is_dir() {
        return Ok(());
    }
    let shown = path.display();
    let names = fs::read_dir(path).into_iter().flatten().take(MAX_ENTRIES);
    let mut names: Vec<String> = names
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    names.sort();
    let ggufs = ggufs(names.iter().map(String::as_str));
    if !ggufs.is_empty() {
        let verb = if ggufs.len() == 1 { "is" } else { "are" };
        bail!(
            "`{shown}` is a folder, expected a GGUF file: in it {verb} {}",
            quoted(&ggufs)
        );
    }
    if names.iter().any(|name| name == "config.json") {
        bail!(
            "`{shown}` is a folder, expected a GGUF file: `swallow-gguf convert` makes one of this checkpoint"
        );
    }
    Ok(())
}
