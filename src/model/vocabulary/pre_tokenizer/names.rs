//! The names that llama.cpp has for pre-tokenizers.

use std::{fmt, str::FromStr};

use thiserror::Error;

use crate::nearest;

/// A pre-tokenizer by the name that llama.cpp has for it, the value of `tokenizer.ggml.pre`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PreTokenizer(&'static str);

/// llama.cpp has no pre-tokenizer of this name.
#[derive(Debug, Error)]
#[error("llama.cpp has no pre-tokenizer `{found}`, expected {expected}")]
pub struct UnknownPreTokenizer {
    found: String,
    expected: String,
}

/// Those for which llama.cpp looks at the merges first.
const MERGING: [&str; 77] = [
    "a.x-4.0",
    "afmoe",
    "bailingmoe",
    "bailingmoe2",
    "bloom",
    "chameleon",
    "chatglm-bpe",
    "codeshell",
    "cohere2moe",
    "command-r",
    "dbrx",
    "deepseek-coder",
    "deepseek-llm",
    "deepseek-r1-qwen",
    "deepseek-v3",
    "default",
    "exaone",
    "exaone-moe",
    "exaone4",
    "f2llmv2",
    "falcon",
    "gemma4",
    "gigachat",
    "gpt-2",
    "gpt-4o",
    "gpt3-finnish",
    "granite-docling",
    "granite-embed-multi-311m",
    "grok-2",
    "hunyuan",
    "hunyuan-dense",
    "hy_v4",
    "jais",
    "jais-2",
    "jina-de",
    "jina-es",
    "jina-v1-en",
    "jina-v2-code",
    "jina-v2-de",
    "jina-v2-es",
    "joyai-llm",
    "kanana2",
    "kimi-k2",
    "kormo",
    "laguna",
    "llada-moe",
    "llama4",
    "megrez",
    "mellum",
    "mellum2",
    "minerva-7b",
    "minimax-m2",
    "mmbert",
    "modern-bert",
    "mpt",
    "olmo",
    "phi-2",
    "poro-chat",
    "qwen2",
    "qwen35",
    "refact",
    "roberta-bpe",
    "sarvam-moe",
    "seed-coder",
    "smaug-bpe",
    "smollm",
    "solar-open",
    "spark2_5",
    "stablelm2",
    "starcoder",
    "superbpe",
    "talkie",
    "tiny_aya",
    "trillion",
    "ufakzeka",
    "viking",
    "whitespace",
];

/// Those for which it takes every word of the vocabulary as one token.
const IGNORING_MERGES: [&str; 15] = [
    "falcon-h1",
    "falcon3",
    "glm4",
    "glm5",
    "granite-embed-multi-97m",
    "jina-v5-nano",
    "lfm2",
    "llama-bpe",
    "llama-v3",
    "llama3",
    "midm-2.0",
    "minicpm5",
    "pixtral",
    "tekken",
    "youtu",
];

impl PreTokenizer {
    /// All that the linked llama.cpp knows.
    pub fn all() -> impl Iterator<Item = Self> {
        MERGING.into_iter().chain(IGNORING_MERGES).map(Self)
    }

    /// Whether llama.cpp takes every word that is in the vocabulary as one token, without looking at the
    /// merges.
    #[must_use]
    pub fn ignores_merges(self) -> bool {
        IGNORING_MERGES.contains(&self.0)
    }

    /// One of llama.cpp's names; that it is one, the tests see to.
    pub(super) const fn new(name: &'static str) -> Self {
        Self(name)
    }

    /// The name.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for PreTokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl FromStr for PreTokenizer {
    type Err = UnknownPreTokenizer;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::all().find(|known| known.0 == name).ok_or_else(|| {
            let names = || Self::all().map(Self::name);
            let expected = match nearest::of(name, names()) {
                Some(near) => format!("a name such as `{near}`"),
                None => {
                    let mut names: Vec<&str> = names().collect();
                    names.sort_unstable();
                    format!("one of {}", names.join(", "))
                }
            };
            UnknownPreTokenizer {
                found: name.to_owned(),
                expected,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_and_slips_of_the_pen_are_told() {
        for pre in PreTokenizer::all() {
            assert_eq!(pre.name().parse::<PreTokenizer>().unwrap(), pre);
        }
        let error = |name: &str| name.parse::<PreTokenizer>().unwrap_err().to_string();
        assert_eq!(
            error("qwn2"),
            "llama.cpp has no pre-tokenizer `qwn2`, expected a name such as `qwen2`"
        );
        assert_eq!(
            error("LLAMA-BPE"),
            "llama.cpp has no pre-tokenizer `LLAMA-BPE`, expected a name such as `llama-bpe`"
        );
        let error = error("");
        assert!(
            error.contains("`, expected one of a.x-4.0, afmoe, "),
            "{error}"
        );
        assert!(error.ends_with(", whitespace, youtu"), "{error}");
    }
}
