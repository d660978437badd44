//! How a checkpoint's names begin: `model.` as a rule, and what stands in its place where it was saved
//! without its output matrix, or by a program that wraps models.

use std::collections::BTreeMap;

/// The tensor by which a prefix is recognized.
pub(super) const EMBEDDING: &str = "embed_tokens.weight";

/// What stands before `embed_tokens`, `layers` and `norm`, the usual first.
const PREFIXES: [&str; 8] = [
    "model.",
    // Saved as the base class, `LlamaModel`.
    "",
    "model.model.",
    "module.model.",
    "_orig_mod.model.",
    "base_model.model.model.",
    "language_model.model.",
    "model.language_model.",
];

/// The beginnings of a checkpoint's names.
pub(super) struct Names {
    /// Before `embed_tokens`, `layers` and `norm`.
    pub(super) model: &'static str,
    /// Before `lm_head`.
    pub(super) output: &'static str,
}

impl Names {
    /// Those of a checkpoint with these tensors.
    pub(super) fn of<T>(tensors: &BTreeMap<String, T>) -> Self {
        let has = |prefix: &str, name: &str| tensors.contains_key(&format!("{prefix}{name}"));
        let prefix = PREFIXES.into_iter().find(|prefix| has(prefix, EMBEDDING));
        let model = prefix.unwrap_or(PREFIXES[0]);
        let outer = model.strip_suffix("model.").unwrap_or(model);
        let output = [outer, model, ""].into_iter();
        let output = output.into_iter().find(|p| has(p, "lm_head.weight"));
        Self {
            model,
            output: output.unwrap_or(outer),
        }
    }
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
            let found = Names::of(&tensors);
            assert_eq!((found.model, found.output), (model, output), "{names:?}");
        }
    }
}
