//! A file's weights against the checkpoint's.

use std::collections::HashSet;

use rayon::prelude::*;
use swallow_quant::{GgmlType, can_dequantize};

use super::{
    Against, Fidelity, Reference, TensorFidelity, Unmatched,
    lost::{BlockRun, LostBlocks, block_runs},
    sample,
};
use crate::{
    compare::{
        CompareError, Deviation,
        file::{WeightFile, dequantize},
    },
    convert::{
        ConvertError,
        chunks::{Chunk, chunks},
        read::ChunkReader,
    },
    file_type::FileType,
    gguf::TensorInfo,
    model::{ModelConfig, tensors},
    plan::{ConversionPlan, bytes_of},
    source::{Checkpoint, Shard},
};

/// Weights that one thread takes at a time: a multiple of every block length.
const TASK_WEIGHTS: usize = 1 << 14;

/// A checkpoint and the conversion to F32 that says which of its weights belong where.
pub(super) struct Source {
    name: String,
    checkpoint: Checkpoint,
    plan: ConversionPlan,
    sample: bool,
}

impl Source {
    pub(super) fn open(reference: &Reference) -> Result<Self, CompareError> {
        Ok(Self::read(reference)?)
    }

    /// Tokenizer files are not needed here, so they are not read.
    fn read(reference: &Reference) -> Result<Self, ConvertError> {
        let checkpoint = reference.source.open()?;
        let config = ModelConfig::from_json(&checkpoint.config)?;
        let tensors = tensors::map(&config, &checkpoint)?;
        Ok(Self {
            name: reference.source.to_string(),
            plan: ConversionPlan::new(tensors, Vec::new(), &FileType::F32.into())?,
            sample: reference.sample && checkpoint.shards.iter().any(Shard::is_remote),
            checkpoint,
        })
    }

    /// Compares tensor by tensor: a chunk is read from both, and all threads share it.
    pub(super) fn compare(self, file: &WeightFile) -> Result<Against, CompareError> {
        let Self {
            name,
            checkpoint,
            plan,
            sample,
        } = self;
        let matched: Vec<Option<&TensorInfo>> = plan
            .tensors
            .iter()
            .map(|planned| {
                let info = file.tensor(&planned.info.name);
                info.filter(|info| info.shape() == planned.info.shape())
            })
            .collect();

        let mut sums = vec![(Deviation::default(), LostBlocks::default()); plan.tensors.len()];
        let is_compared =
            |chunk: &Chunk| matched[chunk.tensor].is_some_and(|t| can_dequantize(t.ty));
        let chosen = match sample {
            true => sample::sample(&plan),
            false => chunks(&plan).collect(),
        };
        let mut looked_at = vec![false; plan.tensors.len()];
        for chunk in &chosen {
            looked_at[chunk.tensor] = true;
        }
        let compared = chosen.into_iter().filter(is_compared);
        let mut weights = 0;
        let mut reader = ChunkReader::new(&checkpoint.shards, &plan, compared);
        let mut buffers = Buffers::default();
        while let Some(chunk) = reader.read_next(&mut buffers.source)? {
            let Some(info) = matched[chunk.tensor] else {
                continue;
            };
            weights += chunk.len();
            let first = chunk.first_weight(&plan);
            file.read(info, &(first..first + chunk.len()), &mut buffers.blocks)?;
            let from = chunk.source_type(&plan);
            let (sum, lost) = &mut sums[chunk.tensor];
            for (deviation, of_task) in measure(info, first, from, &buffers) {
                sum.add(&deviation);
                lost.add(of_task);
            }
        }

        Ok(Against {
            source: name,
            notes: checkpoint.notes,
            compared: weights,
            weights: plan.parameters(),
            unmatched: unmatched(&plan, file),
            tensors: matched
                .iter()
                .zip(sums)
                .zip(looked_at)
                .filter(|(_, looked_at)| *looked_at)
                .filter_map(|((info, (sum, lost)), _)| {
                    let info = (*info)?;
                    Some(TensorFidelity {
                        name: info.name.clone(),
                        ty: info.ty,
                        lost: lost.of(info),
                        fidelity: match can_dequantize(info.ty) {
                            true => Fidelity::Measured(sum),
                            false => Fidelity::NotRead,
                        },
                    })
                })
                .collect(),
        })
    }
}

#[derive(Default)]
struct Buffers {
    source: Vec<u8>,
    blocks: Vec<u8>,
}

/// Measures a chunk that begins at weight `first` of the tensor, task by task. The sums do not depend
/// on the number of threads: tasks have a fixed size and are added in their order.
fn measure(
    info: &TensorInfo,
    first: u64,
    from: GgmlType,
    buffers: &Buffers,
) -> Vec<(Deviation, Vec<BlockRun>)> {
    let ty = info.ty;
    let task_bytes = TASK_WEIGHTS / ty.block_len() * ty.block_bytes();
    buffers
        .source
        .par_chunks(bytes_of(from, TASK_WEIGHTS as u64) as usize)
        .zip(buffers.blocks.par_chunks(task_bytes))
        .enumerate()
        .map_init(
            || (Vec::new(), Vec::new()),
            |(reference, weights), (task, (source, blocks))| {
                dequantize(from, source, reference);
                dequantize(ty, blocks, weights);
                let first = first + (task * TASK_WEIGHTS) as u64;
                let block_len = ty.block_len();
                let first = first / block_len as u64;
                (
                    Deviation::measure(reference, weights, block_len, first),
                    block_runs(info, reference, weights, first),
                )
            },
        )
        .collect()
}

fn unmatched(plan: &ConversionPlan, file: &WeightFile) -> Vec<Unmatched> {
    let expected = plan.tensors.iter().map(|planned| &planned.info);
    let of_checkpoint = expected.clone().filter_map(|expected| {
        let name = expected.name.clone();
        match file.tensor(&name) {
            None => Some(Unmatched::Missing(name)),
            Some(found) if found.shape() != expected.shape() => Some(Unmatched::Shape {
                name,
                expected: expected.dims.clone(),
                found: found.dims.clone(),
            }),
            Some(_) => None,
        }
    });
    let known: HashSet<&str> = expected.map(|info| info.name.as_str()).collect();
    let names = file.gguf.tensors.iter().map(|tensor| &tensor.name);
    let unknown = names.filter(|name| !known.contains(name.as_str()));
    of_checkpoint
        .chain(unknown.map(|name| Unmatched::Unknown(name.clone())))
        .collect()
}
