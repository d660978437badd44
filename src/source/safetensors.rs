//! The header of a safetensors file.
//!
//! ```text
//! u64 little-endian   length of the JSON
//! JSON object         name -> {"dtype": "BF16", "shape": [rows, cols], "data_offsets": [begin, end]}
//!                     ("__metadata__" maps strings to strings)
//! bytes               the tensors; offsets count from here
//! ```

use std::{fmt, ops::Range, path::Path};

use byteorder::{ByteOrder, LittleEndian};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};

use super::{FileProblem, Shard, dtype, error::SourceError};
use crate::{
    file_kind::{FileKind, SAMPLE},
    gguf::shown,
};

/// The longest header the safetensors library itself reads.
const MAX_HEADER_BYTES: u64 = 100_000_000;

/// More dimensions than any tensor has.
const MAX_DIMS: usize = 16;

/// One tensor of a shard.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: String,
    /// As written, for example `BF16`.
    pub(super) dtype: String,
    /// Outermost dimension first.
    pub(super) shape: Vec<u64>,
    /// Bytes of the file, not of the data section.
    pub(super) bytes: Range<u64>,
}

#[derive(Deserialize)]
struct RawEntry {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: (u64, u64),
}

/// The header as a list, because a JSON map would swallow a name that comes twice.
struct RawHeader(Vec<(String, RawEntry)>);

impl<'de> Deserialize<'de> for RawHeader {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = RawHeader;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawHeader, A::Error> {
                let mut entries = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    if name == "__metadata__" {
                        map.next_value::<serde::de::IgnoredAny>()?;
                    } else {
                        entries.push((name, map.next_value()?));
                    }
                }
                Ok(RawHeader(entries))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

/// Reads and checks the header of a shard: every tensor lies inside the file, has the bytes that
/// its shape and format ask for, and overlaps no other. The result is in file order.
pub(super) fn read_header(shard: &Shard) -> Result<Vec<Entry>, SourceError> {
    let path = shard.path();
    let file_len = shard.file_len().map_err(|e| SourceError::io(path, e))?;
    let header = match header_bytes(shard, file_len)? {
        Ok(header) => header,
        Err(reason) => return Err(no_header(shard, file_len, reason)),
    };
    let header_len = header.len() as u64;
    let raw: RawHeader = match serde_json::from_slice(&header) {
        Ok(raw) => raw,
        Err(error) => {
            let reason = format!("broken header: {error}");
            return Err(no_header(shard, file_len, reason));
        }
    };

    let data_start = 8 + header_len;
    let mut entries = Vec::with_capacity(raw.0.len());
    for (name, entry) in raw.0 {
        entries.push(check_entry(path, name, entry, data_start)?);
    }
    entries.sort_by_key(|e| (e.bytes.start, e.bytes.end));

    if let Some(end) = entries.iter().map(|e| e.bytes.end).max()
        && end > file_len
    {
        return Err(SourceError::Truncated {
            path: path.into(),
            expected: end,
            found: file_len,
        });
    }
    for pair in entries.windows(2) {
        let [a, b] = pair else { continue };
        if b.bytes.start < a.bytes.end {
            return Err(SourceError::Tensor {
                path: path.into(),
                tensor: shown(&b.name),
                reason: format!(
                    "overlaps tensor `{}`: it starts at byte {}, the other ends at {}",
                    shown(&a.name),
                    b.bytes.start,
                    a.bytes.end
                ),
            });
        }
    }
    Ok(entries)
}

/// The JSON at the beginning of a shard, or why there cannot be one.
fn header_bytes(shard: &Shard, file_len: u64) -> Result<Result<Vec<u8>, String>, SourceError> {
    let read = |buf: &mut [u8], offset| {
        let done = shard.read_exact_at(buf, offset);
        done.map_err(|error| SourceError::shard(shard.path(), error))
    };
    if file_len < 8 {
        let found = format!("expected a safetensors file, found {file_len} bytes");
        return Ok(Err(found));
    }
    let mut bytes = [0; 8];
    read(&mut bytes, 0)?;
    let header_len = LittleEndian::read_u64(&bytes);
    if header_len > file_len - 8 {
        return Ok(Err(format!(
            "the header claims {header_len} bytes, longer than the file's {file_len}: it is no \
             safetensors file, or was cut; download it again"
        )));
    }
    if header_len > MAX_HEADER_BYTES {
        return Ok(Err(format!(
            "the header claims {header_len} bytes, expected at most {MAX_HEADER_BYTES}"
        )));
    }
    // At most as long as the file, and the bound above.
    let mut header = vec![0; header_len as usize];
    read(&mut header, 8)?;
    Ok(Ok(header))
}

/// Says what a file is whose header is none, or else `reason`.
fn no_header(shard: &Shard, file_len: u64, reason: String) -> SourceError {
    let path = shard.path();
    if file_len == 0 {
        return SourceError::file(path, FileProblem::Empty);
    }
    let mut sample = vec![0; file_len.min(SAMPLE as u64) as usize];
    if let Err(error) = shard.read_exact_at(&mut sample, 0) {
        return SourceError::shard(path, error);
    }
    match FileKind::recognize(&sample) {
        Some(FileKind::Safetensors) | None => SourceError::malformed(path, reason),
        // The others say what to do.
        Some(kind @ (FileKind::Zip | FileKind::Pickle | FileKind::Gguf)) => {
            SourceError::malformed(path, format!("{kind}, expected a safetensors file"))
        }
        Some(kind) => SourceError::file(path, FileProblem::Kind(kind)),
    }
}

/// Checks what an entry says of itself and moves its offsets to the file's.
fn check_entry(
    path: &Path,
    name: String,
    entry: RawEntry,
    data_start: u64,
) -> Result<Entry, SourceError> {
    let fail = |reason: String| SourceError::Tensor {
        path: path.into(),
        tensor: shown(&name),
        reason,
    };
    if entry.shape.len() > MAX_DIMS {
        let found = entry.shape.len();
        return Err(fail(format!(
            "it has {found} dimensions, expected at most {MAX_DIMS}"
        )));
    }
    let (begin, end) = entry.data_offsets;
    let found = end.checked_sub(begin).ok_or_else(|| {
        fail(format!(
            "its bytes end at {end}, before they begin at {begin}"
        ))
    })?;
    let weights = entry.shape.iter().try_fold(1u64, |n, &d| n.checked_mul(d));
    if let Some(item) = dtype::bytes_of(&entry.dtype) {
        let expected = weights.and_then(|n| n.checked_mul(item)).ok_or_else(|| {
            fail(format!(
                "its shape {:?} is larger than any file",
                entry.shape
            ))
        })?;
        if expected != found {
            return Err(fail(format!(
                "its shape {:?} of {} takes {expected} bytes, its offsets give {found}",
                entry.shape, entry.dtype
            )));
        }
    }
    let bytes = match (data_start.checked_add(begin), data_start.checked_add(end)) {
        (Some(start), Some(end)) => start..end,
        _ => return Err(fail(format!("its offset {end} is larger than any file"))),
    };
    Ok(Entry {
        name,
        dtype: entry.dtype,
        shape: entry.shape,
        bytes,
    })
}
