//! A sample of a checkpoint's weights, where all of them would take a long way.
//!
//! Of each kind of tensor (those of all layers are one) two stand for all, and of each of these up
//! to four chunks. Which ones depends on the plan alone, so a second look sees the same.

use std::collections::BTreeMap;

use crate::{
    convert::chunks::{Chunk, chunks},
    mix::layer_of,
    plan::ConversionPlan,
};

const TENSORS_OF_A_KIND: usize = 2;

const CHUNKS_OF_A_TENSOR: usize = 4;

/// The chunks of the sample, in the order of the file.
pub(super) fn sample(plan: &ConversionPlan) -> Vec<Chunk> {
    let mut kinds: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (i, tensor) in plan.tensors.iter().enumerate() {
        kinds.entry(kind(&tensor.info.name)).or_default().push(i);
    }
    let chosen: Vec<usize> = kinds
        .values()
        .flat_map(|tensors| spread(tensors, TENSORS_OF_A_KIND))
        .copied()
        .collect();
    let mut by_tensor: BTreeMap<usize, Vec<Chunk>> = BTreeMap::new();
    for chunk in chunks(plan).filter(|chunk| chosen.contains(&chunk.tensor)) {
        by_tensor.entry(chunk.tensor).or_default().push(chunk);
    }
    by_tensor
        .values()
        .flat_map(|chunks| spread(chunks, CHUNKS_OF_A_TENSOR))
        .cloned()
        .collect()
}

/// The name without its layer: `attn_q.weight` for `blk.7.attn_q.weight`.
fn kind(name: &str) -> &str {
    match layer_of(name) {
        Some(_) => name.splitn(3, '.').nth(2).unwrap_or(name),
        None => name,
    }
}

/// Up to `n` of a list, from all over it, the first and the last among them where `n` allows.
fn spread<T>(all: &[T], n: usize) -> impl Iterator<Item = &T> {
    let n = n.min(all.len());
    (0..n).map(move |i| {
        &all[if n > 1 {
            i * (all.len() - 1) / (n - 1)
        } else {
            0
        }]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_covered_from_end_to_end() {
        let spread = |n, of: usize| {
            let all: Vec<usize> = (0..of).collect();
            spread(&all, n).copied().collect::<Vec<_>>()
        };
        assert_eq!(spread(2, 40), [0, 39]);
        assert_eq!(spread(4, 13), [0, 4, 8, 12]);
        assert_eq!(spread(4, 3), [0, 1, 2]);
        assert_eq!(spread(4, 1), [0]);
        assert_eq!(spread(4, 0), [0; 0]);
    }

    #[test]
    fn layers_are_of_one_kind() {
        assert_eq!(kind("blk.17.attn_q.weight"), "attn_q.weight");
        assert_eq!(kind("output.weight"), "output.weight");
    }
}
