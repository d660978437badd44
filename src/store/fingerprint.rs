//! What files are now: digests that change when they do, without reading gigabytes.

use std::{fs, io, path::Path, time::UNIX_EPOCH};

use xxhash_rust::xxh3::xxh3_128;

/// Of a text.
pub fn of_text(text: &str) -> String {
    format!("{:032x}", xxh3_128(text.as_bytes()))
}

/// Of a file: its length and time of change.
///
/// # Errors
/// When there is none.
pub fn of_file(path: &Path) -> io::Result<String> {
    Ok(of_text(&state(&fs::metadata(path)?)))
}

/// Of a checkpoint's folder: name, length and time of change of each of its files. GGUF files are none
/// of a checkpoint's: one may have been made of it there; nor are hidden files.
///
/// # Errors
/// When the folder cannot be read.
pub fn of_folder(dir: &Path) -> io::Result<String> {
    let mut lines = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') || name.to_ascii_lowercase().ends_with(".gguf") {
            continue;
        }
        // What a link leads to; what leads nowhere counts by its name.
        match fs::metadata(entry.path()) {
            Ok(metadata) if metadata.is_file() => {
                lines.push(format!("{name}\0{}", state(&metadata)));
            }
            Ok(_) => {}
            Err(_) => lines.push(name),
        }
    }
    lines.sort();
    Ok(of_text(&lines.join("\n")))
}

fn state(metadata: &fs::Metadata) -> String {
    let changed = metadata.modified().ok();
    let changed = changed.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    format!(
        "{} {:?}",
        metadata.len(),
        changed.map(|time| time.as_nanos())
    )
}
