//! Which file it is, without reading all of it.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::time::UNIX_EPOCH;

use xxhash_rust::xxh3::Xxh3;

/// Places of a file that are looked at.
const SAMPLES: u64 = 16;

/// Bytes that are read at each.
const SAMPLE: u64 = 4096;

/// Digest of the files of a model: of their sizes, times and some of their bytes. A file that was
/// replaced has another, even where it has the same name and size.
///
/// # Errors
/// Where one cannot be read.
pub fn fingerprint<'p>(files: impl IntoIterator<Item = &'p Path>) -> io::Result<String> {
    let mut hash = Xxh3::new();
    for path in files {
        let mut file = File::open(path)?;
        let metadata = file.metadata()?;
        let modified = metadata.modified().ok();
        let modified = modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        hash.update(&metadata.len().to_le_bytes());
        hash.update(&modified.unwrap_or_default().as_nanos().to_le_bytes());
        let last = metadata.len().saturating_sub(SAMPLE);
        for nth in 0..=SAMPLES {
            let place = u128::from(last) * u128::from(nth) / u128::from(SAMPLES);
            file.seek(SeekFrom::Start(place as u64))?;
            let mut bytes = Vec::new();
            Read::by_ref(&mut file)
                .take(SAMPLE)
                .read_to_end(&mut bytes)?;
            hash.update(&bytes);
        }
    }
    Ok(format!("{:032x}", hash.digest128()))
}
