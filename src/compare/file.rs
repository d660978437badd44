//! A GGUF file open for reading its weights, a chunk at a time.

use std::{collections::HashMap, fs::File, ops::Range, path::Path};

use swallow_quant::GgmlType;

use super::CompareError;
use crate::{
    gguf::{Gguf, ReadError, TensorInfo, escape},
    source::Shard,
};

/// Weights that a thread reads at a time, at most. A multiple of every block length, so that no
/// chunk ends within a block. With two types of four bytes a thread's buffers take 16 MiB, with
/// types of eight bytes 24.
pub(super) const CHUNK_WEIGHTS: u64 = 1 << 20;

/// A GGUF file and its tensors by name.
#[derive(Debug)]
pub(super) struct WeightFile {
    pub(super) gguf: Gguf,
    file: Shard,
    by_name: HashMap<String, usize>,
}

impl WeightFile {
    pub(super) fn open(path: &Path) -> Result<Self, CompareError> {
        let gguf = Gguf::open(path)?;
        let file = File::open(path).map_err(|source| ReadError::Open {
            path: path.to_owned(),
            source,
        })?;
        let names = gguf.tensors.iter().map(|tensor| tensor.name.clone());
        Ok(Self {
            by_name: names.zip(0..).collect(),
            file: Shard::new(path.to_owned(), file),
            gguf,
        })
    }

    pub(super) fn path(&self) -> &Path {
        self.file.path()
    }

    /// The tensor of this name; faster than [`Gguf::tensor`] where every tensor is looked up.
    pub(super) fn tensor(&self, name: &str) -> Option<&TensorInfo> {
        self.by_name
            .get(name)
            .map(|&index| &self.gguf.tensors[index])
    }

    /// Reads weights of a tensor, whole blocks, into `bytes`, which is resized to fit.
    pub(super) fn read(
        &self,
        tensor: &TensorInfo,
        weights: &Range<u64>,
        bytes: &mut Vec<u8>,
    ) -> Result<(), CompareError> {
        let place = self.place(tensor, weights);
        bytes.resize((place.end - place.start) as usize, 0);
        self.file
            .read_exact_at(bytes, place.start)
            .map_err(|error| CompareError::Read {
                tensor: escape(tensor.name.as_bytes()),
                path: self.path().to_owned(),
                error,
            })
    }

    /// Asks the disk for weights ahead of [`WeightFile::read`].
    pub(super) fn prefetch(&self, tensor: &TensorInfo, weights: &Range<u64>) {
        self.file.prefetch(self.place(tensor, weights));
    }

    /// Where weights of a tensor are in the file. The reader has seen to it that they are there.
    fn place(&self, tensor: &TensorInfo, weights: &Range<u64>) -> Range<u64> {
        let begin = self.gguf.data_offset + tensor.offset;
        let bytes =
            |weights| weights / tensor.ty.block_len() as u64 * tensor.ty.block_bytes() as u64;
        begin + bytes(weights.start)..begin + bytes(weights.end)
    }
}

/// The chunks of so many weights, whole blocks, as ranges of them.
pub(super) fn chunks(len: u64) -> impl Iterator<Item = Range<u64>> {
    (0..len)
        .step_by(CHUNK_WEIGHTS as usize)
        .map(move |start| start..len.min(start + CHUNK_WEIGHTS))
}

/// Computes weights of a type that can be dequantized from whole blocks, into `values`, which is
/// resized to fit.
pub(super) fn dequantize(ty: GgmlType, bytes: &[u8], values: &mut Vec<f32>) {
    values.resize(bytes.len() / ty.block_bytes() * ty.block_len(), 0.0);
    if let Err(unsupported) = swallow_quant::dequantize(ty, bytes, values) {
        unreachable!("{unsupported}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_whole_blocks_and_cover_the_tensor() {
        for ty in GgmlType::ALL {
            assert!(CHUNK_WEIGHTS.is_multiple_of(ty.block_len() as u64), "{ty}");
        }
        let of = |len| chunks(len).collect::<Vec<_>>();
        assert_eq!(of(0), []);
        assert_eq!(of(256), vec![0..256; 1]);
        let (c, end) = (CHUNK_WEIGHTS, 2 * CHUNK_WEIGHTS + 256);
        assert_eq!(of(end), [0..c, c..2 * c, 2 * c..end]);
    }
}
