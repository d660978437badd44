//! Blocks that are 0 where the checkpoint's weights are not: a scale that was lost.

use std::collections::BTreeMap;

use super::{Lost, weights::experts};
use crate::gguf::TensorInfo;

/// The smallest weights that no type may lose. A scale is an f16, so it is at least 2⁻²⁴ or comes out
/// as 0; in the types with the most steps (Q6_K, IQ4_XS) the largest weight of a block is up to 2¹²
/// of them.
const SMALLEST: f32 = 1.0 / (1 << 12) as f32;

/// Blocks of one expert that were compared in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BlockRun {
    expert: usize,
    compared: u64,
    lost: u64,
    first_lost: Option<u64>,
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
            runs.push(BlockRun {
                expert,
                compared: 0,
                lost: 0,
                first_lost: None,
            });
        }
        let Some(run) = runs.last_mut() else { continue };
        run.compared += 1;
        let is_lost = weights.iter().all(|weight| *weight == 0.0)
            && reference.iter().any(|weight| weight.abs() >= SMALLEST);
        if is_lost {
            run.lost += 1;
            run.first_lost.get_or_insert(block);
        }
    }
    runs
}

fn blocks_of_expert(info: &TensorInfo) -> u64 {
    let of_expert = info.elements() / experts(info) as u64;
    (of_expert / info.ty.block_len() as u64).max(1)
}

/// What was lost of a tensor so far.
#[derive(Clone, Debug, Default)]
pub(super) struct LostBlocks {
    first: Option<u64>,
    /// Blocks of each expert: compared, and lost.
    by_expert: BTreeMap<usize, (u64, u64)>,
}

impl LostBlocks {
    pub(super) fn add(&mut self, runs: Vec<BlockRun>) {
        for run in runs {
            let (compared, lost) = self.by_expert.entry(run.expert).or_default();
            *compared += run.compared;
            *lost += run.lost;
            self.first = self.first.or(run.first_lost);
        }
    }

    /// What is to be told of it.
    pub(super) fn of(&self, info: &TensorInfo) -> Option<Lost> {
        let is_whole = |(_, (compared, lost)): &(&usize, &(u64, u64))| compared == lost;
        let whole = self.by_expert.iter().filter(is_whole);
        Some(Lost {
            first: self.first?,
            blocks: self.by_expert.values().map(|(_, lost)| lost).sum(),
            compared: self.by_expert.values().map(|(compared, _)| compared).sum(),
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
        // What is 0 in the checkpoint, or nearly, is not lost.
        reference[32..64].fill(SMALLEST / 2.0);
        reference[128..].fill(0.0);
        assert_eq!(lost(&stack, &reference, &weights), None);
        reference[191] = -SMALLEST;
        let found = lost(&stack, &reference, &weights).unwrap();
        assert_eq!((found.first, found.blocks, found.experts), (5, 1, vec![]));

        let matrix = TensorInfo::new("a".into(), vec![4], F32).unwrap();
        let found = lost(&matrix, &[1.0; 4], &[1.0, 0.0, 0.0, 1.0]).unwrap();
        assert_eq!((found.first, found.blocks, found.compared), (1, 2, 4));
    }
}
