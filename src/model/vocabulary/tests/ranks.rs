//! Files of ranks: tekken.json and tiktoken's.

use base64::{Engine, engine::general_purpose::STANDARD};

use super::*;
use crate::model::vocabulary::{
    VocabularyError::{Entry, TooManyTokens},
    byte_text,
    ranks::Ranks,
};

const PATTERN: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// All bytes, then these tokens.
fn ranked(tokens: &[&str]) -> Vec<Vec<u8>> {
    let bytes = (0..=u8::MAX).map(|byte| vec![byte]);
    bytes
        .chain(tokens.iter().map(|token| token.as_bytes().to_vec()))
        .collect()
}

/// A tekken.json of these tokens and 22 special ones.
fn tekken_json(tokens: &[&str]) -> Json {
    let tokens = ranked(tokens);
    let entry = |(rank, token): (usize, &Vec<u8>)| json!({"rank": rank, "token_bytes": STANDARD.encode(token), "token_str": null});
    let vocab: Vec<Json> = tokens.iter().enumerate().map(entry).collect();
    json!({
        "config": {
            "pattern": PATTERN, "num_vocab_tokens": vocab.len(), "version": "v3",
            "default_vocab_size": vocab.len() + 22, "default_num_special_tokens": 22,
        },
        "vocab": vocab,
    })
}

/// Ranks as tiktoken has them, of these tokens.
fn lines(tokens: &[Vec<u8>]) -> String {
    let line = |(rank, token): (usize, &Vec<u8>)| format!("{} {rank}\n", STANDARD.encode(token));
    tokens.iter().enumerate().map(line).collect()
}

const TOKENS: [&str; 5] = ["ab", "ba", "aba", "é", " é"];

#[test]
fn tekken_json_is_written_as_the_converter_writes_it() {
    let vocabulary = Folder::new()
        .json("tekken.json", tekken_json(&TOKENS))
        .json(
            "tokenizer_config.json",
            json!({"add_prefix_space": false, "add_bos_token": false}),
        )
        .read_with(300, json!({"bos_token_id": 7}))
        .unwrap();
    assert_eq!(
        vocabulary.keys(),
        [
            "tokenizer.ggml.model",
            "tokenizer.ggml.pre",
            "tokenizer.ggml.merges",
            "tokenizer.ggml.bos_token_id",
            "tokenizer.ggml.eos_token_id",
            "tokenizer.ggml.unknown_token_id",
            "tokenizer.ggml.padding_token_id",
            "tokenizer.ggml.tokens",
            "tokenizer.ggml.scores",
            "tokenizer.ggml.token_type",
            "tokenizer.ggml.add_bos_token",
            "tokenizer.ggml.add_eos_token",
            "tokenizer.chat_template",
        ]
    );
    assert_eq!(*vocabulary.get("ggml.model"), Value::from("gpt2"));
    assert_eq!(*vocabulary.get("ggml.pre"), Value::from("tekken"));
    // Of `aba` both, the one with the left part of the lower rank first.
    assert_eq!(
        strings(vocabulary.get("ggml.merges")),
        ["a b", "b a", "a ba", "ab a", "Ã ©", "Ġ Ã©"]
    );
    let ids = ["bos", "eos", "unknown", "padding"];
    let ids = ids.map(|kind| vocabulary.get(&format!("ggml.{kind}_token_id")).clone());
    assert_eq!(ids, [1, 2, 0, 11].map(Value::from));
    let texts = vocabulary.texts();
    assert_eq!(texts[..3], ["<unk>", "<s>", "</s>"]);
    assert_eq!(
        texts[19..24],
        ["[TOOL_CONTENT]", "<SPECIAL_20>", "<SPECIAL_21>", "Ā", "ā"]
    );
    assert_eq!(
        texts[22 + 256..][..6],
        ["ab", "ba", "aba", "Ã©", "ĠÃ©", "[PAD283]"]
    );
    let types = vocabulary.types();
    assert_eq!([21, 22, 282, 283].map(|id| types[id]), [3, 1, 1, 5]);
    assert_eq!(
        *vocabulary.get("ggml.scores"),
        Array::I32(vec![0; 300]).into()
    );
    assert_eq!(*vocabulary.get("ggml.add_bos_token"), Value::from(true));
    assert_eq!(
        vocabulary.chat_template.as_deref(),
        Some("mistral-v3-tekken")
    );
}

#[test]
fn tekken_json_is_read_where_there_is_no_tokenizer_json() {
    let folder = Folder::new().json("tekken.json", tekken_json(&TOKENS));
    let json = byte_level::bpe_json(byte_level::byte_level(true));
    let vocabulary = folder.json("tokenizer.json", json).read(300).unwrap();
    assert_eq!(*vocabulary.get("ggml.pre"), Value::from("gpt-2"));
    // A SentencePiece model goes behind it.
    let vocabulary = Folder::new()
        .json("tekken.json", tekken_json(&TOKENS))
        .with("tokenizer.model", small_model())
        .read(300)
        .unwrap();
    assert_eq!(*vocabulary.get("ggml.pre"), Value::from("tekken"));
}

#[test]
fn a_template_beside_tekken_json_is_kept_and_a_missing_one_is_told() {
    let folder = |version: &str| {
        let mut json = tekken_json(&TOKENS);
        json["config"]["version"] = json!(version);
        json["special_tokens"] = ["<s>", "</s>", "<unk>", "<pad>"]
            .iter()
            .enumerate()
            .map(|(rank, text)| json!({"rank": rank, "token_str": text, "is_control": true}))
            .collect();
        Folder::new().json("tekken.json", json)
    };
    let read = |folder: Folder| folder.read(300).unwrap();
    let v7 = read(folder("v7"));
    assert_eq!(v7.chat_template.as_deref(), Some("mistral-v7-tekken"));
    assert_eq!(*v7.get("ggml.padding_token_id"), Value::from(3));
    assert!(v7.notes.is_empty(), "{:?}", v7.notes);
    let v13 = read(folder("v13"));
    assert_eq!(v13.chat_template, None);
    assert!(
        v13.notes[0].starts_with("no chat template is written"),
        "{:?}",
        v13.notes
    );
    let own = read(folder("v13").with("chat_template.jinja", "{{ 1 }}"));
    assert_eq!(own.chat_template.as_deref(), Some("{{ 1 }}"));
    assert!(
        own.notes[0].starts_with("the checkpoint's chat template is kept"),
        "{:?}",
        own.notes
    );
}

#[test]
fn a_damaged_tekken_json_is_told_with_the_place() {
    let error = |edit: &dyn Fn(&mut Json)| {
        let mut json = tekken_json(&TOKENS);
        edit(&mut json);
        Folder::new().json("tekken.json", json).error(300)
    };
    type Edit<'a> = &'a dyn Fn(&mut Json);
    let cases: &[(Edit<'_>, &str)] = &[
        (
            &|json| json["vocab"][259]["token_bytes"] = json!("no base64"),
            "`vocab`, entry 259: expected base64, found `no base64`",
        ),
        (
            &|json| json["vocab"][7]["rank"] = json!(8),
            "`vocab`, entry 7: expected rank 7, found 8",
        ),
        (
            &|json| json["vocab"][7]["token_bytes"] = json!("YQ=="),
            "`vocab`, entry 7: expected the byte 7, found [97]",
        ),
        (
            &|json| json["vocab"][256]["token_bytes"] = json!(STANDARD.encode("xyz")),
            "token 256: expected two tokens that are this one together, found none for `xyz`",
        ),
        (
            &|json| json["vocab"][256]["token_bytes"] = json!(STANDARD.encode([7; 513])),
            "token 256: expected 1 to 512 bytes, found 513",
        ),
        (
            &|json| json["config"]["default_vocab_size"] = json!(299),
            "`default_vocab_size`: expected 278 to 283 (22 special tokens, 256 to 261 others), found 299",
        ),
        (
            &|json| {
                json["config"]["default_num_special_tokens"] = json!(19);
                json["config"]["default_vocab_size"] = json!(280);
            },
            "`special_tokens`: expected at most 19 of them, found 20",
        ),
        (
            &|json| json["config"]["default_num_special_tokens"] = json!(u64::MAX),
            "`default_vocab_size`: expected 18446744073709551615 to 18446744073709551615 (18446744073709551615 special tokens, 256 to 261 others), found 283",
        ),
        (
            &|json| json["config"]["version"] = json!("v11"),
            "`special_tokens`: expected a list in a file of version `v11`, found none",
        ),
        (
            &|json| json["special_tokens"] = json!([{"rank": 1, "token_str": "<s>"}]),
            "`special_tokens`: expected rank 0 for `<s>`, found 1",
        ),
        (
            &|json| json["special_tokens"] = json!([{"rank": 0, "token_str": "<s>"}]),
            "`special_tokens`: expected `</s>`, found none",
        ),
    ];
    for (edit, expected) in cases {
        assert_eq!(error(edit), format!("`DIR/tekken.json`: {expected}"));
    }
    let twice = error(&|json| {
        json["vocab"][257] = json!({"rank": 257, "token_bytes": STANDARD.encode("ab")})
    });
    assert!(
        twice.contains("the tokens 256 and 257 are both `ab`"),
        "{twice}"
    );
    let unknown = error(&|json| json["config"]["pattern"] = json!("x+"));
    assert!(
        unknown.contains("give llama.cpp's name for it with `--pre NAME`"),
        "{unknown}"
    );
    let fewer_rows = Folder::new()
        .json("tekken.json", tekken_json(&TOKENS))
        .read(282);
    assert!(
        matches!(fewer_rows, Err(TooManyTokens { last: 282, .. })),
        "{fewer_rows:?}"
    );
}

/// A checkpoint with these ranks, and the special tokens of HunYuan's.
fn hunyuan(lines: &str) -> (Folder, usize) {
    let folder = Folder::new().with("hy.tiktoken", lines).json(
        "tokenizer_config.json",
        json!({"add_bos_token": false, "bos_token": "<|startoftext|>"}),
    );
    (folder, lines.lines().count() + 210)
}

#[test]
fn ranks_have_one_merge_for_each_token_and_the_special_tokens_of_the_family() {
    let ranks = ranked(&["bc", "ab", "abc", "xyz", "abcabc"]);
    let (folder, size) = hunyuan(&lines(&ranks));
    let config = json!({"bos_token_id": 1, "eos_token_id": size - 207, "pad_token_id": size - 206});
    let vocabulary = folder.read_by(policy::HUNYUAN_MOE, size, config).unwrap();
    assert_eq!(
        vocabulary.keys(),
        [
            "tokenizer.ggml.model",
            "tokenizer.ggml.pre",
            "tokenizer.ggml.tokens",
            "tokenizer.ggml.token_type",
            "tokenizer.ggml.merges",
            "tokenizer.ggml.bos_token_id",
            "tokenizer.ggml.eos_token_id",
            "tokenizer.ggml.padding_token_id",
            "tokenizer.ggml.add_bos_token",
        ]
    );
    assert_eq!(*vocabulary.get("ggml.pre"), Value::from("hunyuan"));
    assert_eq!(
        strings(vocabulary.get("ggml.merges")),
        ["b c", "a b", "a bc", "abc abc"]
    );
    assert_eq!(vocabulary.notes.len(), 1, "{:?}", vocabulary.notes);
    assert!(vocabulary.notes[0].starts_with("1 tokens of `hy.tiktoken`"));
    let texts = vocabulary.texts();
    assert_eq!(
        texts[261..266],
        [
            "<|endoftext|>",
            "<|startoftext|>",
            "<|bos|>",
            "<|eos|>",
            "<|pad|>"
        ]
    );
    assert_eq!(
        (texts[266].as_str(), texts[470].as_str()),
        ("<|extra_0|>", "<|extra_204|>")
    );
    assert_eq!(vocabulary.types()[260..262], [1, 3]);
    // `<|bos|>`, whatever config.json says.
    assert_eq!(*vocabulary.get("ggml.bos_token_id"), Value::from(263));
}

#[test]
fn a_token_that_comes_again_is_passed_over() {
    let mut again = lines(&ranked(&["ab"]));
    // Ranks behind it count it or not.
    again.push_str("YQ== 257\nYmM= 257\nYmQ= 259\n\n");
    let folder = Folder::new().with("hy.tiktoken", &again);
    let vocabulary = folder
        .read_by(policy::HUNYUAN_MOE, 259 + 210, json!({}))
        .unwrap();
    assert_eq!(vocabulary.texts()[256..259], ["ab", "bc", "bd"]);
}

#[test]
fn damaged_ranks_are_told_with_the_line() {
    let good = lines(&ranked(&["ab"]));
    let error = |text: &str| {
        let folder = Folder::new().with("hy.tiktoken", text);
        let error = folder
            .read_by(policy::HUNYUAN_MOE, 257 + 210, json!({}))
            .unwrap_err();
        error
            .to_string()
            .replace(&folder.path().display().to_string(), "DIR")
            .replace("DIR\\", "DIR/")
    };
    let cases = [
        (
            good.replace("Bw==", "B!=="),
            "line 8: expected base64, found `B!==`",
        ),
        (
            good.replace("Bw== 7", "Bw== 8"),
            "line 8: expected rank 7, found `8`",
        ),
        (
            good.replace("Bw== 7", "Bw=="),
            "line 8: expected a token in base64 and its rank, found `Bw==`",
        ),
        (
            good.replace("Bw== 7", "Bw== seven"),
            "line 8: expected rank 7, found `seven`",
        ),
        (
            good.clone() + "YmM= 257\n",
            "lines: expected 257 tokens (`vocab_size` 467 of config.json less 210 special tokens), found 258",
        ),
        (
            good[..good.len() - 9].to_owned(),
            "lines: expected 257 tokens (`vocab_size` 467 of config.json less 210 special tokens), found 256",
        ),
        (
            good.clone() + &"A".repeat(100),
            "line 258: expected a token in base64 and its rank, found `AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA…`",
        ),
        (
            good.replace("YWI= 256", &format!("{} 256", STANDARD.encode([7; 600]))),
            "token 256: expected 1 to 512 bytes, found 600",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(error(&text), format!("`DIR/hy.tiktoken`: {expected}"));
    }
}

/// The pieces of a token when tokens of lower ranks are made first, the lowest and leftmost first,
/// as one would do it by hand.
fn pieces<'a>(ranks: &[Vec<u8>], token: &'a [u8], rank: usize) -> Vec<&'a [u8]> {
    let mut cuts: Vec<usize> = (0..=token.len()).collect();
    loop {
        let lower = |i: &usize| {
            let joined = &token[cuts[*i]..cuts[i + 2]];
            ranks[..rank].iter().position(|token| token == joined)
        };
        let best = (0..cuts.len() - 2)
            .filter_map(|i| Some((lower(&i)?, i)))
            .min();
        match best {
            Some((_, i)) => {
                cuts.remove(i + 1);
            }
            None => break,
        }
    }
    cuts.windows(2).map(|cut| &token[cut[0]..cut[1]]).collect()
}

#[test]
fn merges_of_ranks_are_those_that_one_finds_by_hand() {
    // Few letters, so that pairs overlap; some tokens are no pair of others.
    let mut state = 7_u32;
    let mut next = |below: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16) as usize % below
    };
    let mut tokens: Vec<Vec<u8>> = b"abc".iter().map(|letter| vec![*letter]).collect();
    while tokens.len() < 120 {
        let (left, right) = (next(tokens.len()), next(tokens.len()));
        let mut token = [&tokens[left][..], &tokens[right][..]].concat();
        if tokens.len() % 10 == 9 {
            token.rotate_left(1);
        }
        if token.len() <= 40 && !tokens.contains(&token) {
            tokens.push(token);
        }
    }
    let mut expected: Vec<BString> = Vec::new();
    let mut unmade = 0;
    for (rank, token) in tokens
        .iter()
        .enumerate()
        .filter(|(_, token)| token.len() > 1)
    {
        match pieces(&tokens, token, rank)[..] {
            [left, right] => expected
                .push(format!("{} {}", byte_text::written(left), byte_text::written(right)).into()),
            _ => unmade += 1,
        }
    }
    assert!(unmade > 0 && expected.len() > 20, "{unmade}");
    let path = Path::new("ranks");
    let found = Ranks::new(path, &tokens).unwrap().last_merges();
    assert_eq!(found, (expected, unmade));
}

#[test]
fn there_is_a_limit_to_what_merges_may_take() {
    // Each of these has as many merges as bytes.
    let mut tokens = ranked(&[]);
    for byte in *b"ab" {
        tokens.extend((2..=512).map(|length| vec![byte; length]));
    }
    let error = Ranks::new(Path::new("x"), &tokens)
        .unwrap()
        .all_merges()
        .unwrap_err();
    assert!(
        matches!(&error, Entry { place, .. } if place == "merges"),
        "{error}"
    );
}

#[test]
fn bytes_are_written_as_their_characters() {
    assert_eq!(byte_text::written("a é\n\0".as_bytes()), "aĠÃ©ĊĀ");
    assert_eq!(
        byte_text::plain(&byte_text::written("a é".as_bytes())),
        "a é"
    );
    let all: Vec<u8> = (0..=u8::MAX).collect();
    let mut characters: Vec<char> = byte_text::written(&all).chars().collect();
    characters.sort_unstable();
    characters.dedup();
    assert_eq!(characters.len(), 256);
}
