//! Reads the weights of one chunk, as they are in the source but in the order of the output.

use std::{ops::Range, sync::Arc};

use super::{chunks::Chunk, error::ConvertError};
use crate::{
    hub::{self, ReadAhead},
    model::{Part, RowOrder, TensorData},
    plan::{ConversionPlan, bytes_of},
    source::{Shard, ShardError},
};

/// Chunks asked of the disk ahead of the one being read: enough to keep it busy.
const PREFETCH: usize = 8;

/// Reads chunks of a plan, one after the other.
pub(crate) struct ChunkReader<'a> {
    shards: &'a [Shard],
    plan: &'a ConversionPlan,
    chunks: Vec<Chunk>,
    /// Index of the next chunk.
    next: usize,
    /// Fetches the chunks that are on the hub, in their order; begun when the first is read.
    remote: Option<ReadAhead>,
    /// The rows of a chunk before they are put in order.
    unordered: Vec<u8>,
}

impl<'a> ChunkReader<'a> {
    /// Gets ready to read `chunks`, in their order.
    pub(crate) fn new(
        shards: &'a [Shard],
        plan: &'a ConversionPlan,
        chunks: impl Iterator<Item = Chunk>,
    ) -> Self {
        let this = Self {
            shards,
            plan,
            chunks: chunks.collect(),
            next: 0,
            remote: None,
            unordered: Vec::new(),
        };
        (0..PREFETCH).for_each(|index| this.prefetch(index));
        this
    }

    /// Asks the disk for the bytes of a chunk, ahead of its turn.
    fn prefetch(&self, index: usize) {
        let Some(chunk) = self.chunks.get(index) else {
            return;
        };
        if let Some(part) = chunk.part(self.plan) {
            self.shards[part.shard].prefetch(in_file(part, &chunk.weights));
        }
    }

    /// Reads the weights of the next chunk into `bytes`, which is resized to fit, and drops them from
    /// the page cache. `None` behind the last chunk.
    pub(crate) fn read_next(&mut self, bytes: &mut Vec<u8>) -> Result<Option<Chunk>, ConvertError> {
        let index = self.next;
        self.next += 1;
        self.prefetch(index + PREFETCH);
        let Some(chunk) = self.chunks.get(index).cloned() else {
            return Ok(None);
        };
        self.read(&chunk, bytes)?;
        Ok(Some(chunk))
    }

    fn read(&mut self, chunk: &Chunk, bytes: &mut Vec<u8>) -> Result<(), ConvertError> {
        let tensor = &self.plan.tensors[chunk.tensor];
        let (part, order) = match &tensor.data {
            TensorData::Computed(values) => {
                bytes.clear();
                bytes.extend(values.iter().flat_map(|v| v.to_le_bytes()));
                return Ok(());
            }
            TensorData::Rows { parts, order } => (&parts[chunk.part], *order),
        };
        let shard = &self.shards[part.shard];
        let place = in_file(part, &chunk.weights);
        bytes.resize((place.end - place.start) as usize, 0);
        if shard.remote_file().is_some() {
            self.fetch(bytes)?;
        } else {
            shard
                .read_exact_at(bytes, place.start)
                .map_err(|error| match error {
                    ShardError::Local(error) => ConvertError::Read {
                        tensor: part.tensor.clone(),
                        path: shard.path().into(),
                        error,
                    },
                    ShardError::Remote(error) => (*error).into(),
                })?;
            shard.drop_from_cache(place);
        }
        self.put_in_order(order, bytes_of(part.ty, tensor.row_len()), bytes);
        Ok(())
    }

    /// Fills `bytes` with those of the next chunk that is on the hub.
    fn fetch(&mut self, bytes: &mut [u8]) -> Result<(), ConvertError> {
        let remote = match &mut self.remote {
            Some(remote) => remote,
            None => {
                // This chunk is the first of them: those before it are not on the hub.
                let parts: Vec<_> = self
                    .chunks
                    .iter()
                    .filter_map(|chunk| {
                        let part = chunk.part(self.plan)?;
                        Some(hub::Part {
                            file: Arc::clone(self.shards[part.shard].remote_file()?),
                            bytes: in_file(part, &chunk.weights),
                        })
                    })
                    .collect();
                let ahead = ReadAhead::start(&parts, &hub::Options::default())?;
                self.remote.insert(ahead)
            }
        };
        Ok(remote.read_exact(bytes)?)
    }

    /// Puts whole heads of rows in the order of the output.
    fn put_in_order(&mut self, order: RowOrder, row_bytes: u64, bytes: &mut Vec<u8>) {
        if order == RowOrder::AsIs || row_bytes == 0 {
            return;
        }
        std::mem::swap(&mut self.unordered, bytes);
        bytes.resize(self.unordered.len(), 0);
        let row_bytes = row_bytes as usize;
        for (row, to) in bytes.chunks_exact_mut(row_bytes).enumerate() {
            let from = order.source_row(row as u64) as usize * row_bytes;
            to.copy_from_slice(&self.unordered[from..from + row_bytes]);
        }
    }
}

/// Where weights of a part are in its shard's file, in bytes.
fn in_file(part: &Part, weights: &Range<u64>) -> Range<u64> {
    part.offset + bytes_of(part.ty, weights.start)..part.offset + bytes_of(part.ty, weights.end)
}
