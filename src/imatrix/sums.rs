//! The format of today: sums and counts in a GGUF.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufReader, Seek, SeekFrom},
    path::Path,
};

use byteorder::{LE, ReadBytesExt};
use swallow_quant::GgmlType;

use super::{Broken, Imatrix, ImatrixError, first_bad};
use crate::gguf::{Array, Gguf, TensorInfo, Value, escape};

const DATASETS: &str = "imatrix.datasets";
const CHUNK_COUNT: &str = "imatrix.chunk_count";
const CHUNK_SIZE: &str = "imatrix.chunk_size";

const SUMS_OF_SQUARES: &str = "in_sum2";
const SUMS: &str = "in_sum";
const COUNTS: &str = "counts";

/// The tensors that belong to one tensor of the model.
#[derive(Default)]
struct Parts<'a> {
    sums_of_squares: Option<&'a TensorInfo>,
    sums: Option<&'a TensorInfo>,
    counts: Option<&'a TensorInfo>,
}

/// Reads the matrix from the file at `path`, whose header is `gguf`.
pub(super) fn read(path: &Path, gguf: &Gguf) -> Result<Imatrix, ImatrixError> {
    check_kind(path, gguf)?;
    let broken = |what| ImatrixError::Broken {
        path: path.to_owned(),
        what,
    };
    let mut matrix = Imatrix {
        file: path.to_owned(),
        datasets: Vec::new(),
        chunk_count: 0,
        entries: BTreeMap::new(),
    };
    match gguf.get(DATASETS) {
        Some(Value::Array(Array::String(datasets))) => matrix.datasets.clone_from(datasets),
        other => return Err(broken(key_type(DATASETS, other, "an array of strings"))),
    }
    match gguf.get(CHUNK_COUNT) {
        // llama.cpp keeps an i32, and names the count where that is positive.
        Some(Value::U32(count)) => matrix.chunk_count = (*count).cast_signed().max(0) as u32,
        other => return Err(broken(key_type(CHUNK_COUNT, other, "u32"))),
    }

    let read_failed = |error| ImatrixError::Read {
        path: path.to_owned(),
        error,
    };
    let mut file = BufReader::new(File::open(path).map_err(read_failed)?);
    let mut numbers = |tensor: &TensorInfo| -> io::Result<Vec<f32>> {
        file.seek(SeekFrom::Start(gguf.data_offset + tensor.offset))?;
        // The reader of the header has seen to it that they are there.
        let mut numbers = vec![0.0; tensor.elements() as usize];
        file.read_f32_into::<LE>(&mut numbers)?;
        Ok(numbers)
    };
    for (tensor, parts) in parts(gguf) {
        let (sums, counts) = pair(tensor, &parts).map_err(broken)?;
        let mut values = numbers(sums).map_err(read_failed)?;
        let counts = numbers(counts).map_err(read_failed)?;
        average(tensor, &mut values, &counts).map_err(broken)?;
        matrix.entries.insert(tensor.to_owned(), values);
    }
    if matrix.entries.is_empty() {
        return Err(broken(Broken::NoEntries));
    }
    Ok(matrix)
}

/// Refuses what is a GGUF and no importance matrix.
fn check_kind(path: &Path, gguf: &Gguf) -> Result<(), ImatrixError> {
    let missing = [DATASETS, CHUNK_COUNT, CHUNK_SIZE]
        .into_iter()
        .find(|key| gguf.get(key).is_none());
    match (missing, gguf.get("general.architecture")) {
        (None, _) => Ok(()),
        (Some(_), Some(Value::String(architecture))) => Err(ImatrixError::Model {
            path: path.to_owned(),
            architecture: escape(architecture),
        }),
        (Some(key), _) => Err(ImatrixError::NoMetadata {
            path: path.to_owned(),
            key,
        }),
    }
}

fn key_type(key: &'static str, value: Option<&Value>, expected: &'static str) -> Broken {
    match value {
        Some(value) => Broken::KeyType {
            key,
            found: value.value_type(),
            expected,
        },
        None => unreachable!("`check_kind` has seen the key"),
    }
}

/// The tensors by the name of the model's tensor they belong to. Those of other endings are left
/// out.
fn parts(gguf: &Gguf) -> BTreeMap<&str, Parts<'_>> {
    let mut by_name = BTreeMap::<&str, Parts<'_>>::new();
    for info in &gguf.tensors {
        let Some((tensor, ending)) = info.name.rsplit_once('.') else {
            continue;
        };
        match ending {
            SUMS_OF_SQUARES => by_name.entry(tensor).or_default().sums_of_squares = Some(info),
            SUMS => by_name.entry(tensor).or_default().sums = Some(info),
            COUNTS => by_name.entry(tensor).or_default().counts = Some(info),
            _ => {}
        }
    }
    by_name
}

/// The sums of squares and the counts, if there are both, of numbers that belong together.
fn pair<'a>(tensor: &str, parts: &Parts<'a>) -> Result<(&'a TensorInfo, &'a TensorInfo), Broken> {
    let tensor = || escape(tensor.as_bytes());
    let unpaired = |there, missing| Broken::Unpaired {
        tensor: tensor(),
        there,
        missing,
    };
    let (sums, counts) = match (parts.sums_of_squares, parts.counts) {
        (Some(sums), Some(counts)) => (sums, counts),
        (Some(_), None) => return Err(unpaired(SUMS_OF_SQUARES, COUNTS)),
        (None, Some(_)) => return Err(unpaired(COUNTS, SUMS_OF_SQUARES)),
        (None, None) => return Err(unpaired(SUMS, SUMS_OF_SQUARES)),
    };
    if let Some(part) = [sums, counts].into_iter().find(|p| p.ty != GgmlType::F32) {
        return Err(Broken::NotF32 {
            tensor: escape(part.name.as_bytes()),
            found: part.ty,
        });
    }
    let (n_sums, n_counts) = (sums.elements(), counts.elements());
    if n_sums == 0 || n_counts == 0 || !n_sums.is_multiple_of(n_counts) {
        return Err(Broken::Lengths {
            tensor: tensor(),
            sums: n_sums,
            counts: n_counts,
        });
    }
    match parts.sums.map(TensorInfo::elements) {
        Some(others) if others != n_sums => Err(Broken::Sums {
            tensor: tensor(),
            sums: n_sums,
            others,
        }),
        _ => Ok((sums, counts)),
    }
}

/// Makes the importance of the sums: those of each expert are divided by its count.
fn average(tensor: &str, sums: &mut [f32], counts: &[f32]) -> Result<(), Broken> {
    let columns = sums.len() / counts.len();
    for (expert, (sums, &value)) in sums.chunks_mut(columns).zip(counts).enumerate() {
        // A count goes through an i64 in llama.cpp.
        if !(0.0..i64::MAX as f32).contains(&value) {
            return Err(Broken::Count {
                tensor: escape(tensor.as_bytes()),
                expert,
                value,
            });
        }
        match value.round() {
            0.0 => sums.fill(1.0),
            count => sums.iter_mut().for_each(|sum| *sum /= count),
        }
    }
    match first_bad(sums) {
        Some((index, value)) => Err(Broken::Value {
            tensor: escape(tensor.as_bytes()),
            index,
            value,
        }),
        None => Ok(()),
    }
}
