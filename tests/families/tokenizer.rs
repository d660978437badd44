//! Tokenizers of bytes and pairs of letters.

use serde_json::{Map, Value as Json, json};

use super::recipe::{Added, Bpe, Flags};

/// tokenizer.json.
pub(super) fn json(bpe: &Bpe) -> Json {
    let pairs = pairs(bpe.merges);
    let vocabulary = bpe
        .first
        .iter()
        .map(|added| text(added).to_owned())
        .chain((0..=255).map(|byte| character(byte).to_string()))
        .chain(pairs.iter().map(|[left, right]| format!("{left}{right}")));
    let vocabulary: Map<String, Json> = (0..)
        .zip(vocabulary)
        .map(|(id, token)| (token, json!(id)))
        .collect();
    let last = vocabulary.len();
    let added = (0..)
        .zip(&bpe.first)
        .chain((last..).zip(&bpe.last))
        .map(|(id, added)| added_token(id, added));
    let merges = pairs.iter().map(|[left, right]| match bpe.pairs {
        true => json!([left, right]),
        false => json!(format!("{left} {right}")),
    });
    json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added.collect::<Vec<_>>(),
        "normalizer": bpe.normalizer,
        "pre_tokenizer": bpe.pre_tokenizer,
        "post_processor": bpe.post_processor,
        "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
        "model": {
            "type": "BPE",
            "dropout": null,
            "unk_token": null,
            "continuing_subword_prefix": null,
            "end_of_word_suffix": null,
            "fuse_unk": false,
            "byte_fallback": false,
            "ignore_merges": bpe.ignore_merges,
            "vocab": vocabulary,
            "merges": merges.collect::<Vec<_>>(),
        },
    })
}

/// Lines of a byte string in base64 and its rank: the bytes, and as many pairs.
pub(super) fn ranks(merges: usize) -> String {
    let bytes = (0..=255).map(|byte: u8| vec![byte]);
    let pairs = pairs(merges).into_iter().map(|[left, right]| {
        let space = |c: char| if c == 'Ġ' { ' ' } else { c };
        let pair: String = left.chars().chain(right.chars()).map(space).collect();
        pair.into_bytes()
    });
    let lines = (0..).zip(bytes.chain(pairs));
    lines
        .map(|(rank, bytes)| format!("{} {rank}\n", base64(&bytes)))
        .collect()
}

fn text(added: &Added) -> &str {
    let (Added::Special(text) | Added::Other(text, _)) = added;
    text
}

fn added_token(id: usize, added: &Added) -> Json {
    let flags = match added {
        Added::Special(_) => Flags {
            special: true,
            ..Flags::default()
        },
        Added::Other(_, flags) => *flags,
    };
    json!({
        "id": id,
        "content": text(added),
        "single_word": false,
        "lstrip": flags.lstrip,
        "rstrip": flags.rstrip,
        "normalized": flags.normalized,
        "special": flags.special,
    })
}

/// Pairs to merge: a space with every letter, vowels with consonants, those with a vowel again.
fn pairs(count: usize) -> Vec<[String; 2]> {
    let letters = || ('a'..='z').map(String::from);
    let vowels = || ["a", "e", "i", "o", "u"].map(String::from).into_iter();
    let spaced = letters().map(|letter| ["Ġ".to_owned(), letter]);
    let two = vowels().flat_map(|vowel| {
        let consonants = letters().filter(|l| vowels().all(|vowel| vowel != *l));
        consonants.map(move |consonant| [vowel.clone(), consonant])
    });
    let three = vowels().flat_map(|vowel| {
        let ends = vowels();
        ends.map(move |end| [format!("{vowel}n"), end])
    });
    let pairs: Vec<_> = spaced.chain(two).chain(three).take(count).collect();
    assert_eq!(pairs.len(), count, "there are not so many pairs");
    pairs
}

/// The character that stands for a byte: itself where that prints, else one beyond Latin-1, in order.
fn character(byte: u8) -> char {
    let prints = |byte: u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    match prints(byte) {
        true => char::from(byte),
        false => {
            let before = (0..byte).filter(|byte| !prints(*byte)).count();
            char::from_u32(256 + before as u32).unwrap()
        }
    }
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = |chunk: &[u8]| {
        let bits = (0..3).fold(0, |bits, i| {
            bits << 8 | chunk.get(i).map_or(0, |b| u32::from(*b))
        });
        let digit = |i: usize| match i <= chunk.len() {
            true => char::from(DIGITS[(bits >> (18 - 6 * i) & 63) as usize]),
            false => '=',
        };
        [digit(0), digit(1), digit(2), digit(3)]
    };
    bytes.chunks(3).flat_map(digits).collect()
}
