//! What is given in the wrong place: told with what there is, before anything is opened.

use std::path::Path;

use anyhow::bail;

use crate::{
    hub::{ggufs, quoted},
    nearest,
};

/// Fails where `path`, which should be a GGUF, is a folder: with the GGUF files in it, or with what
/// takes a folder.
pub(super) fn require_no_folder(path: &Path) -> anyhow::Result<()> {
    if !path.is_dir() {
        return Ok(());
    }
    let shown = path.display();
    let files = nearest::files_in(path, &["gguf"]);
    let names = files.iter().filter_map(|file| file.file_name()?.to_str());
    let ggufs = ggufs(names);
    if !ggufs.is_empty() {
        let verb = if ggufs.len() == 1 { "is" } else { "are" };
        bail!(
            "`{shown}` is a folder, expected a GGUF file: in it {verb} {}",
            quoted(&ggufs)
        );
    }
    if path.join("config.json").is_file() {
        bail!(
            "`{shown}` is a folder, expected a GGUF file: `swallow-gguf convert` makes one of this checkpoint"
        );
    }
    Ok(())
}
