//! The ways of splitting text that llama.cpp knows, as a `tokenizer.json` describes them.
//!
//! A row is right if llama.cpp splits every text as the description does, by each of the names;
//! what it is known to do otherwise is said in the row.

use serde_json::Value;

use super::PreTokenizer;

/// One way of splitting.
#[derive(Debug)]
pub(super) struct Kind {
    /// The steps of the description.
    steps: &'static [Step],
    /// What llama.cpp calls it.
    pub(super) plainest: PreTokenizer,
    /// Its other names, which differ in what is not splitting.
    others: &'static [&'static str],
    /// What llama.cpp does otherwise, if anything.
    pub(super) otherwise: Option<&'static str>,
}

/// A step, in any spelling.
#[derive(Debug)]
enum Step {
    /// The matches of one of these patterns are the words. Every character is part of a match.
    Words(&'static [&'static str]),
    /// The matches are words, and so is what lies between them.
    Apart(&'static str),
    /// Each digit is a word, or each run of them.
    Digits { single: bool },
    /// Runs of punctuation are words.
    Punctuation,
    /// Bytes as characters, after splitting by GPT-2's pattern if `splits`.
    Bytes { splits: bool },
}

use Step::{Apart, Words};

const BYTES: Step = Step::Bytes { splits: false };
const GPT_2: Step = Step::Bytes { splits: true };
const EACH_DIGIT: Step = Step::Digits { single: true };

/// Numbers in groups of three digits; then as the `tiktoken` library spells it.
const LLAMA_3: Step = Words(&[
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+",
]);
/// As Llama 3's, but each digit is a word.
const QWEN_2: Step = Words(&[
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+",
]);
/// Marks belong to the letters.
const QWEN_3_5: Step = Words(&[
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
]);
/// Line breaks are not part of what comes before them.
const SEED_CODER: Step = Words(&[
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+",
]);
/// Several words of letters and marks may be one.
const EXAONE_MOE: Step = Words(&[
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+",
]);
/// A capital begins a word.
const TEKKEN: Step = Words(&[
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
]);
/// The same with contractions and numbers in groups of three digits.
const GPT_4O: Step = Words(&[
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
]);
/// Llama 3's words, with numbers split before.
const MINICPM_5: Step = Words(&[
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}+| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
]);
/// Llama 3's words, and spaces in runs of powers of two.
const JAIS_2: Step = Words(&[
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s{512}(?!\S)|\s{256}(?!\S)|\s{128}(?!\S)|\s{64}(?!\S)|\s{32}(?!\S)|\s{16}(?!\S)|\s{8}(?!\S)|\s{4}(?!\S)|\s{1,2}(?!\S)|\s{1}",
]);
/// Qwen 2's words without English contractions.
const UFAKZEKA: Step =
    Words(&[r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"]);
/// What lies between punctuation.
const BLOOM: Step = Apart(r" ?[^(\s|[.,!?…。，、।۔،])]+");
/// Chinese, Japanese and Korean, as DeepSeek's first models have it.
const CJK: Step = Apart("[一-龥ࠀ-一가-퟿]+");
/// Letters of the scripts that have capitals, one range after the other.
const CASED: Step = Apart(
    r"\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-ώᾀ-ᾴᾶ-ᾼιῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+",
);
/// Numbers in groups of three digits.
const THREE_DIGITS: Step = Apart(r"\p{N}{1,3}");

const CASE_OF_ASCII: Option<&str> =
    Some("llama.cpp tells capitals from small letters in ASCII only, tokenizer.json everywhere");

/// All of them.
pub(super) const KINDS: &[Kind] = &[
    Kind {
        steps: &[GPT_2],
        plainest: PreTokenizer::new("gpt-2"),
        others: &[
            "olmo",
            "mpt",
            "phi-2",
            "exaone4",
            "jais",
            "trillion",
            "gigachat",
            "a.x-4.0",
            "mellum",
            "granite-docling",
            "modern-bert",
            "jina-es",
            "jina-de",
            "jina-v2-es",
            "jina-v2-de",
            "jina-v1-en",
            "jina-v2-code",
            "roberta-bpe",
        ],
        otherwise: None,
    },
    Kind {
        steps: &[EACH_DIGIT, GPT_2],
        plainest: PreTokenizer::new("smollm"),
        others: &[
            "starcoder",
            "refact",
            "command-r",
            "codeshell",
            "exaone",
            "minerva-7b",
            "mellum2",
        ],
        otherwise: None,
    },
    Kind {
        steps: &[LLAMA_3, BYTES],
        plainest: PreTokenizer::new("llama-bpe"),
        others: &[
            "dbrx",
            "smaug-bpe",
            "falcon3",
            "falcon-h1",
            "glm4",
            "glm5",
            "chatglm-bpe",
            "lfm2",
            "pixtral",
            "midm-2.0",
            "jina-v5-nano",
            "llama3",
            "llama-v3",
        ],
        otherwise: None,
    },
    Kind {
        steps: &[QWEN_2, BYTES],
        plainest: PreTokenizer::new("qwen2"),
        others: &[
            "deepseek-r1-qwen",
            "stablelm2",
            "hunyuan",
            "megrez",
            "bailingmoe",
            "bailingmoe2",
            "llada-moe",
            "solar-open",
            "grok-2",
            "kormo",
            "f2llmv2",
        ],
        otherwise: None,
    },
    Kind {
        steps: &[QWEN_3_5, BYTES],
        plainest: PreTokenizer::new("qwen35"),
        others: &[],
        otherwise: None,
    },
    Kind {
        steps: &[SEED_CODER, BYTES],
        plainest: PreTokenizer::new("seed-coder"),
        others: &[],
        otherwise: None,
    },
    Kind {
        steps: &[EXAONE_MOE, BYTES],
        plainest: PreTokenizer::new("exaone-moe"),
        others: &[],
        otherwise: None,
    },
    Kind {
        steps: &[TEKKEN, BYTES],
        plainest: PreTokenizer::new("tekken"),
        others: &[],
        otherwise: CASE_OF_ASCII,
    },
    Kind {
        steps: &[GPT_4O, BYTES],
        plainest: PreTokenizer::new("gpt-4o"),
        others: &["llama4", "minimax-m2", "kanana2", "talkie"],
        otherwise: CASE_OF_ASCII,
    },
    Kind {
        steps: &[Apart(r"\d{1,3}(?=(?:\d{3})*\b)"), GPT_4O, BYTES],
        plainest: PreTokenizer::new("tiny_aya"),
        others: &["cohere2moe"],
        otherwise: Some(
            "llama.cpp splits capitals and long numbers otherwise than tokenizer.json does",
        ),
    },
    Kind {
        steps: &[
            THREE_DIGITS,
            Apart("[一-龥぀-ゟ゠-ヿ]+"),
            Apart(
                r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"##,
            ),
            BYTES,
        ],
        plainest: PreTokenizer::new("deepseek-v3"),
        others: &["hunyuan-dense", "joyai-llm", "hy_v4"],
        otherwise: None,
    },
    Kind {
        steps: &[
            Apart(r"[\r\n]"),
            Apart(r"\s?\p{L}+"),
            Apart(r"\s?\p{P}+"),
            CJK,
            EACH_DIGIT,
            BYTES,
        ],
        plainest: PreTokenizer::new("deepseek-coder"),
        others: &[],
        otherwise: None,
    },
    Kind {
        steps: &[
            Apart(r"[\r\n]"),
            CASED,
            Apart(r"\s?[!-/:-~！-／：-～‘-‟　-。]+"),
            Apart(r"\s+$"),
            CJK,
            EACH_DIGIT,
            BYTES,
        ],
        plainest: PreTokenizer::new("deepseek-llm"),
        others: &[],
        otherwise: Some(
            "llama.cpp keeps the digits of a number together, which tokenizer.json splits",
        ),
    },
    Kind {
        steps: &[
            Step::Punctuation,
            GPT_2,
            Step::Digits { single: false },
            Apart("[0-9][0-9][0-9]"),
        ],
        plainest: PreTokenizer::new("falcon"),
        others: &[],
        otherwise: Some(
            "llama.cpp keeps the space before a number with it, which tokenizer.json splits",
        ),
    },
    Kind {
        steps: &[THREE_DIGITS, MINICPM_5, BYTES],
        plainest: PreTokenizer::new("minicpm5"),
        others: &[],
        otherwise: None,
    },
    Kind {
        steps: &[JAIS_2, BYTES],
        plainest: PreTokenizer::new("jais-2"),
        others: &[],
        otherwise: None,
    },
    Kind {
        steps: &[UFAKZEKA, BYTES],
        plainest: PreTokenizer::new("ufakzeka"),
        others: &[],
        otherwise: None,
    },
    Kind {
        steps: &[Apart(r"\p{N}+"), Apart(r"(?=(\d{3})+(?!\d))"), BYTES],
        plainest: PreTokenizer::new("superbpe"),
        others: &[],
        otherwise: None,
    },
    Kind {
        steps: &[BLOOM, BYTES],
        plainest: PreTokenizer::new("bloom"),
        others: &["poro-chat", "gpt3-finnish"],
        otherwise: None,
    },
    Kind {
        steps: &[BLOOM, EACH_DIGIT, BYTES],
        plainest: PreTokenizer::new("viking"),
        others: &[],
        otherwise: None,
    },
];

impl Kind {
    /// All its names, the plainest first.
    pub(super) fn names(&self) -> impl Iterator<Item = PreTokenizer> {
        let others = self.others.iter().map(|name| PreTokenizer::new(name));
        std::iter::once(self.plainest).chain(others)
    }

    /// The kind that these steps describe.
    pub(super) fn of(steps: &[Value]) -> Option<&'static Self> {
        KINDS.iter().find(|kind| {
            kind.steps.len() == steps.len()
                && std::iter::zip(kind.steps, steps).all(|(step, found)| step.is(found))
        })
    }
}

impl Step {
    fn is(&self, found: &Value) -> bool {
        let flag = |name: &str, default: bool| found[name].as_bool().unwrap_or(default);
        match self {
            Words(spellings) => {
                // Between the matches there is nothing that could be removed.
                let keeps_matches = found["behavior"] == "Isolated"
                    || (found["behavior"] == "Removed" && flag("invert", false));
                keeps_matches
                    && pattern(found).is_some_and(|found| spellings.contains(&found.as_str()))
            }
            Apart(spelling) => {
                found["behavior"] == "Isolated"
                    && pattern(found).is_some_and(|found| found == *spelling)
            }
            Self::Digits { single } => {
                found["type"] == "Digits" && flag("individual_digits", false) == *single
            }
            Self::Punctuation => {
                found["type"] == "Punctuation" && found["behavior"] == "Contiguous"
            }
            Self::Bytes { splits } => {
                found["type"] == "ByteLevel"
                    && !flag("add_prefix_space", true)
                    && flag("use_regex", true) == *splits
            }
        }
    }
}

/// The pattern of a step that splits by one, with line breaks spelled as escapes.
fn pattern(step: &Value) -> Option<String> {
    let pattern = step["pattern"]["Regex"].as_str()?;
    (step["type"] == "Split").then(|| pattern.replace('\r', r"\r").replace('\n', r"\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_one_of_llama_cpp_and_in_one_row() {
        let names: Vec<PreTokenizer> = KINDS.iter().flat_map(Kind::names).collect();
        for (index, pre) in names.iter().enumerate() {
            assert!(PreTokenizer::all().any(|known| known == *pre), "{pre}");
            assert!(!names[..index].contains(pre), "{pre} is there twice");
        }
    }
}
