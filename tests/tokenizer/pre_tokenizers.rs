//! Pre-tokenizers: whether llama.cpp splits a text, by the name that we write, as the description in
//! tokenizer.json says.

use std::collections::BTreeSet;

use proptest::{
    prelude::{ProptestConfig, Strategy},
    sample::select,
    test_runner::{RngAlgorithm, TestRng, TestRunner},
};
use serde_json::{Map, Value as Json, json};
use swallow_gguf::model::vocabulary::PreTokenizer;

use super::{
    Tokenizer,
    splitting::{bytes_as_characters, character, words},
};

const LLAMA_3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const TEKKEN: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const GPT_4O: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const DEEPSEEK_3: &str = r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"##;
const CASED: &str = r"\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-ώᾀ-ᾴᾶ-ᾼιῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+";
const CJK: &str = "[一-龥ࠀ-一가-퟿]+";
const BLOOM: &str = r" ?[^(\s|[.,!?…。，、।۔،])]+";

/// Bits of text that are hard to split: ends of words, digits, spaces, line breaks, scripts.
const ASCII: &[&str] = &[
    "a",
    "b",
    "I",
    "Don",
    "THE",
    "camelCase",
    "'s",
    "'S",
    "'ll",
    "'RE",
    "'d",
    "'",
    "''",
    "x's",
    "1",
    "12",
    "123",
    "1234567",
    " ",
    "  ",
    "   ",
    "\t",
    "\n",
    "\r\n",
    "\n\n",
    "\r",
    ".",
    ",",
    "!?",
    "...",
    "-",
    "_",
    "/",
    "//",
    "$",
    "+=",
    "(",
    ")]",
    "{}",
    "<|",
    "`",
    "~",
    "\"",
    "#",
    "@",
    " a",
    " The",
    " 1",
    " !",
    "\n a",
    " \n",
];
/// Letters without case, marks left out, and symbols.
const CASELESS: &[&str] = &[
    "漢字",
    "ひらがな",
    "カタカナ",
    "한국어",
    "中",
    "العربية",
    "עברית",
    "ไทย",
    "。",
    "、",
    "！",
    "…",
    "“",
    "”",
    "—",
    "€",
    "🚀",
    "👩‍💻",
    "✅",
    "\u{3000}",
    "\u{a0}",
    "\u{200b}",
    "½",
    "٣",
    "五",
    "Ⅳ",
];
const CASED_LETTERS: &[&str] = &["é", "Ä", "ß", "ñandú", "Ελλ", "рус", "РУС", "ž", "İ"];
const MARKS: &[&str] = &["e\u{301}", "हिन्दी", "\u{fe0f}", "\u{1f3fd}"];

fn isolated(pattern: &str) -> Json {
    json!({"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false})
}

fn byte_level(use_regex: bool) -> Json {
    json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": use_regex})
}

fn digits(individual: bool) -> Json {
    json!({"type": "Digits", "individual_digits": individual})
}

fn sequence(steps: &[Json]) -> Json {
    json!({"type": "Sequence", "pretokenizers": steps})
}

/// Splitting by patterns, one after the other.
fn by(patterns: &[&str]) -> Json {
    let patterns = patterns.iter().map(|pattern| isolated(pattern));
    let steps: Vec<Json> = patterns.chain([byte_level(false)]).collect();
    sequence(&steps)
}

/// Descriptions, a name that each is recognized by, and texts that llama.cpp splits alike. That of
/// `tiny_aya` is not among them: llama.cpp splits too much otherwise.
fn descriptions() -> Vec<(&'static str, Json, Vec<&'static [&'static str]>)> {
    let all = || vec![ASCII, CASELESS, CASED_LETTERS, MARKS];
    let without_marks = || vec![ASCII, CASELESS, CASED_LETTERS];
    let qwen = LLAMA_3.replace("{1,3}", "");
    let letters = r"\p{L}+|\p{N}";
    let marks = qwen.replace(letters, r"[\p{L}\p{M}]+|\p{N}");
    let marks = marks.replace(r"[^\s\p{L}\p{N}]", r"[^\s\p{L}\p{M}\p{N}]");
    let exaone = qwen.replace(letters, r"(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}");
    let exaone = exaone.replace(r"+[\r\n]*|\s*[\r\n]+", r"+[\r\n/]?|\s*[\r\n]");
    let seed = qwen.replace(r"[^\s\p{L}\p{N}]+[\r\n]*", r"[^\s\p{L}\p{N}\r\n]+");
    let tiktoken = |digits: &str| {
        format!(
            r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{{L}}\p{{N}}]?+\p{{L}}+|\p{{N}}{digits}| ?[^\s\p{{L}}\p{{N}}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"
        )
    };
    let removed =
        json!({"type": "Split", "pattern": {"Regex": qwen}, "behavior": "Removed", "invert": true});
    let spaces: String = [512, 256, 128, 64, 32, 16, 8, 4]
        .iter()
        .map(|n| format!(r"\s{{{n}}}(?!\S)|"))
        .collect();
    let jais = LLAMA_3.replace(r"\s+(?!\S)|\s+", &(spaces + r"\s{1,2}(?!\S)|\s{1}"));
    vec![
        ("gpt-2", byte_level(true), all()),
        ("smollm", sequence(&[digits(true), byte_level(true)]), all()),
        ("dbrx", by(&[LLAMA_3]), all()),
        ("dbrx", by(&[&tiktoken("{1,3}")]), all()),
        ("qwen2", by(&[&qwen]), all()),
        ("qwen2", by(&[&tiktoken("")]), all()),
        ("qwen2", sequence(&[removed, byte_level(false)]), all()),
        ("qwen35", by(&[&marks]), all()),
        (
            "seed-coder",
            by(&[&seed.replace(r"\p{N}|", r"\p{N}{1}|")]),
            all(),
        ),
        ("exaone-moe", by(&[&exaone]), all()),
        (
            "ufakzeka",
            by(&[qwen.split_once(")|").expect("contractions").1]),
            all(),
        ),
        ("jais-2", by(&[&jais]), all()),
        (
            "minicpm5",
            by(&[r"\p{N}{1,3}", &LLAMA_3.replace("{1,3}", "+")]),
            all(),
        ),
        ("tekken", by(&[TEKKEN]), vec![ASCII, CASELESS]),
        ("gpt-4o", by(&[GPT_4O]), vec![ASCII, CASELESS]),
        (
            "deepseek-v3",
            by(&[r"\p{N}{1,3}", "[一-龥぀-ゟ゠-ヿ]+", DEEPSEEK_3]),
            all(),
        ),
        (
            "deepseek-coder",
            sequence(&[
                isolated(r"[\r\n]"),
                isolated(r"\s?\p{L}+"),
                isolated(r"\s?\p{P}+"),
                isolated(CJK),
                digits(true),
                byte_level(false),
            ]),
            all(),
        ),
        (
            "deepseek-llm",
            sequence(&[
                isolated(r"[\r\n]"),
                isolated(CASED),
                isolated(r"\s?[!-/:-~！-／：-～‘-‟　-。]+"),
                isolated(r"\s+$"),
                isolated(CJK),
                digits(true),
                byte_level(false),
            ]),
            all(),
        ),
        (
            "falcon",
            sequence(&[
                json!({"type": "Punctuation", "behavior": "Contiguous"}),
                byte_level(true),
                digits(false),
                isolated("[0-9][0-9][0-9]"),
            ]),
            without_marks(),
        ),
        ("superbpe", by(&[r"\p{N}+", r"(?=(\d{3})+(?!\d))"]), all()),
        ("bloom", by(&[BLOOM]), all()),
        (
            "viking",
            sequence(&[isolated(BLOOM), digits(true), byte_level(false)]),
            all(),
        ),
    ]
}

/// A tokenizer.json that makes one token of every word of `text`, whatever the words are: all that it can
/// be cut into are tokens, and any two of them that make a third are merged.
fn tokenizer_json(description: &Json, text: &str) -> (Vec<u8>, Vec<String>) {
    let characters: Vec<char> = bytes_as_characters(text).chars().collect();
    let mut tokens: Vec<String> = vec!["<unk>".into(), "<s>".into(), "</s>".into()];
    tokens.extend((0..=u8::MAX).map(|byte| character(byte).to_string()));
    let mut known: BTreeSet<String> = tokens.iter().cloned().collect();
    let mut merges = Vec::new();
    for length in 2..=characters.len() {
        for piece in characters.windows(length) {
            let piece: String = piece.iter().collect();
            if !known.insert(piece.clone()) {
                continue;
            }
            let ends = piece.char_indices().skip(1);
            merges.extend(ends.map(|(end, _)| json!([piece[..end], piece[end..]])));
            tokens.push(piece);
        }
    }
    let vocab: Map<String, Json> = tokens
        .iter()
        .enumerate()
        .map(|(id, token)| (token.clone(), id.into()))
        .collect();
    let json = json!({
        "pre_tokenizer": description,
        "model": {"type": "BPE", "vocab": vocab, "merges": merges},
    });
    (json.to_string().into_bytes(), tokens)
}

/// llama.cpp's words of `text`, with bytes as characters, and the name by which it splits.
fn llama_words(description: &Json, text: &str) -> (Vec<String>, String) {
    let (json, tokens) = tokenizer_json(description, text);
    let Tokenizer(model) = Tokenizer::new("tokenizer.json", &json, tokens.len());
    let ids = model.vocab().tokenize(text.as_bytes(), false, false);
    let token = |id: i32| tokens[usize::try_from(id).expect("an id")].clone();
    let words = ids.iter().map(|id| token(id.0)).collect();
    let name = model.meta_val_str("tokenizer.ggml.pre");
    (words, name.expect("a name"))
}

/// More texts than these, if the environment's `PROPTEST_CASES` says how many for each description.
const CASES: u32 = 10;

#[test]
fn llama_cpp_splits_as_the_description_does() {
    // The longest text, in bytes: the vocabulary has all that it can be cut into.
    const LONGEST: usize = 40;
    let cases = match std::env::var_os("PROPTEST_CASES") {
        Some(_) => ProptestConfig::default().cases,
        None => CASES,
    };
    let mut failures = Vec::new();
    for (name, description, alphabets) in descriptions() {
        let texts = proptest::collection::vec(select(alphabets.concat()), 1..16)
            .prop_map(|bits| {
                let mut text = bits.concat();
                text.truncate(text.floor_char_boundary(LONGEST));
                text
            })
            .prop_filter("what llama.cpp is known to do otherwise", move |text| {
                !is_known(name, text)
            });
        let config = ProptestConfig {
            cases,
            failure_persistence: None,
            ..ProptestConfig::default()
        };
        let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
        let result = TestRunner::new_with_rng(config, rng).run(&texts, |text| {
            let (found, by) = llama_words(&description, &text);
            proptest::prop_assert_eq!(by, name);
            proptest::prop_assert_eq!(found, words(&description, &text), "{:?}", text);
            Ok(())
        });
        failures.extend(result.err().map(|error| format!("{name}: {error}")));
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Whether the text has something that llama.cpp splits otherwise by this name.
fn is_known(name: &str, text: &str) -> bool {
    let has_number = |digits: usize| {
        let mut run = 0;
        text.chars().any(|character| {
            run = if character.is_numeric() { run + 1 } else { 0 };
            run >= digits
        })
    };
    let has_wide_space = text.contains(|c: char| c.is_whitespace() && c > '\u{800}');
    match name {
        // It keeps the digits of a number together, and spaces beyond ASCII are no Chinese to it.
        "deepseek-llm" => has_number(2) || has_wide_space,
        "deepseek-coder" => has_wide_space,
        // It keeps the space before a number, and some bytes look like digits to the steps that come after.
        "falcon" => {
            let looks_like_digit = |c: char| c.is_numeric() && !c.is_ascii();
            let mut pairs = text.chars().zip(text.chars().skip(1));
            pairs.any(|(a, b)| a.is_whitespace() && b.is_numeric())
                || bytes_as_characters(text).chars().any(looks_like_digit)
        }
        _ => false,
    }
}

#[test]
fn names_are_those_of_llama_cpp_and_so_is_what_they_ignore() {
    let description = byte_level(true);
    // `ab` is a word of the vocabulary that no merge makes.
    let characters = (0..=u8::MAX).map(|byte| character(byte).to_string());
    let tokens: Vec<String> = ["<unk>", "<s>", "</s>"]
        .map(str::to_owned)
        .into_iter()
        .chain(characters)
        .chain(["ab".to_owned()])
        .collect();
    let vocab: Map<String, Json> = tokens
        .iter()
        .enumerate()
        .map(|(id, token)| (token.clone(), id.into()))
        .collect();
    let json = json!({
        "pre_tokenizer": description,
        "model": {"type": "BPE", "vocab": vocab, "merges": ["c d"]},
    });
    let json = json.to_string().into_bytes();
    for pre in PreTokenizer::all() {
        let tokenizer = Tokenizer::named("tokenizer.json", &json, tokens.len(), Some(pre));
        let ids = tokenizer.0.vocab().tokenize(b"ab", false, false);
        assert_eq!(ids.len() == 1, pre.ignores_merges(), "{pre}");
    }
}
