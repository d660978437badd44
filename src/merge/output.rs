//! What a merge makes: the mixtures that mergekit-moe makes of the same parents.
//!
//! | output | of | shared expert |
//! | --- | --- | --- |
//! | Mixtral | Llama and Mistral | none |
//! | Qwen2MoE | Qwen2; Llama and Mistral with a shared expert that has prompts | one |
//! | Qwen3MoE | Qwen3 | none |
//!
//! Of what else is to be known of the three, names and shapes of tensors above all, the registry of
//! families has it.

use std::{fmt, str::FromStr};

use crate::model::{
    architecture::Architecture,
    families::{MIXTRAL, QWEN2_MOE, QWEN3_MOE},
};

/// A family of mixtures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// `MixtralForCausalLM`.
    Mixtral,
    /// `Qwen2MoeForCausalLM`.
    Qwen2Moe,
    /// `Qwen3MoeForCausalLM`.
    Qwen3Moe,
}

/// What a recipe or a user asks for by name: one family, or with mergekit's `qwen` that of the two
/// which is made of such parents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked(pub(super) &'static [Output]);

impl Output {
    /// What messages call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mixtral => "Mixtral",
            Self::Qwen2Moe => "Qwen2MoE",
            Self::Qwen3Moe => "Qwen3MoE",
        }
    }

    /// What the registry knows of it.
    pub(super) fn architecture(self) -> &'static Architecture {
        match self {
            Self::Mixtral => &MIXTRAL,
            Self::Qwen2Moe => &QWEN2_MOE,
            Self::Qwen3Moe => &QWEN3_MOE,
        }
    }

    /// Whether one expert sees every token.
    pub(super) fn has_shared_expert(self) -> bool {
        self == Self::Qwen2Moe
    }

    /// The biases that it always has: zeros where the parents have none. It has no others.
    pub(super) fn biases(self) -> &'static [&'static str] {
        match self {
            Self::Qwen2Moe => &["attn_q.bias", "attn_k.bias", "attn_v.bias"],
            Self::Mixtral | Self::Qwen3Moe => &[],
        }
    }

    /// The families that it can be made of, for messages.
    pub(super) fn parents(self) -> &'static str {
        match self {
            Self::Mixtral => "Llama and Mistral models",
            Self::Qwen2Moe => "Qwen2, Llama and Mistral models",
            Self::Qwen3Moe => "Qwen3 models",
        }
    }

    /// Whether it can be made of models of this kind.
    pub(super) fn takes(self, kind: &[&str]) -> bool {
        match self {
            Self::Mixtral => kind.contains(&"Llama"),
            Self::Qwen2Moe => kind.contains(&"Llama") || kind.contains(&"Qwen2"),
            Self::Qwen3Moe => kind.contains(&"Qwen3"),
        }
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Asked {
    type Err = String;

    /// By mergekit's names, of which a beginning is enough, and by ours; else what was expected.
    fn from_str(text: &str) -> Result<Self, String> {
        const NAMES: [(&str, &[Output]); 5] = [
            ("mixtral", &[Output::Mixtral]),
            // Before the others, whose names begin as this one.
            ("qwen", &[Output::Qwen2Moe, Output::Qwen3Moe]),
            ("qwenmoe", &[Output::Qwen2Moe]),
            ("qwen2moe", &[Output::Qwen2Moe]),
            ("qwen3moe", &[Output::Qwen3Moe]),
        ];
        let plain: String = text
            .chars()
            .filter(|c| !matches!(c, ' ' | '_' | '-'))
            .flat_map(char::to_lowercase)
            .collect();
        let begins = |name: &str| !plain.is_empty() && name.starts_with(&plain);
        match NAMES.into_iter().find(|(name, _)| begins(name)) {
            Some((_, outputs)) => Ok(Self(outputs)),
            None => Err("`mixtral`, `qwen2` or `qwen3`".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_mergekits_and_ours() {
        for (text, expected) in [
            ("mixtral", &[Output::Mixtral][..]),
            ("Mix", &[Output::Mixtral]),
            ("qwen", &[Output::Qwen2Moe, Output::Qwen3Moe]),
            ("Qwen MoE", &[Output::Qwen2Moe]),
            ("qwen2", &[Output::Qwen2Moe]),
            ("qwen2_moe", &[Output::Qwen2Moe]),
            ("qwen3", &[Output::Qwen3Moe]),
            ("Qwen3 MoE", &[Output::Qwen3Moe]),
        ] {
            assert_eq!(text.parse(), Ok(Asked(expected)), "{text}");
        }
        for text in ["", "deepseek", "qwen4", "llama", "mixtral2"] {
            assert!(text.parse::<Asked>().is_err(), "{text}");
        }
    }
}
