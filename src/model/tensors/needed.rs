//! What a GGUF of an architecture has to have, by the table that checkpoints are read by.

use crate::model::{
    architecture::{Architecture, Dim, Layers, Lengths, Place, Presence},
    families,
};

/// A tensor that llama.cpp loads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Needed {
    pub(crate) name: String,
    /// The row length first.
    pub(crate) dims: Vec<u64>,
    /// Whether it may be left out.
    pub(crate) optional: bool,
}

/// The family whose table a GGUF of `gguf` with or without experts is held against, where there is one.
pub(crate) fn family_of_gguf(gguf: &str, has_experts: bool) -> Option<&'static Architecture> {
    let mut all = families::ALL.iter().copied();
    all.find(|family| family.gguf == gguf && family.experts.is_some() == has_experts)
}

/// The tensors of a model with so many layers, in the order of the table; those whose shape `lengths` do
/// not say are left out. `is_moe` tells which layers have experts.
pub(crate) fn of_family(
    family: &Architecture,
    lengths: &Lengths,
    layers: u32,
    is_moe: impl Fn(u32) -> bool,
) -> Vec<Needed> {
    let mut all = Vec::new();
    let mut push = |prefix: &str, row: &crate::model::architecture::Row| {
        if let Some(shape) = Dim::all(row.shape, lengths) {
            all.push(Needed {
                name: format!("{prefix}{}", row.target),
                dims: shape.into_iter().rev().collect(),
                // The embedding stands in for the output; and llama.cpp runs experts without a gate.
                optional: row.presence != Presence::Needed
                    || row.target.starts_with("ffn_gate_exps"),
            });
        }
    };
    for row in family.rows().filter(|row| row.place != Place::Layer) {
        push("", row);
    }
    for layer in 0..layers {
        let prefix = format!("blk.{layer}.");
        for row in family.rows().filter(|row| row.place == Place::Layer) {
            let is_there = match row.layers {
                Layers::All => true,
                Layers::Dense => !is_moe(layer),
                Layers::Moe => is_moe(layer),
            };
            if is_there {
                push(&prefix, row);
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_shapes_are_the_tables() {
        let mut lengths = Lengths {
            embd: Some(8),
            ff: Some(16),
            heads: Some(6),
            heads_kv: Some(2),
            head_dim: Some(2),
            vocab: Some(300),
            experts: Some(0),
            ..Lengths::default()
        };
        let shape = |lengths: &Lengths, name: &str| {
            let has_experts = lengths.experts != Some(0);
            let family = family_of_gguf("llama", has_experts).unwrap();
            let all = of_family(family, lengths, 2, |_| has_experts);
            let needed = all.into_iter().find(|needed| needed.name == name);
            needed.map(|needed| (needed.dims, needed.optional))
        };
        for (name, expected) in [
            ("token_embd.weight", Some((vec![8, 300], false))),
            ("output.weight", Some((vec![8, 300], true))),
            ("blk.1.attn_q.weight", Some((vec![8, 12], false))),
            ("blk.1.attn_output.weight", Some((vec![12, 8], false))),
            ("blk.0.attn_k.bias", Some((vec![4], true))),
            ("blk.0.ffn_down.weight", Some((vec![16, 8], false))),
            ("blk.0.ffn_down_exps.weight", None),
            ("blk.2.attn_q.weight", None),
        ] {
            assert_eq!(shape(&lengths, name), expected, "{name}");
        }
        lengths.experts = Some(3);
        lengths.expert_ff = Some(16);
        for (name, expected) in [
            ("blk.0.ffn_down.weight", None),
            ("blk.0.ffn_down_exps.weight", Some((vec![16, 8, 3], false))),
            ("blk.0.ffn_gate_exps.weight", Some((vec![8, 16, 3], true))),
            ("blk.1.ffn_gate_inp.weight", Some((vec![8, 3], false))),
        ] {
            assert_eq!(shape(&lengths, name), expected, "{name}");
        }
    }
}
