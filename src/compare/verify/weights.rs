//! The weights of a file, by themselves: whether each is finite, and what is the same everywhere.

use std::{collections::BTreeMap, ops::Range};

use rayon::prelude::*;
use swallow_quant::{GgmlType, can_dequantize};
use xxhash_rust::xxh3::xxh3_128;

use super::{BadBlock, Constant, EqualExperts};
use crate::{
    compare::{
        CompareError,
        file::{self, WeightFile, dequantize},
    },
    gguf::TensorInfo,
    model::consistency::MAX_EXPERTS,
};

/// What was found in the weights.
#[derive(Default)]
pub(super) struct Weights {
    /// How many were computed.
    pub(super) count: u64,
    pub(super) not_finite: Vec<BadBlock>,
    pub(super) not_read: Vec<(String, GgmlType)>,
    pub(super) constant: Vec<Constant>,
    pub(super) equal_experts: Vec<EqualExperts>,
}

/// What was seen in a chunk.
struct Seen {
    /// The first block with a weight that is not finite.
    bad: Option<u64>,
    /// The value of all weights, where they have one.
    value: Option<f32>,
    /// Names the bytes of an expert's part.
    digest: u128,
}

/// Weights of an expert, or of a tensor that is no stack of them.
struct Chunk<'a> {
    tensor: &'a TensorInfo,
    expert: usize,
    weights: Range<u64>,
}

/// Reads every weight once, all threads a chunk each.
pub(super) fn check(file: &WeightFile) -> Result<Weights, CompareError> {
    let (readable, other): (Vec<&TensorInfo>, Vec<_>) =
        file.gguf.tensors.iter().partition(|t| can_dequantize(t.ty));
    let chunks: Vec<Chunk<'_>> = readable.iter().flat_map(|&t| chunks(t)).collect();
    let seen: Vec<Seen> = chunks
        .par_iter()
        .enumerate()
        .map_init(Default::default, |(bytes, values), (index, chunk)| {
            if let Some(next) = chunks.get(index + 1) {
                file.prefetch(next.tensor, &next.weights);
            }
            file.read(chunk.tensor, &chunk.weights, bytes)?;
            dequantize(chunk.tensor.ty, bytes, values);
            let block_len = chunk.tensor.ty.block_len() as u64;
            let first = values.first().copied();
            Ok(Seen {
                bad: swallow_quant::first_non_finite(values)
                    .map(|at| (chunk.weights.start + at as u64) / block_len),
                value: first.filter(|first| values.iter().all(|value| value == first)),
                digest: match experts(chunk.tensor) {
                    1 => 0,
                    _ => xxh3_128(bytes),
                },
            })
        })
        .collect::<Result<_, CompareError>>()?;

    let mut found = Weights {
        count: readable.iter().map(|tensor| tensor.elements()).sum(),
        not_read: other.iter().map(|t| (t.name.clone(), t.ty)).collect(),
        ..Weights::default()
    };
    // Chunks are in the order of the file, and each has been seen.
    let mut rest = chunks.iter().zip(&seen).peekable();
    for tensor in readable {
        let mut of_experts: Vec<Vec<&Seen>> = vec![Vec::new(); experts(tensor)];
        while let Some((chunk, seen)) = rest.next_if(|(c, _)| std::ptr::eq(c.tensor, tensor)) {
            of_experts[chunk.expert].push(seen);
        }
        found.add(tensor, &of_experts);
    }
    Ok(found)
}

impl Weights {
    fn add(&mut self, tensor: &TensorInfo, experts: &[Vec<&Seen>]) {
        let bad = experts.iter().flatten().find_map(|seen| seen.bad);
        if let Some(block) = bad {
            self.not_finite.push(BadBlock {
                tensor: tensor.name.clone(),
                ty: tensor.ty,
                block,
                total: tensor.elements() / tensor.ty.block_len() as u64,
            });
        }
        // Vectors may well be: norms of ones, biases of zeros.
        if tensor.dims.len() < 2 || tensor.rows() < 2 {
            return;
        }
        let values: Vec<Option<f32>> = experts.iter().map(|seen| value(seen)).collect();
        let constant = |experts, value: f32| Constant {
            tensor: tensor.name.clone(),
            ty: tensor.ty,
            experts,
            // A zero of either sign is one.
            value: value + 0.0,
        };
        let first = values.first().copied().flatten();
        if let Some(all) = first.filter(|_| values.iter().all(|value| *value == first)) {
            self.constant.push(constant(Vec::new(), all));
            return;
        }
        for (expert, value) in values.iter().enumerate() {
            if let Some(value) = value {
                self.constant.push(constant(vec![expert], *value));
            }
        }
        if experts.len() == 1 {
            return;
        }
        let mut same: BTreeMap<Vec<u128>, Vec<usize>> = BTreeMap::new();
        for (expert, seen) in experts.iter().enumerate() {
            if values[expert].is_none() {
                let digests = seen.iter().map(|seen| seen.digest).collect();
                same.entry(digests).or_default().push(expert);
            }
        }
        let mut groups: Vec<Vec<usize>> = same.into_values().filter(|e| e.len() > 1).collect();
        if !groups.is_empty() {
            groups.sort_unstable();
            self.equal_experts.push(EqualExperts {
                tensor: tensor.name.clone(),
                groups,
            });
        }
    }
}

/// The one value of all chunks.
fn value(seen: &[&Seen]) -> Option<f32> {
    let first = seen.first()?.value?;
    let is_same = |seen: &&Seen| seen.value == Some(first);
    seen.iter().all(is_same).then_some(first)
}

/// The chunks of a tensor; none has weights of two experts.
fn chunks(tensor: &TensorInfo) -> impl Iterator<Item = Chunk<'_>> {
    let experts = experts(tensor);
    let of_expert = tensor.elements() / experts as u64;
    (0..experts).flat_map(move |expert| {
        let first = expert as u64 * of_expert;
        file::chunks(of_expert).map(move |weights| Chunk {
            tensor,
            expert,
            weights: first + weights.start..first + weights.end,
        })
    })
}

/// The experts of a stack; 1 for what is none.
pub(super) fn experts(tensor: &TensorInfo) -> usize {
    match tensor.dims[..] {
        [_, _, experts] if (2..=MAX_EXPERTS).contains(&experts) && is_stack(&tensor.name) => {
            experts as usize
        }
        _ => 1,
    }
}

fn is_stack(name: &str) -> bool {
    name.ends_with("_exps.weight")
}
