//! How a checkpoint's names begin: `model.` as a rule, and what stands in its place where it was saved
//! without its output matrix, or by a program that wraps models.

use std::collections::BTreeMap;

use crate::model::architecture::NameRules;

/// What may stand around a family's own beginning, the usual first.
const AROUND: [(&str, &str); 7] = [
    ("", ""),
    ("model.", ""),
    ("module.", ""),
    ("_orig_mod.", ""),
    ("base_model.model.", ""),
    ("language_model.", ""),
    ("", "language_model."),
];

/// The beginnings of a checkpoint's names.
pub(super) struct Names {
    /// Before `embed_tokens`, `layers` and `norm`.
    pub(super) model: String,
    /// Before `lm_head`.
    pub(super) output: String,
}

impl Names {
    /// Those of a checkpoint with these tensors.
    pub(super) fn of<T>(rules: &NameRules, tensors: &BTreeMap<String, T>) -> Self {
        let has = |prefix: &str, name: &str| tensors.contains_key(&format!("{prefix}{name}"));
        let prefixes = beginnings(rules);
        let prefix = prefixes.iter().find(|prefix| has(prefix, rules.embedding));
        let usual = rules.roots.first().copied().unwrap_or_default();
        let model = prefix.map_or(usual, String::as_str);
        let outer = rules.roots.iter().find_map(|root| model.strip_suffix(root));
        let outer = outer.unwrap_or(model);
        let mut output = [outer, model, ""].into_iter();
        let output = output.find(|prefix| has(prefix, rules.output));
        Self {
            output: output.unwrap_or(outer).to_owned(),
            model: model.to_owned(),
        }
    }
}

/// What may stand before `embed_tokens`, `layers` and `norm`, the usual first.
fn beginnings(rules: &NameRules) -> Vec<String> {
    let mut all: Vec<String> = rules.roots.iter().map(|root| (*root).to_owned()).collect();
    // Saved as the base class, `LlamaModel`.
    all.push(String::new());
    for (before, behind) in &AROUND[1..] {
        all.extend(
            rules
                .roots
                .iter()
                .map(|root| format!("{before}{root}{behind}")),
        );
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedding_tells_the_prefix() {
        for (names, model, output) in [
            (
                &["model.embed_tokens.weight", "lm_head.weight"][..],
                "model.",
                "",
            ),
            (&["model.embed_tokens.weight"], "model.", ""),
            (&["embed_tokens.weight"], "", ""),
            (&["embed_tokens.weight", "lm_head.weight"], "", ""),
            (
                &[
                    "language_model.model.embed_tokens.weight",
                    "language_model.lm_head.weight",
                ],
                "language_model.model.",
                "language_model.",
            ),
            (
                &["model.model.embed_tokens.weight", "lm_head.weight"],
                "model.model.",
                "",
            ),
            (&["tok_embeddings.weight"], "model.", ""),
        ] {
            let tensors = names.iter().map(|n| ((*n).to_owned(), ())).collect();
            let found = Names::of(&NameRules::COMMON, &tensors);
            assert_eq!(
                (found.model.as_str(), found.output.as_str()),
                (model, output),
                "{names:?}"
            );
        }
    }

    #[test]
    fn a_family_has_beginnings_of_its_own() {
        let rules = NameRules {
            roots: &["transformer.", "model."],
            embedding: "word_embeddings.weight",
            layers: "h.",
            output: "lm_head.weight",
        };
        let names = ["transformer.word_embeddings.weight", "lm_head.weight"];
        let tensors = names.iter().map(|n| ((*n).to_owned(), ())).collect();
        let found = Names::of(&rules, &tensors);
        assert_eq!(
            (found.model.as_str(), found.output.as_str()),
            ("transformer.", "")
        );
    }
}
