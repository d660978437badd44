//! Blocks that are 0 where the checkpoint's weights are not: a scale that was lost.

use std::collections::BTreeMap;

use super::{Lost, weights::experts};
use crate::gguf::TensorInfo;

/// The smallest weights that no type may lose. A scale is an f16, so it is at least 2⁻²⁴ or comes out
/// as 0; in the types with the most steps (Q6_K, IQ4_XS) the largest weight of a block is up to 2¹²
/// of them.
const SMALLEST: f32 = 1.0 / (1 << 12) as f32;

/// What was found in blocks of one expert.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Found {
    /// All that were compared.
    compared: u64,
    /// Those that are 0.
    zero: u64,
    /// Those among them where the checkpoint has a weight of [`SMALLEST`] or more.
    lost: Blocks,
    /// Those among them where it has only smaller ones.
    faded: Blocks,
}

/// How many blocks, and the first of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Blocks {
    count: u64,
    first: Option<u64>,
}

impl Blocks {
    fn and(self, other: Self) -> Self {
        let firsts = [self.first, other.first];
        Self {
            count: self.count + other.count,
            first: firsts.into_iter().flatten().min(),
        }
    }
}

impl Found {
    fn and(self, other: Self) -> Self {
        Self {
            compared: self.compared + other.compared,
            zero: self.zero + other.zero,
            lost: self.lost.and(other.lost),
            faded: self.faded.and(other.faded),
        }
    }

    /// The blocks that should not be 0. Small weights may come out as 0 here and there, but where
    /// nothing else is left of an expert it is lost, however small it was.
    fn all_lost(&self) -> Blocks {
        match self.zero == self.compared {
            true => self.lost.and(self.faded),
            false => self.lost,
        }
    }
}

/// Blocks of one expert that were compared in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BlockRun {
    expert: usize,
    found: Found,
}

/// Holds blocks of `info`, of which the first is block `first`, against the weights they stand for.
pub(super) fn block_runs(
    info: &TensorInfo,
    reference: &[f32],
    weights: &[f32],
    first: u64,
) -> Vec<BlockRun> {
    let block_len = info.ty.block_len();
    let blocks_of_expert = blocks_of_expert(info);
    let mut runs: Vec<BlockRun> = Vec::new();
    let blocks = reference.chunks(block_len).zip(weights.chunks(block_len));
    for (block, (reference, weights)) in (first..).zip(blocks) {
        let expert = (block / blocks_of_expert) as usize;
        if runs.last().is_none_or(|run| run.expert != expert) {
            let found = Found::default();
            runs.push(BlockRun { expert, found });
        }
        let Some(BlockRun { found, .. }) = runs.last_mut() else {
            continue;
        };
        found.compared += 1;
        if weights.iter().any(|weight| *weight != 0.0) {
            continue;
        }
        found.zero += 1;
        let this = Blocks {
            count: 1,
            first: Some(block),
        };
        let largest = reference.iter().fold(0.0, |top: f32, w| top.max(w.abs()));
        if largest >= SMALLEST {
            found.lost = found.lost.and(this);
        } else if largest > 0.0 {
            found.faded = found.faded.and(this);
        }
    }
    runs
}

fn blocks_of_expert(info: &TensorInfo) -> u64 {
    let of_expert = info.elements() / experts(info) as u64;
    (of_expert / info.ty.block_len() as u64).max(1)
}

/// What was lost of a tensor so far, by its experts.
#[derive(Clone, Debug, Default)]
pub(super) struct LostBlocks(BTreeMap<usize, Found>);

impl LostBlocks {
    pub(super) fn add(&mut self, runs: Vec<BlockRun>) {
        for BlockRun { expert, found } in runs {
            let sum = self.0.entry(expert).or_default();
            *sum = sum.and(found);
        }
    }

    /// What is to be told of it.
    pub(super) fn of(&self, info: &TensorInfo) -> Option<Lost> {
        let lost = self.0.values().map(Found::all_lost);
        let lost = lost.fold(Blocks::default(), Blocks::and);
        let is_whole = |found: &Found| found.compared == found.all_lost().count;
        let whole = self.0.iter().filter(|(_, found)| is_whole(found));
        Some(Lost {
            first: lost.first?,
            blocks: lost.count,
            compared: self.0.values().map(|found| found.compared).sum(),
            experts: match experts(info) {
                1 => Vec::new(),
                _ => whole.map(|(expert, _)| *expert).collect(),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use swallow_quant::GgmlType::{F32, Q4_0};

    use super::*;

    fn lost(info: &TensorInfo, reference: &[f32], weights: &[f32]) -> Option<Lost> {
        let mut lost = LostBlocks::default();
        lost.add(block_runs(info, reference, weights, 0));
        lost.of(info)
    }

    #[test]
    fn blocks_are_lost_where_the_checkpoints_weights_are_not_small() {
        let name = "blk.0.ffn_up_exps.weight".to_owned();
        let stack = TensorInfo::new(name, vec![32, 2, 3], Q4_0).unwrap();
        let (mut reference, mut weights) = (vec![0.5; 192], vec![0.5; 192]);
        assert_eq!(lost(&stack, &reference, &weights), None);
        // One block of the first expert, and the last expert.
        weights[32..64].fill(0.0);
        weights[128..].fill(-0.0);
        let expected = Lost {
            first: 1,
            blocks: 3,
            compared: 6,
            experts: vec![2],
        };
        assert_eq!(lost(&stack, &reference, &weights), Some(expected));
        // What is 0 in the checkpoint, or nearly beside other blocks, is not lost.
        reference[32..64].fill(SMALLEST / 2.0);
        reference[128..].fill(0.0);
        assert_eq!(lost(&stack, &reference, &weights), None);
        reference[191] = -SMALLEST;
        let found = lost(&stack, &reference, &weights).unwrap();
        assert_eq!((found.first, found.blocks, found.experts), (5, 1, vec![]));

        // Where nothing else is left of an expert it is lost, however small it was.
        reference[128..].fill(SMALLEST / 1e6);
        let found = lost(&stack, &reference, &weights).unwrap();
        assert_eq!((found.first, found.blocks, found.experts), (4, 2, vec![2]));

        let matrix = TensorInfo::new("a".into(), vec![4], F32).unwrap();
        let found = lost(&matrix, &[1.0; 4], &[1.0, 0.0, 0.0, 1.0]).unwrap();
        assert_eq!((found.first, found.blocks, found.compared), (1, 2, 4));
    }
}
