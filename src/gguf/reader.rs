//! Reading a GGUF header. Nothing in it is believed: every length, count and offset is held
//! against the bytes that are there before it is used.

use std::{
    collections::HashSet,
    fs::File,
    io::{BufRead, BufReader, ErrorKind},
    path::Path,
};

use bstr::BString;
use swallow_quant::GgmlType;

use super::{
    ALIGNMENT_KEY, Array, DEFAULT_ALIGNMENT, FormatError, Gguf, KeyValues, MAGIC, MAX_DIMS,
    MAX_KEY, MAX_TENSOR_NAME, ReadError, TensorInfo, VERSION, Value, ValueType,
    cursor::{Cursor, Place},
    escape, foreign, near,
};

/// Bytes of the smallest key-value: a key of one byte and a value of one byte.
const SMALLEST_KEY_VALUE: u64 = 8 + 1 + 4 + 1;

/// Bytes of the smallest tensor info: a name of one byte and one dimension.
const SMALLEST_TENSOR_INFO: u64 = 8 + 1 + 4 + 8 + 4 + 8;

impl Gguf {
    /// Reads and checks the header of the file at `path`; the weights are not read.
    ///
    /// # Errors
    /// Where it cannot be opened or read, is not a GGUF (and then what it probably is), or is a
    /// broken one.
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        let open_failed = |source| ReadError::Open {
            path: path.to_owned(),
            source,
        };
        // Looked at before it is opened: opening a named pipe would wait for a writer.
        let metadata = match std::fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(near::not_there(path)),
            Err(error) => return Err(open_failed(error)),
        };
        if metadata.is_dir() {
            return Err(near::folder(path));
        }
        if !metadata.is_file() {
            return Err(ReadError::NotAFile {
                path: path.to_owned(),
            });
        }
        let file = File::open(path).map_err(open_failed)?;
        let file_len = file.metadata().map_err(open_failed)?.len();
        // The header is read, not mapped: its values are copied out in either case, and a mapped
        // file that shrinks kills the process.
        read(
            BufReader::with_capacity(256 * 1024, file),
            file_len,
            file_len,
        )
        .map_err(|source| ReadError::Format {
            path: path.to_owned(),
            source,
        })
    }

    /// Reads and checks a header from memory: `bytes` is the beginning of a file of `file_len`
    /// bytes and holds at least the whole header.
    ///
    /// # Errors
    /// Where `bytes` are not a GGUF, or a broken one.
    pub fn parse(bytes: &[u8], file_len: u64) -> Result<Self, FormatError> {
        read(bytes, bytes.len() as u64, file_len)
    }
}

/// Reads a header from `input`, which has the first `available` bytes of a file of `file_len`.
fn read(input: impl BufRead, available: u64, file_len: u64) -> Result<Gguf, FormatError> {
    let mut cursor = Cursor::new(input, available);
    let version = read_magic_and_version(&mut cursor, available)?;

    let n_tensors = cursor.u64(Place::Counts)?;
    let n_key_values = cursor.u64(Place::Counts)?;
    cursor.check_count("key-values", n_key_values, SMALLEST_KEY_VALUE)?;
    cursor.check_count("tensors", n_tensors, SMALLEST_TENSOR_INFO)?;

    let key_values = read_key_values(&mut cursor, n_key_values)?;
    let alignment = alignment(&key_values)?;
    cursor.check_count("tensors", n_tensors, SMALLEST_TENSOR_INFO)?;
    let tensors = read_tensor_infos(&mut cursor, n_tensors, alignment)?;

    let header_len = cursor.offset();
    let data_offset = if tensors.is_empty() {
        header_len
    } else {
        header_len.next_multiple_of(alignment)
    };
    check_data(&tensors, alignment, data_offset, file_len)?;
    Ok(Gguf {
        version,
        alignment,
        data_offset,
        file_len,
        key_values,
        tensors,
    })
}

fn read_magic_and_version<R: BufRead>(
    cursor: &mut Cursor<R>,
    available: u64,
) -> Result<u32, FormatError> {
    if available == 0 {
        return Err(FormatError::Empty);
    }
    let sample = cursor.peek()?;
    if !sample.starts_with(&MAGIC) && !MAGIC.starts_with(sample) {
        return Err(FormatError::Foreign(foreign::recognize(sample)));
    }
    cursor.u32(Place::Counts)?;
    let version = cursor.u32(Place::Counts)?;
    match version {
        2..=VERSION => Ok(version),
        // A small number with its bytes the other way round.
        _ if version != 0 && version & 0xffff == 0 => Err(FormatError::BigEndian {
            version: version.swap_bytes(),
        }),
        _ => Err(FormatError::Version { found: version }),
    }
}

fn read_key_values<R: BufRead>(
    cursor: &mut Cursor<R>,
    count: u64,
) -> Result<KeyValues, FormatError> {
    let mut key_values = KeyValues::new();
    let mut seen = HashSet::new();
    for index in 0..count {
        let (place, offset) = (Place::Key(index), cursor.offset());
        let key = match cursor.u64(place)? {
            0 => return Err(FormatError::EmptyKey { index, offset }),
            len if len > MAX_KEY => return Err(FormatError::LongKey { index, offset, len }),
            len => cursor.bytes(place, len)?,
        };
        let key = String::from_utf8(key).map_err(|error| FormatError::KeyNotUtf8 {
            index,
            offset,
            key: escape(error.as_bytes()),
        })?;
        if !seen.insert(key.clone()) {
            return Err(FormatError::DuplicateKey {
                key: escape(key.as_bytes()),
                offset,
            });
        }
        let value = read_value(cursor, &key)?;
        key_values.push((key, value));
    }
    Ok(key_values)
}

fn read_value<R: BufRead>(cursor: &mut Cursor<R>, key: &str) -> Result<Value, FormatError> {
    let place = Place::Value(key);
    Ok(match read_value_type(cursor, key)? {
        ValueType::U8 => Value::U8(cursor.u8(place)?),
        ValueType::I8 => Value::I8(cursor.number(place, i8::from_le_bytes)?),
        ValueType::U16 => Value::U16(cursor.number(place, u16::from_le_bytes)?),
        ValueType::I16 => Value::I16(cursor.number(place, i16::from_le_bytes)?),
        ValueType::U32 => Value::U32(cursor.u32(place)?),
        ValueType::I32 => Value::I32(cursor.number(place, i32::from_le_bytes)?),
        ValueType::F32 => Value::F32(cursor.number(place, f32::from_le_bytes)?),
        ValueType::Bool => {
            let offset = cursor.offset();
            Value::Bool(to_bool(key, cursor.u8(place)?, offset)?)
        }
        ValueType::String => Value::String(BString::new(cursor.string(place)?)),
        ValueType::Array => Value::Array(read_array(cursor, key)?),
        ValueType::U64 => Value::U64(cursor.u64(place)?),
        ValueType::I64 => Value::I64(cursor.number(place, i64::from_le_bytes)?),
        ValueType::F64 => Value::F64(cursor.number(place, f64::from_le_bytes)?),
    })
}

fn read_array<R: BufRead>(cursor: &mut Cursor<R>, key: &str) -> Result<Array, FormatError> {
    let (place, offset) = (Place::Value(key), cursor.offset());
    let element_type = read_value_type(cursor, key)?;
    let n = cursor.u64(place)?;
    Ok(match element_type {
        ValueType::U8 => Array::U8(cursor.numbers(place, n, u8::from_le_bytes)?),
        ValueType::I8 => Array::I8(cursor.numbers(place, n, i8::from_le_bytes)?),
        ValueType::U16 => Array::U16(cursor.numbers(place, n, u16::from_le_bytes)?),
        ValueType::I16 => Array::I16(cursor.numbers(place, n, i16::from_le_bytes)?),
        ValueType::U32 => Array::U32(cursor.numbers(place, n, u32::from_le_bytes)?),
        ValueType::I32 => Array::I32(cursor.numbers(place, n, i32::from_le_bytes)?),
        ValueType::F32 => Array::F32(cursor.numbers(place, n, f32::from_le_bytes)?),
        ValueType::Bool => {
            let first = cursor.offset();
            let bytes = cursor.numbers(place, n, u8::from_le_bytes)?;
            let bools = (first..)
                .zip(bytes)
                .map(|(offset, byte)| to_bool(key, byte, offset));
            Array::Bool(bools.collect::<Result<_, _>>()?)
        }
        ValueType::String => {
            cursor.check_count("strings", n, 8)?;
            let mut strings = Vec::new();
            for _ in 0..n {
                strings.push(BString::new(cursor.string(place)?));
            }
            Array::String(strings)
        }
        ValueType::Array => {
            return Err(FormatError::NestedArray {
                key: escape(key.as_bytes()),
                offset,
            });
        }
        ValueType::U64 => Array::U64(cursor.numbers(place, n, u64::from_le_bytes)?),
        ValueType::I64 => Array::I64(cursor.numbers(place, n, i64::from_le_bytes)?),
        ValueType::F64 => Array::F64(cursor.numbers(place, n, f64::from_le_bytes)?),
    })
}

fn read_value_type<R: BufRead>(
    cursor: &mut Cursor<R>,
    key: &str,
) -> Result<ValueType, FormatError> {
    let offset = cursor.offset();
    let found = cursor.u32(Place::Value(key))?;
    ValueType::from_id(found).ok_or_else(|| FormatError::ValueType {
        key: escape(key.as_bytes()),
        found,
        offset,
    })
}

fn to_bool(key: &str, byte: u8, offset: u64) -> Result<bool, FormatError> {
    match byte {
        0 => Ok(false),
        1 => Ok(true),
        found => Err(FormatError::Bool {
            key: escape(key.as_bytes()),
            found,
            offset,
        }),
    }
}

/// The alignment the key-values ask for.
fn alignment(key_values: &KeyValues) -> Result<u64, FormatError> {
    match key_values.iter().find(|(key, _)| key == ALIGNMENT_KEY) {
        None => Ok(DEFAULT_ALIGNMENT),
        Some((_, Value::U32(found))) if found.is_power_of_two() => Ok((*found).into()),
        Some((_, Value::U32(found))) => Err(FormatError::Alignment {
            found: (*found).into(),
        }),
        Some((_, value)) => Err(FormatError::AlignmentType {
            found: value.value_type().to_string(),
        }),
    }
}

fn read_tensor_infos<R: BufRead>(
    cursor: &mut Cursor<R>,
    count: u64,
    alignment: u64,
) -> Result<Vec<TensorInfo>, FormatError> {
    let mut tensors = Vec::new();
    let mut seen = HashSet::new();
    for index in 0..count {
        let offset = cursor.offset();
        let tensor = read_tensor_info(cursor, index)?;
        if !seen.insert(tensor.name.clone()) {
            let name = escape(tensor.name.as_bytes());
            return Err(FormatError::DuplicateTensor { name, offset });
        }
        if !tensor.offset.is_multiple_of(alignment) {
            return Err(FormatError::Misaligned {
                name: escape(tensor.name.as_bytes()),
                found: tensor.offset,
                alignment,
            });
        }
        tensors.push(tensor);
    }
    Ok(tensors)
}

fn read_tensor_info<R: BufRead>(
    cursor: &mut Cursor<R>,
    index: u64,
) -> Result<TensorInfo, FormatError> {
    let (place, offset) = (Place::Name(index), cursor.offset());
    let name = match cursor.u64(place)? {
        0 => return Err(FormatError::EmptyName { index, offset }),
        len if len > MAX_TENSOR_NAME as u64 => {
            return Err(FormatError::LongName { index, offset, len });
        }
        len => cursor.bytes(place, len)?,
    };
    let name = String::from_utf8(name).map_err(|error| FormatError::NameNotUtf8 {
        index,
        offset,
        name: escape(error.as_bytes()),
    })?;

    let (place, offset) = (Place::Tensor(&name), cursor.offset());
    let n_dims = cursor.u32(place)?;
    if !(1..=MAX_DIMS as u32).contains(&n_dims) {
        let name = escape(name.as_bytes());
        return Err(FormatError::Dims {
            name,
            found: n_dims,
            offset,
        });
    }
    let dims = cursor.numbers(place, n_dims.into(), u64::from_le_bytes)?;

    let offset = cursor.offset();
    let type_id = cursor.u32(place)?;
    let ty = GgmlType::from_id(type_id).ok_or_else(|| FormatError::TensorType {
        name: escape(name.as_bytes()),
        found: type_id,
        offset,
    })?;
    let data_offset = cursor.u64(place)?;
    let mut tensor = TensorInfo::new(name, dims, ty)?;
    tensor.offset = data_offset;
    Ok(tensor)
}

/// Checks that the tensors lie inside a file of `file_len` bytes and do not overlap.
fn check_data(
    tensors: &[TensorInfo],
    alignment: u64,
    data_offset: u64,
    file_len: u64,
) -> Result<(), FormatError> {
    // What the data takes when the tensors lie one after another, as every writer puts them.
    let data_len = tensors.iter().fold(0u64, |sum, tensor| {
        sum.saturating_add(tensor.size().next_multiple_of(alignment))
    });
    let data_there = file_len.saturating_sub(data_offset);
    for tensor in tensors {
        // Further than that is no cut file but a wrong number.
        if tensor.offset > data_len.max(data_there) {
            return Err(FormatError::OffsetBeyondData {
                name: escape(tensor.name.as_bytes()),
                found: tensor.offset,
                data_len,
            });
        }
    }

    let mut by_offset: Vec<&TensorInfo> = tensors.iter().filter(|t| t.size() > 0).collect();
    by_offset.sort_by_key(|tensor| tensor.offset);
    for pair in by_offset.windows(2) {
        if pair[0].offset.saturating_add(pair[0].size()) > pair[1].offset {
            return Err(FormatError::Overlap {
                first: escape(pair[0].name.as_bytes()),
                second: escape(pair[1].name.as_bytes()),
                offset: pair[1].offset,
            });
        }
    }

    let data_end = tensors
        .iter()
        .map(|t| t.offset.saturating_add(t.size()))
        .max()
        .unwrap_or(0);
    let expected = data_offset.saturating_add(data_end);
    if expected > file_len {
        let missing = expected - file_len;
        return Err(FormatError::DataCut {
            missing,
            expected,
            found: file_len,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
