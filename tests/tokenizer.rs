//! Vocabularies as llama.cpp sees them: our key-values in a file without tensors, and the ids that
//! its tokenizer gives to texts.

mod pre_tokenizers;
mod splitting;

use std::{fmt::Write, path::Path};

use llama_cpp_2::model::{LlamaModel, params::LlamaModelParams};
use serde_json::{Map, Value as Json, json};
use swallow_gguf::{
    gguf::{Value, encode_header},
    model::vocabulary::{self, PreTokenizer, VocabularyRequest},
};

use crate::support::fixtures;

/// llama.cpp's tokenizer for a checkpoint of one tokenizer file, with the token 1 before a text.
struct Tokenizer(LlamaModel);

impl Tokenizer {
    fn new(file: &str, bytes: &[u8], vocab_size: usize) -> Self {
        Self::named(file, bytes, vocab_size, None)
    }

    /// With this pre-tokenizer, whatever the file describes.
    fn named(file: &str, bytes: &[u8], vocab_size: usize, pre: Option<PreTokenizer>) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let dir = folder.path();
        std::fs::write(dir.join(file), bytes).expect("a tokenizer file");
        let config = json!({"bos_token_id": 1, "eos_token_id": 2});
        let request = VocabularyRequest {
            dir,
            vocab_size,
            config: &config,
            policy: vocabulary::policy::LLAMA,
            chat_template: None,
            pre,
        };
        let vocabulary = vocabulary::read(&request).expect("a vocabulary");

        let mut key_values = vec![("general.architecture".to_owned(), Value::from("llama"))];
        key_values.extend(vocabulary.key_values);
        let path = dir.join("vocabulary.gguf");
        std::fs::write(&path, encode_header(&key_values, &[], 32)).expect("a GGUF");
        let params = LlamaModelParams::default().with_vocab_only(true);
        let backend = swallow_gguf::runner::backend().expect("llama.cpp");
        Self(LlamaModel::load_from_file(backend, &path, &params).expect("a vocabulary"))
    }

    fn of(path: &Path, vocab_size: usize) -> Self {
        let file = path
            .file_name()
            .and_then(|name| name.to_str())
            .expect("a file name");
        Self::new(
            file,
            &std::fs::read(path).expect("a tokenizer file"),
            vocab_size,
        )
    }

    fn ids(&self, text: &str) -> Vec<i32> {
        let tokens = self.0.vocab().tokenize(text.as_bytes(), true, true);
        tokens.iter().map(|token| token.0).collect()
    }
}

/// Rows of the Swallow vocabulary.
const SWALLOW: usize = 43176;

#[test]
fn swallow_texts_have_the_golden_ids_from_either_file() {
    let Some(fixtures) = fixtures("golden ids of Swallow's tokenizer") else {
        return;
    };
    let dir = fixtures.join("tokenizers/swallow");
    let golden = std::fs::read_to_string(dir.join("golden_swallow.jsonl")).expect("golden ids");
    for file in ["tokenizer.model", "tokenizer.json"] {
        let tokenizer = Tokenizer::of(&dir.join(file), SWALLOW);
        let mut differing = String::new();
        for line in golden.lines() {
            let row: Json = serde_json::from_str(line).expect("a row");
            let found = tokenizer.ids(row["text"].as_str().expect("a text"));
            if json!(found) != row["ids"] {
                writeln!(differing, "{}: {found:?} is not {}", row["id"], row["ids"]).unwrap();
            }
        }
        assert!(differing.is_empty(), "{file}:\n{differing}");
        assert_eq!(golden.lines().count(), 142);
    }
}

#[test]
fn running_text_is_split_alike_from_either_file() {
    let Some(fixtures) = fixtures("running text in Swallow's tokenizer") else {
        return;
    };
    let dir = fixtures.join("tokenizers/swallow");
    let model = Tokenizer::of(&dir.join("tokenizer.model"), SWALLOW);
    let json = Tokenizer::of(&dir.join("tokenizer.json"), SWALLOW);
    for corpus in ["corpora/neko.txt", "corpora/sotu.txt"] {
        let text = std::fs::read_to_string(fixtures.join(corpus)).expect("a text");
        for line in text.lines().take(1000) {
            // Indented too: runs of spaces are tokens of their own.
            let line = format!("    {line}   \t     x");
            assert_eq!(model.ids(&line), json.ids(&line), "{line}");
        }
    }
}

/// A vocabulary of `<unk>`, `<s>`, `</s>`, then `first` tokens, then `rest`.
fn vocab(first: impl Iterator<Item = String>, rest: &[&str]) -> Map<String, Json> {
    let special = ["<unk>", "<s>", "</s>"].map(str::to_owned).into_iter();
    let texts = special
        .chain(first)
        .chain(rest.iter().map(|text| (*text).to_owned()));
    texts
        .enumerate()
        .map(|(id, text)| (text, id.into()))
        .collect()
}

#[test]
fn merges_of_tokenizer_json_are_done_in_their_order() {
    let bytes = (0..256).map(|byte| format!("<0x{byte:02X}>"));
    let vocab = vocab(bytes, &["▁", "a", "b", "c", "ab", "bc", "▁a", "abc"]);
    let [space, a, b, c, ab, bc, space_a, abc] = std::array::from_fn(|index| 259 + index as i32);
    let split = |merges: &[&str], text: &str| {
        let mut vocab = vocab.clone();
        // llama.cpp joins neighbours to any token, whether a merge makes it or not.
        vocab.retain(|token, _| token != "abc" || merges.contains(&"a bc"));
        let json = json!({
            "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": false},
            "model": {"type": "BPE", "byte_fallback": true, "vocab": vocab, "merges": merges},
        });
        let tokenizer = Tokenizer::new("tokenizer.json", json.to_string().as_bytes(), vocab.len());
        tokenizer.ids(text)
    };
    // With scores that are all the same, the leftmost merge would always come first.
    assert_eq!(split(&["b c", "a b", "▁ a"], "abc"), [1, space_a, bc]);
    assert_eq!(split(&["a b", "b c", "▁ a"], "abc"), [1, space, ab, c]);
    assert_eq!(
        split(&["b c", "a bc", "▁ a", "a b"], "abca"),
        [1, space, abc, a]
    );
    assert_eq!(
        split(&["b c", "a b", "▁ a"], "é"),
        [1, space, 3 + 0xC3, 3 + 0xA9]
    );
    assert_eq!(split(&["b c", "a b"], "b b"), [1, space, b, space, b]);
}
