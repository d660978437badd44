//! The older format.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fs::File,
    io::{self, BufReader, Read},
    path::Path,
};

use byteorder::{LE, ReadBytesExt};

use super::{Broken, Imatrix, ImatrixError, first_bad};
use crate::gguf::{MAX_TENSOR_NAME, escape};

/// Bytes of the smallest entry: a name of one byte and one value.
const SMALLEST_ENTRY: u64 = 4 + 1 + 4 + 4 + 4;

/// Bytes of a text that are shown, after the first four.
const SHOWN_TEXT: u64 = 20;

/// Reads the matrix at `path`, which is a regular file and no GGUF.
pub(super) fn read(path: &Path) -> Result<Imatrix, ImatrixError> {
    let opened = File::open(path).and_then(|file| Ok((file.metadata()?.len(), file)));
    let (file_len, file) = opened.map_err(|error| ImatrixError::Read {
        path: path.to_owned(),
        error,
    })?;
    read_from(path, BufReader::new(file), file_len)
}

/// Reads the matrix from `input`, which has `file_len` bytes; `path` is for the errors.
pub(super) fn read_from(
    path: &Path,
    input: impl Read,
    file_len: u64,
) -> Result<Imatrix, ImatrixError> {
    let failed = |failure| match failure {
        Failure::Io(error) => ImatrixError::Read {
            path: path.to_owned(),
            error,
        },
        Failure::Broken(what) => ImatrixError::Broken {
            path: path.to_owned(),
            what,
        },
    };
    let mut bytes = Bytes {
        input,
        offset: 0,
        left: file_len,
    };
    let count = bytes
        .i32(|| "the number of entries".into())
        .map_err(failed)?;
    // Where this is no number of entries, the file is no importance matrix at all.
    if count < 1 || count as u64 > bytes.left / SMALLEST_ENTRY {
        let first = count.to_le_bytes();
        let is_text = first
            .iter()
            .all(|byte| byte.is_ascii_graphic() || *byte == b' ');
        let found = match is_text {
            false => format!("{count} for a file of {file_len} bytes"),
            true => {
                let more = bytes.string(|| "the text".into(), bytes.left.min(SHOWN_TEXT));
                let begins = [&first[..], &more.map_err(failed)?].concat();
                format!(
                    "a text of {file_len} bytes that begins with `{}`",
                    escape(&begins)
                )
            }
        };
        return Err(ImatrixError::NeitherFormat {
            path: path.to_owned(),
            found,
        });
    }
    let mut entries = BTreeMap::new();
    for index in 0..count {
        read_entry(&mut bytes, index, &mut entries).map_err(failed)?;
    }
    let mut matrix = Imatrix {
        file: path.to_owned(),
        datasets: Vec::new(),
        chunk_count: 0,
        entries,
    };
    read_rest(&mut bytes, &mut matrix).map_err(failed)?;
    Ok(matrix)
}

fn read_entry(
    bytes: &mut Bytes<impl Read>,
    index: i32,
    entries: &mut BTreeMap<String, Vec<f32>>,
) -> Result<(), Failure> {
    let offset = bytes.offset;
    let place = || format!("entry {index}");
    let len = bytes.i32(place)?;
    if !(1..=MAX_TENSOR_NAME as i32).contains(&len) {
        return Err(Broken::NameLength { index, offset, len }.into());
    }
    let name = String::from_utf8(bytes.string(place, len as u64)?).map_err(|error| {
        Broken::NameNotUtf8 {
            index,
            offset,
            name: escape(error.as_bytes()),
        }
    })?;
    let shown = escape(name.as_bytes());
    let Entry::Vacant(entry) = entries.entry(name) else {
        let name = shown;
        return Err(Broken::Duplicate {
            index,
            offset,
            name,
        }
        .into());
    };

    let place = || format!("`{shown}`");
    let calls = bytes.i32(place)?;
    let offset = bytes.offset;
    let found = bytes.i32(place)?;
    if found < 1 {
        let tensor = shown;
        return Err(Broken::NoValues {
            tensor,
            found,
            offset,
        }
        .into());
    }
    let mut values = bytes.f32s(place, found as u64)?;
    if calls > 0 {
        let calls = calls as f32;
        values.iter_mut().for_each(|value| *value /= calls);
    }
    if let Some((index, value)) = first_bad(&values) {
        let tensor = shown;
        return Err(Broken::Value {
            tensor,
            index,
            value,
        }
        .into());
    }
    entry.insert(values);
    Ok(())
}

/// Reads what follows the entries. Both parts may be missing.
fn read_rest(bytes: &mut Bytes<impl Read>, matrix: &mut Imatrix) -> Result<(), Failure> {
    if bytes.left > 0 {
        let chunks = bytes.i32(|| "the number of chunks".into())?;
        matrix.chunk_count = chunks.max(0) as u32;
    }
    if bytes.left > 0 {
        let (place, offset) = (|| "the dataset's name".into(), bytes.offset);
        let len = bytes.i32(place)?;
        match u64::try_from(len) {
            Ok(0) => {}
            Ok(len) => matrix.datasets.push(bytes.string(place, len)?.into()),
            Err(_) => return Err(Broken::DatasetLength { len, offset }.into()),
        }
    }
    match bytes.left {
        0 => Ok(()),
        left => Err(Broken::Trailing {
            left,
            offset: bytes.offset,
        }
        .into()),
    }
}

/// What can stop the reading, without the path.
enum Failure {
    Io(io::Error),
    Broken(Broken),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Broken> for Failure {
    fn from(what: Broken) -> Self {
        Self::Broken(what)
    }
}

/// A file that is read from the front, never past its end: lengths are held against the bytes that
/// are there before memory is taken for them.
struct Bytes<R> {
    input: R,
    offset: u64,
    left: u64,
}

impl<R: Read> Bytes<R> {
    fn i32(&mut self, place: impl Fn() -> String) -> Result<i32, Failure> {
        self.take(place, 4)?;
        Ok(self.input.read_i32::<LE>()?)
    }

    fn string(&mut self, place: impl Fn() -> String, len: u64) -> Result<Vec<u8>, Failure> {
        self.take(place, len)?;
        let mut string = vec![0; len as usize];
        self.input.read_exact(&mut string)?;
        Ok(string)
    }

    fn f32s(&mut self, place: impl Fn() -> String, count: u64) -> Result<Vec<f32>, Failure> {
        self.take(place, 4 * count)?;
        let mut numbers = vec![0.0; count as usize];
        self.input.read_f32_into::<LE>(&mut numbers)?;
        Ok(numbers)
    }

    /// Counts `needed` bytes as read, if they are there.
    fn take(&mut self, place: impl Fn() -> String, needed: u64) -> Result<(), Broken> {
        let (offset, left) = (self.offset, self.left);
        if needed > left {
            return Err(Broken::Cut {
                place: place(),
                offset,
                needed,
                left,
            });
        }
        self.offset += needed;
        self.left -= needed;
        Ok(())
    }
}
