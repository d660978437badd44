//! Remarks in words.

use std::collections::BTreeMap;

use super::{Constant, Lost, Soundness};
use crate::{gguf::escape, mix::layer_of, table::grouped};

/// A line for each kind of thing that is remarkable.
pub(super) fn lines(soundness: &Soundness) -> Vec<String> {
    let mut lines: Vec<String> = constant(&soundness.constant);
    // Experts that are the same are so in many tensors.
    let mut equal: BTreeMap<&[Vec<usize>], Vec<&str>> = BTreeMap::new();
    for stack in &soundness.equal_experts {
        let tensors = equal.entry(&stack.groups).or_default();
        tensors.push(stack.tensor.as_str());
    }
    for (groups, tensors) in equal {
        let groups: Vec<String> = groups.iter().map(|group| and(group)).collect();
        lines.push(format!(
            "experts {} are equal in {}",
            groups.join(", and "),
            by_layers(&tensors)
        ));
    }
    if let Some(id) = soundness.unknown_file_type {
        lines.push(format!("`general.file_type` is {id}, which has no name"));
    }
    lines
}

/// Those of one value and the same experts are told together.
fn constant(constant: &[Constant]) -> Vec<String> {
    let bits = |found: &Constant| found.value.to_bits();
    let mut stacks: BTreeMap<(&str, u32), Vec<usize>> = BTreeMap::new();
    for found in constant {
        let key = (found.tensor.as_str(), bits(found));
        stacks.entry(key).or_default().extend(&found.experts);
    }
    let mut tensors: BTreeMap<(Vec<usize>, u32), Vec<&str>> = BTreeMap::new();
    for found in constant {
        // In the order of the file; the first of a stack stands for all of its value.
        let bits = bits(found);
        if let Some(experts) = stacks.remove(&(found.tensor.as_str(), bits)) {
            let alike = tensors.entry((experts, bits)).or_default();
            alike.push(found.tensor.as_str());
        }
    }
    let told = tensors.into_iter().map(|((experts, bits), tensors)| {
        let value = match f32::from_bits(bits) {
            0.0 => "0".to_owned(),
            value => format!("{value:?}"),
        };
        let names = by_layers(&tensors);
        match &experts[..] {
            [] => format!("all weights are {value} in {names}"),
            [one] => format!("all weights of expert {one} are {value} in {names}"),
            several => format!(
                "all weights of experts {} are {value} in {names}",
                and(several)
            ),
        }
    });
    told.collect()
}

/// What is told of blocks that were lost.
pub(super) fn lost(lost: &Lost) -> String {
    let blocks = grouped(lost.blocks);
    let whole = match &lost.experts[..] {
        _ if lost.blocks == lost.compared => Some("the whole tensor is".to_owned()),
        [] => None,
        [one] => Some(format!("expert {one} is")),
        several => Some(format!("experts {} are", and(several))),
    };
    let compared = grouped(lost.compared);
    match whole {
        Some(whole) => {
            format!("{whole} 0, the checkpoint's weights are not ({blocks} blocks of {compared})")
        }
        None => format!(
            "{blocks} blocks of {compared} are 0 where the checkpoint's weights are not, block {} is the first",
            grouped(lost.first)
        ),
    }
}

/// Tensors in backquotes, those of the layers together: `blk.{0-3,7}.ffn_up.weight`.
fn by_layers(tensors: &[&str]) -> String {
    let mut kinds: Vec<(&str, Vec<u32>)> = Vec::new();
    for &tensor in tensors {
        let (kind, layer) = match layer_of(tensor) {
            None => (tensor, None),
            layer => (tensor.splitn(3, '.').nth(2).unwrap_or_default(), layer),
        };
        // A name outside the layers is one of a kind.
        match kinds
            .iter_mut()
            .find(|(k, layers)| *k == kind && !layers.is_empty())
        {
            Some((_, layers)) => layers.extend(layer),
            None => kinds.push((kind, layer.into_iter().collect())),
        }
    }
    let names = kinds.iter().map(|(kind, layers)| {
        let kind = escape(kind.as_bytes());
        match &layers[..] {
            [] => format!("`{kind}`"),
            [one] => format!("`blk.{one}.{kind}`"),
            several => format!("`blk.{{{}}}.{kind}`", runs(several)),
        }
    });
    names.collect::<Vec<String>>().join(", ")
}

/// `0-3,7`.
fn runs(numbers: &[u32]) -> String {
    let mut numbers = numbers.to_vec();
    numbers.sort_unstable();
    let runs = numbers.chunk_by(|a, b| a + 1 == *b).map(|run| match run {
        [first, .., last] => format!("{first}-{last}"),
        run => run.iter().map(u32::to_string).collect(),
    });
    runs.collect::<Vec<String>>().join(",")
}

/// `0, 1 and 2`.
fn and(numbers: &[usize]) -> String {
    let numbers: Vec<String> = numbers.iter().map(usize::to_string).collect();
    match numbers.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => numbers.join(""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_of_layers_are_named_together() {
        for (tensors, expected) in [
            (&["a.weight"][..], "`a.weight`"),
            (&["blk.3.a.weight"], "`blk.3.a.weight`"),
            (
                &["x", "blk.10.a", "blk.2.a", "blk.2.b", "blk.3.a", "x"],
                "`x`, `blk.{2-3,10}.a`, `blk.2.b`, `x`",
            ),
        ] {
            assert_eq!(by_layers(tensors), expected);
        }
        assert_eq!(and(&[4, 5, 9]), "4, 5 and 9");
        assert_eq!(and(&[4]), "4");
    }

    #[test]
    fn what_is_of_one_kind_is_told_once() {
        let constant = |tensor: &str, experts: &[usize], value| Constant {
            tensor: tensor.to_owned(),
            ty: swallow_quant::GgmlType::F32,
            experts: experts.to_vec(),
            value,
        };
        let soundness = Soundness {
            constant: vec![
                constant("blk.0.a_exps.weight", &[1], 0.0),
                constant("blk.0.a_exps.weight", &[3], 0.0),
                constant("blk.1.a_exps.weight", &[1], 0.0),
                constant("blk.1.a_exps.weight", &[3], 0.0),
                constant("output.weight", &[], 0.5),
            ],
            equal_experts: vec![super::super::EqualExperts {
                tensor: "blk.0.b_exps.weight".to_owned(),
                groups: vec![vec![0, 1], vec![2, 3, 4]],
            }],
            unknown_file_type: Some(99),
            ..Soundness::default()
        };
        assert_eq!(
            lines(&soundness),
            [
                "all weights are 0.5 in `output.weight`",
                "all weights of experts 1 and 3 are 0 in `blk.{0-1}.a_exps.weight`",
                "experts 0 and 1, and 2, 3 and 4 are equal in `blk.0.b_exps.weight`",
                "`general.file_type` is 99, which has no name",
            ]
        );
    }
}
