//! Tensors, held against the numbers of the model.

use std::collections::{BTreeMap, BTreeSet};

use super::{Findings, Header, numbers::Numbers};
use crate::{
    mix::layer_of,
    model::{
        architecture::Lengths,
        tensors::{family_of_gguf, of_family},
    },
};

pub(super) fn check(header: &Header<'_>, numbers: &Numbers<'_>, found: &mut Findings) {
    check_count(header, numbers, found);
    check_predictions(header, numbers, found);
    let experts_fit = check_experts(header, numbers, found);
    if !check_table(header, numbers, experts_fit, found) {
        check_outer(header, numbers, found);
    }
}

/// Whether the layers are those that are counted. llama.cpp takes no tensor that it does not know
/// what to do with.
fn check_count(header: &Header<'_>, numbers: &Numbers<'_>, found: &mut Findings) {
    let Some(count) = numbers.layers else { return };
    // One of each layer stands for all; the first by name, whatever the order of the file.
    let mut there: BTreeMap<u64, &str> = BTreeMap::new();
    for name in header
        .tensors
        .keys()
        .filter(|name| name.starts_with("blk."))
    {
        if let Some(layer) = layer_of(name) {
            let first = there.entry(u64::from(layer)).or_insert(name);
            *first = name.min(first);
        }
    }
    let key = format!("{}.block_count", numbers.architecture);
    if let Some((last, name)) = there.last_key_value().filter(|(last, _)| **last >= count) {
        let expected = format!("at least {}: there is `{}`", last + 1, escaped(name));
        found.add(&key, count, expected);
    }
    // A layer that neither attends nor feeds forward has no tensors.
    let is_empty = |layer: u64| {
        let none = |of_layers: &[u64]| of_layers.get(layer as usize) == Some(&0);
        none(&numbers.heads) && none(&numbers.ff)
    };
    let needed = 0..count - numbers.predicting;
    let absent: Vec<u64> = needed
        .filter(|layer| !there.contains_key(layer) && !is_empty(*layer))
        .collect();
    if let (true, Some(first), Some(last)) = (header.is_whole(), absent.first(), absent.last()) {
        let expected = match there.len() as u64 {
            // The last ones are missing: the number is wrong, or the file is cut.
            there if *first == there && last + 1 == count => there.to_string(),
            _ => format!("tensors for as many layers: `blk.{first}` has none"),
        };
        let expected = match there.is_empty() {
            true => "tensors for them: there is no `blk.0`".to_owned(),
            false => expected,
        };
        found.add(&key, count, expected);
    }
}

/// Layers that predict tokens further on begin with what joins an embedding to the last layer's output;
/// without it llama.cpp takes them for left out, and does not know what is there.
fn check_predictions(header: &Header<'_>, numbers: &Numbers<'_>, found: &mut Findings) {
    let (Some(layers), Some(embd)) = (numbers.layers, numbers.embd) else {
        return;
    };
    for layer in layers - numbers.predicting..layers {
        let prefix = format!("blk.{layer}.");
        let join = format!("{prefix}nextn.eh_proj.weight");
        let shape = [embd.saturating_mul(2), embd];
        match header.tensors.get(join.as_str()) {
            Some(dims) => check_shape(&join, dims, &shape, found),
            None if !header.is_whole() => {}
            None => {
                if header.tensors.keys().any(|name| name.starts_with(&prefix)) {
                    found.missing(&join, format_args!("it of shape {shape:?}"));
                }
            }
        }
    }
}

/// Whether stacks and routers are of as many experts as are counted.
fn check_experts(header: &Header<'_>, numbers: &Numbers<'_>, found: &mut Findings) -> bool {
    let Some(experts) = numbers.experts else {
        return true;
    };
    let mut stacks: Vec<(&str, u64)> = header
        .tensors
        .iter()
        .filter_map(|(name, dims)| {
            let kind = name.strip_prefix("blk.")?.split_once('.')?.1;
            let dim = match kind {
                "ffn_gate_inp.bias" | "exp_probs_b.bias" => 0,
                "ffn_gate_inp.weight"
                | "ffn_gate_exps.bias"
                | "ffn_up_exps.bias"
                | "ffn_down_exps.bias" => 1,
                "ffn_gate_exps.weight"
                | "ffn_up_exps.weight"
                | "ffn_down_exps.weight"
                | "ffn_gate_up_exps.weight" => 2,
                _ => return None,
            };
            Some((*name, dims.get(dim).copied().unwrap_or(1)))
        })
        .filter(|(_, of_tensor)| *of_tensor != experts)
        .collect();
    stacks.sort_unstable();
    // One is enough: where the number is wrong all are.
    if let Some((name, of_tensor)) = stacks.first() {
        let key = format!("{}.expert_count", numbers.architecture);
        let expected = format!("{of_tensor}, the experts of `{}`", escaped(name));
        match header.get(&key) {
            Some(_) => found.add(&key, experts, expected),
            None => found.missing(&key, expected),
        }
    }
    stacks.is_empty()
}

/// Embedding, output and last norm, which are alike in nearly all architectures.
fn check_outer(header: &Header<'_>, numbers: &Numbers<'_>, found: &mut Findings) {
    let Some(embd) = numbers.embd else { return };
    for name in ["token_embd.weight", "output.weight"] {
        let Some(dims) = header.tensors.get(name) else {
            continue;
        };
        let rows = header.tokens().map(|tokens| tokens as u64);
        let expected = [embd, rows.or(dims.get(1).copied()).unwrap_or(1)];
        check_shape(name, dims, &expected, found);
    }
    if let Some(dims) = header.tensors.get("output_norm.weight") {
        check_shape("output_norm.weight", dims, &[embd], found);
    }
}

/// Holds the tensors of a family of ours against the table that checkpoints are read by, but for experts where
/// their number is wrong. Says whether it could.
fn check_table(
    header: &Header<'_>,
    numbers: &Numbers<'_>,
    experts_fit: bool,
    found: &mut Findings,
) -> bool {
    let tokens = header.tokens().map(|tokens| tokens as u64);
    let vocab = tokens.or_else(|| header.integer(&format!("{}.vocab_size", numbers.architecture)));
    let (Some(layers), Some(embd), Some(head_dim), Some(experts), Some(vocab)) = (
        numbers.layers,
        numbers.embd,
        numbers.head_dim,
        numbers.experts,
        vocab,
    ) else {
        return false;
    };
    let of_first = |numbers: &[u64]| numbers.first().copied();
    let (Some(ff), Some(heads), Some(heads_kv)) = (
        of_first(&numbers.ff),
        of_first(&numbers.heads),
        of_first(&numbers.heads_kv),
    ) else {
        return false;
    };
    let has_experts = experts > 0;
    let width = |key: &str| header.integer(&format!("{}.{key}", numbers.architecture));
    let Some(family) = family_of_gguf(numbers.architecture, has_experts) else {
        return false;
    };
    let lengths = Lengths {
        embd: Some(embd),
        ff: Some(ff),
        heads: Some(heads),
        heads_kv: Some(heads_kv),
        head_dim: Some(head_dim),
        vocab: Some(vocab),
        experts: Some(experts),
        expert_ff: width("expert_feed_forward_length").or(Some(ff)),
        shared_ff: width("expert_shared_feed_forward_length"),
    };
    // A layer with a network of its own has no experts.
    let is_dense = |layer: u32| {
        let name = format!("blk.{layer}.ffn_up.weight");
        header.tensors.contains_key(name.as_str())
    };
    let is_moe = |layer: u32| has_experts && !is_dense(layer);
    let there: BTreeSet<u32> = header.tensors.keys().filter_map(|n| layer_of(n)).collect();
    let is_told = |name: &str| {
        // A layer that is missing whole is told once.
        let is_gone = layer_of(name).is_some_and(|layer| !there.contains(&layer));
        is_gone || !experts_fit && name.contains(".ffn_") && !name.contains("_norm.")
    };
    for needed in of_family(family, &lengths, layers as u32, is_moe) {
        let name = needed.name.as_str();
        let fused = ["attn_q.", "attn_k.", "attn_v."]
            .iter()
            .find(|part| name.contains(**part))
            .map(|part| name.replace(part, "attn_qkv."));
        let is_fused = fused.is_some_and(|fused| header.tensors.contains_key(fused.as_str()));
        match header.tensors.get(name) {
            _ if is_told(name) => {}
            Some(dims) => check_shape(name, dims, &needed.dims, found),
            None if needed.optional || is_fused || !header.is_whole() => {}
            None => found.missing(name, format_args!("it of shape {:?}", needed.dims)),
        }
    }
    true
}

/// Dimensions of 1 at the end make no difference.
fn check_shape(name: &str, dims: &[u64], expected: &[u64], found: &mut Findings) {
    let of = |dims: &[u64], i: usize| dims.get(i).copied().unwrap_or(1);
    if (0..dims.len().max(expected.len())).any(|i| of(dims, i) != of(expected, i)) {
        found.add(
            name,
            format_args!("of shape {dims:?}"),
            format_args!("{expected:?}"),
        );
    }
}

fn escaped(name: &str) -> String {
    crate::gguf::escape(name.as_bytes())
}
