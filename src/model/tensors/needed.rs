//! What a GGUF of a Llama has to have, by the table that checkpoints are read by.

use super::table::{
    ATTENTION, DENSE_FFN,
    Dim::{self, Embd, Expert, Ff, Kv, Q, Vocab},
    EXPERTS, GLOBAL, OUTPUT, ROUTER, Rule,
};

/// The lengths that shapes are made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lengths {
    pub(crate) embd: u64,
    pub(crate) ff: u64,
    /// Rows of all queries, and of all keys.
    pub(crate) q: u64,
    pub(crate) kv: u64,
    pub(crate) vocab: u64,
    /// 0 for a dense model.
    pub(crate) experts: u64,
}

impl Lengths {
    fn of(&self, dim: Dim) -> u64 {
        match dim {
            Embd => self.embd,
            Ff => self.ff,
            Q => self.q,
            Kv => self.kv,
            Vocab => self.vocab,
            Expert => self.experts,
        }
    }
}

/// A tensor that llama.cpp loads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Needed {
    pub(crate) name: String,
    /// The row length first.
    pub(crate) dims: Vec<u64>,
    /// Whether it may be left out.
    pub(crate) optional: bool,
}

/// The tensors of a model of so many layers, in the order of the table.
pub(crate) fn of_llama(lengths: &Lengths, layers: u32) -> Vec<Needed> {
    let needed = |rule: &Rule, prefix: &str| Needed {
        name: format!("{prefix}{}", rule.target),
        dims: rule.shape.iter().rev().map(|&d| lengths.of(d)).collect(),
        optional: rule.optional,
    };
    let mut all: Vec<Needed> = GLOBAL.iter().map(|rule| needed(rule, "")).collect();
    // The embedding stands in for it.
    all.push(Needed {
        optional: true,
        ..needed(&OUTPUT, "")
    });
    for layer in 0..layers {
        let prefix = format!("blk.{layer}.");
        all.extend(ATTENTION.iter().map(|rule| needed(rule, &prefix)));
        if lengths.experts == 0 {
            all.extend(DENSE_FFN.iter().map(|rule| needed(rule, &prefix)));
            continue;
        }
        all.push(needed(&ROUTER, &prefix));
        all.extend(EXPERTS.iter().map(|rule| {
            let mut stack = needed(rule, &prefix);
            stack.dims.push(lengths.experts);
            // llama.cpp runs experts without a gate.
            stack.optional = rule.target.starts_with("ffn_gate_exps");
            stack
        }));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_shapes_are_the_tables() {
        let mut lengths = Lengths {
            embd: 8,
            ff: 16,
            q: 12,
            kv: 4,
            vocab: 300,
            experts: 0,
        };
        let shape = |lengths: &Lengths, name: &str| {
            let all = of_llama(lengths, 2);
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
        lengths.experts = 3;
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
