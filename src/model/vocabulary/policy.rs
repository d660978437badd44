//! Which of a checkpoint's files has its tokenizer, family by family, and what is particular about
//! its special tokens.
//!
//! A family's class in llama.cpp's converter looks for certain files in a certain order, and for no
//! others. A policy says the same as data: ways to read a tokenizer, of which the first one whose
//! file is there is taken. Where a class stops for want of a file that we can do without, another
//! way stands at the end.

/// How the tokenizer of a family's checkpoints is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenizerPolicy {
    /// The ways to read it, in the order in which they are tried.
    pub ways: &'static [TokenizerWay],
    /// The pre-tokenizers that checkpoints of this family have, the likeliest first: where several
    /// names stand for one way of splitting text, the first of these is written.
    pub pre: &'static [&'static str],
}

/// One way to read a tokenizer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenizerWay {
    /// Where the tokens come from.
    pub file: TokenizerFile,
    /// What is particular about them, in the order in which it is done.
    pub rules: &'static [TokenizerRule],
}

/// A file with tokens, and when it is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenizerFile {
    /// `tekken.json`, where there is no `tokenizer.json`.
    Tekken,
    /// `tokenizer.model`, a SentencePiece model.
    SentencePiece,
    /// `tokenizer.json` with `byte_fallback`: a SentencePiece vocabulary.
    SentencePieceJson,
    /// `tokenizer.json`, a byte-level vocabulary.
    ByteLevel,
    /// The same, where tokenizer_config.json names this `tokenizer_class`.
    ByteLevelOfClass(&'static str),
    /// Ranks, as the tiktoken library has them.
    Tiktoken(&'static TiktokenRanks),
}

/// A file of ranks, and what its format leaves to the program that reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TiktokenRanks {
    /// The file's name.
    pub file: &'static str,
    /// How text is split into words.
    pub pre: &'static str,
    /// The special tokens, which have the ids after the last rank.
    pub special: &'static [SpecialTexts],
}

/// Texts of special tokens that follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpecialTexts {
    /// One token.
    One(&'static str),
    /// `count` tokens: the prefix, a number from 0 on, the suffix.
    Numbered {
        /// What stands before the number.
        prefix: &'static str,
        /// What stands behind it.
        suffix: &'static str,
        /// How many there are.
        count: u32,
    },
}

/// What a family does otherwise than most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenizerRule {
    /// `add_prefix_space` of tokenizer_config.json is written, before all other keys.
    SpacePrefixFirst,
    /// It is written after all other keys.
    SpacePrefixLast,
    /// Whether a space goes before a text is what the SentencePiece model itself says.
    SpacePrefixOfModel,
    /// Of added tokens the text is left as it is, only those that are called special are control
    /// tokens, and tokenizer.json has the last word.
    AddedAsGiven,
    /// Raw pieces that stand for nothing are unused, and the piece that is a NUL character, which
    /// llama.cpp would take for an empty text, is written as another character.
    RawPieces,
    /// These kinds are the added tokens of these texts, unless they are known; a token that is
    /// missing is an error.
    IdsByText(&'static [(&'static str, &'static str)]),
    /// These kinds are the tokens of these texts, whatever other files say.
    IdsOverruled(&'static [(&'static str, &'static str)]),
    /// `<|im_end|>` is the end token, where there is that token.
    ImEndIsEos,
    /// The kinds of CodeLlama's infill tokens, in a vocabulary of its size.
    CodeLlamaInfill,
    /// `add_bos_token` is false in a vocabulary of the size of Granite's small models.
    GraniteWithoutBos,
    /// No padding token where config.json has a negative id for it.
    PadUnlessNegative,
    /// `eod_token_id` of config.json is the end token, but not in a config of the kind that the
    /// transformers library has a class for: it drops the value before the converter sees it.
    EosOfEod,
    /// Of several end tokens in generation_config.json the first one ends a turn.
    EotOfGeneration,
}

use TokenizerFile::{
    ByteLevel, ByteLevelOfClass, SentencePiece, SentencePieceJson, Tekken, Tiktoken,
};
use TokenizerRule::{
    AddedAsGiven, CodeLlamaInfill, EosOfEod, EotOfGeneration, GraniteWithoutBos, IdsByText,
    IdsOverruled, ImEndIsEos, PadUnlessNegative, RawPieces, SpacePrefixFirst, SpacePrefixLast,
    SpacePrefixOfModel,
};

impl TokenizerPolicy {
    /// This policy for a family with these pre-tokenizers.
    #[must_use]
    pub const fn with_pre(self, pre: &'static [&'static str]) -> Self {
        Self { pre, ..self }
    }
}

/// A way without anything particular.
const fn plain(file: TokenizerFile) -> TokenizerWay {
    TokenizerWay { file, rules: &[] }
}

const LLAMA_RULES: &[TokenizerRule] = &[SpacePrefixFirst, CodeLlamaInfill, GraniteWithoutBos];

/// Llama's class and those that are made from it: Mistral, Mixtral, Granite, SmolLM3.
pub const LLAMA: TokenizerPolicy = TokenizerPolicy {
    ways: &[
        plain(Tekken),
        TokenizerWay {
            file: SentencePiece,
            rules: LLAMA_RULES,
        },
        TokenizerWay {
            file: SentencePieceJson,
            rules: LLAMA_RULES,
        },
        TokenizerWay {
            file: ByteLevel,
            rules: LLAMA_RULES,
        },
    ],
    pre: &[],
};

/// SmolLM3: Llama's class with Llama 3's way of splitting.
pub const SMOLLM3: TokenizerPolicy = LLAMA.with_pre(&["smaug-bpe"]);

/// Granite and its Mixture of Experts.
pub const GRANITE: TokenizerPolicy = LLAMA.with_pre(&["refact", "dbrx", "starcoder"]);

/// `tokenizer.json` whatever else lies there: what most families do.
pub const BPE: TokenizerPolicy = TokenizerPolicy {
    ways: &[plain(ByteLevel)],
    pre: &[],
};

/// Qwen2 and Qwen3.
pub const QWEN2: TokenizerPolicy = TokenizerPolicy {
    ways: &[
        plain(SentencePiece),
        plain(SentencePieceJson),
        plain(ByteLevel),
    ],
    pre: &["qwen2", "deepseek-r1-qwen", "megrez"],
};

/// Qwen2's and Qwen3's Mixtures of Experts.
pub const QWEN2_MOE: TokenizerPolicy = BPE.with_pre(&["qwen2"]);

/// OLMo2, OLMoE.
pub const OLMO: TokenizerPolicy = BPE.with_pre(&["olmo", "dbrx", "superbpe"]);

/// Starcoder2.
pub const STARCODER2: TokenizerPolicy = BPE.with_pre(&["starcoder"]);

/// SeedOss.
pub const SEED_OSS: TokenizerPolicy = BPE.with_pre(&["seed-coder"]);

/// dots1.
pub const DOTS1: TokenizerPolicy = BPE.with_pre(&["qwen2"]);

/// Exaone4.
pub const EXAONE4: TokenizerPolicy = BPE.with_pre(&["exaone4", "exaone"]);

/// Cohere and Cohere2.
pub const COHERE: TokenizerPolicy = BPE.with_pre(&["command-r"]);

/// StableLM.
pub const STABLELM: TokenizerPolicy = BPE.with_pre(&["stablelm2", "gpt-2"]);

/// Falcon.
pub const FALCON: TokenizerPolicy = BPE.with_pre(&["falcon", "falcon3"]);

/// `tokenizer.model`: MiniCPM.
pub const SPM: TokenizerPolicy = TokenizerPolicy {
    ways: &[plain(SentencePiece), plain(SentencePieceJson)],
    pre: &[],
};

/// Ernie 4.5 and its Mixture of Experts.
pub const ERNIE: TokenizerPolicy = TokenizerPolicy {
    ways: &[
        TokenizerWay {
            file: SentencePiece,
            rules: &[SpacePrefixLast],
        },
        TokenizerWay {
            file: SentencePieceJson,
            rules: &[SpacePrefixLast],
        },
    ],
    pre: &[],
};

/// Phi3 and PhiMoE; Phi-4 has a byte-level tokenizer.
pub const PHI3: TokenizerPolicy = TokenizerPolicy {
    ways: &[
        plain(ByteLevelOfClass("GPT2Tokenizer")),
        TokenizerWay {
            file: SentencePiece,
            rules: &[AddedAsGiven],
        },
        plain(SentencePieceJson),
        plain(ByteLevel),
    ],
    pre: &["dbrx", "gpt-4o"],
};

/// InternLM2.
pub const INTERNLM2: TokenizerPolicy = TokenizerPolicy {
    ways: &[TokenizerWay {
        file: SentencePiece,
        rules: &[RawPieces, AddedAsGiven, SpacePrefixOfModel, ImEndIsEos],
    }],
    pre: &[],
};

/// Glm4.
pub const GLM4: TokenizerPolicy = TokenizerPolicy {
    ways: &[TokenizerWay {
        file: ByteLevel,
        rules: &[IdsByText(&[
            ("eos", "<|endoftext|>"),
            ("eot", "<|user|>"),
            ("unk", "<|endoftext|>"),
            ("bos", "<|endoftext|>"),
        ])],
    }],
    pre: &["glm4", "chatglm-bpe"],
};

const HUNYUAN_RULES: &[TokenizerRule] = &[PadUnlessNegative, EosOfEod, EotOfGeneration];

/// HunYuan, dense.
pub const HUNYUAN_DENSE: TokenizerPolicy = TokenizerPolicy {
    ways: &[TokenizerWay {
        file: ByteLevel,
        rules: HUNYUAN_RULES,
    }],
    pre: &["hunyuan-dense", "hunyuan"],
};

/// HunYuan's Mixture of Experts. It comes as ranks; where someone has made a `tokenizer.json` of
/// them, that is read as the dense models' one is.
pub const HUNYUAN_MOE: TokenizerPolicy = TokenizerPolicy {
    ways: &[
        TokenizerWay {
            file: ByteLevel,
            rules: HUNYUAN_RULES,
        },
        TokenizerWay {
            file: Tiktoken(&HUNYUAN_RANKS),
            rules: &[IdsOverruled(&[("bos", "<|bos|>")])],
        },
    ],
    pre: &["hunyuan", "hunyuan-dense"],
};

const HUNYUAN_RANKS: TiktokenRanks = TiktokenRanks {
    file: "hy.tiktoken",
    pre: "hunyuan",
    special: &[
        SpecialTexts::One("<|endoftext|>"),
        SpecialTexts::One("<|startoftext|>"),
        SpecialTexts::One("<|bos|>"),
        SpecialTexts::One("<|eos|>"),
        SpecialTexts::One("<|pad|>"),
        SpecialTexts::Numbered {
            prefix: "<|extra_",
            suffix: "|>",
            count: 205,
        },
    ],
};
