//! Which mixture is made of a recipe and its parents, and what a user should know of it.

use super::{
    MergeError,
    output::{Asked, Output},
    parents::Parents,
    recipe::Recipe,
};

/// Families of dense models whose networks fit into each other's layers.
const KINDS: [&[&str]; 3] = [&["Llama", "Mistral"], &["Qwen2"], &["Qwen3"]];

impl Output {
    /// What a user should know of what llama.cpp makes of it.
    pub(super) fn note(self, recipe: &Recipe) -> Option<String> {
        let (used, all) = (recipe.experts_per_token, recipe.experts.len());
        let is_cut = self == Self::Qwen2Moe && (used as usize) < all;
        is_cut.then(|| {
            format!(
                "{used} of {all} experts are used for each token: llama.cpp does not scale their weights in a Qwen2MoE to a sum of 1, as transformers does, so that their share of the answer is smaller; with `experts_per_token: {all}` both are the same"
            )
        })
    }

    /// What is made of `parents` by `recipe`: what is asked for, else what mergekit-moe makes of them.
    pub(super) fn choose(
        asked: Option<Asked>,
        recipe: &Recipe,
        parents: &Parents,
    ) -> Result<Self, MergeError> {
        let kind = one_kind(parents)?;
        let base = parents.base();
        let shared = &recipe.shared_experts[..];
        let output = match asked {
            Some(Asked(asked)) => {
                let taken = asked.iter().find(|output| output.takes(kind));
                *taken.ok_or_else(|| MergeError::OtherOutput {
                    parent: base.reference.clone(),
                    family: base.config.architecture.name,
                    output: asked[0].name(),
                    parents: asked[0].parents(),
                })?
            }
            None => {
                let is_gated = shared.iter().any(|e| !e.prompts.positive.is_empty());
                match kind[0] {
                    "Llama" if is_gated => Self::Qwen2Moe,
                    "Qwen2" => Self::Qwen2Moe,
                    "Qwen3" => Self::Qwen3Moe,
                    _ => Self::Mixtral,
                }
            }
        };
        match (output.has_shared_expert(), shared.len()) {
            (true, 1) | (false, 0) => Ok(output),
            (true, n) => Err(MergeError::SharedExperts {
                output: output.name(),
                found: match n {
                    0 => "none".to_owned(),
                    n => n.to_string(),
                },
            }),
            (false, _) => Err(MergeError::NoSharedExpert {
                output: output.name(),
                instead: match Self::Qwen2Moe.takes(kind) {
                    true => ", or write `architecture: qwen2` for a Qwen2MoE, which has one",
                    false => "",
                },
            }),
        }
    }
}

/// The kind of all parents.
fn one_kind(parents: &Parents) -> Result<&'static [&'static str], MergeError> {
    let mut kind = None;
    for parent in &parents.all {
        let family = parent.config.architecture.name;
        let Some(own) = KINDS.into_iter().find(|kind| kind.contains(&family)) else {
            return Err(MergeError::Family {
                parent: parent.reference.clone(),
                family,
            });
        };
        if *kind.get_or_insert(own) != own {
            return Err(MergeError::Families {
                base: parents.base().reference.clone(),
                base_family: parents.base().config.architecture.name,
                other: parent.reference.clone(),
                other_family: family,
            });
        }
    }
    Ok(kind.unwrap_or(KINDS[0]))
}
