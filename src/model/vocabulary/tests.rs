//! Tiny tokenizers, generated here.

mod added;
mod byte_level;
mod policies;
mod pre_tokenizer;
mod ranks;
mod special;
mod spm;

use std::path::Path;

use bstr::BString;
use prost::Message;
use serde_json::{Value as Json, json};
use tempfile::TempDir;

use super::{
    TokenizerPolicy, Vocabulary, VocabularyError, VocabularyRequest, policy, read,
    sentencepiece::{ModelProto, ModelType, Piece, PieceType, TrainerSpec},
};
use crate::gguf::{Array, Value};

/// A checkpoint folder of these files.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    fn with(self, name: &str, bytes: impl AsRef<[u8]>) -> Self {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        std::fs::write(path, bytes).expect("a file");
        self
    }

    fn json(self, name: &str, json: Json) -> Self {
        self.with(name, json.to_string())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn read(&self, vocab_size: usize) -> Result<Vocabulary, VocabularyError> {
        self.read_with(vocab_size, json!({}))
    }

    fn read_with(&self, vocab_size: usize, config: Json) -> Result<Vocabulary, VocabularyError> {
        self.read_by(policy::LLAMA, vocab_size, config)
    }

    fn read_by(
        &self,
        policy: TokenizerPolicy,
        vocab_size: usize,
        config: Json,
    ) -> Result<Vocabulary, VocabularyError> {
        let dir = self.path();
        read(&VocabularyRequest {
            dir,
            vocab_size,
            config: &config,
            policy,
            chat_template: None,
            pre: None,
        })
    }

    /// The message of the error, with the folder's path as `DIR`.
    fn error(&self, vocab_size: usize) -> String {
        let error = self.read(vocab_size).expect_err("an error");
        // As the terminal shows it, with its causes.
        let error = format!("{:#}", anyhow::Error::from(error));
        error
            .replace(&self.path().display().to_string(), "DIR")
            .replace("DIR\\", "DIR/")
    }
}

impl Vocabulary {
    fn keys(&self) -> Vec<&str> {
        self.key_values
            .iter()
            .map(|(key, _)| key.as_str())
            .collect()
    }

    fn get(&self, key: &str) -> &Value {
        let key = format!("tokenizer.{key}");
        &self
            .key_values
            .iter()
            .find(|(known, _)| *known == key)
            .expect("the key")
            .1
    }

    fn texts(&self) -> Vec<String> {
        strings(self.get("ggml.tokens"))
    }

    fn types(&self) -> &[i32] {
        match self.get("ggml.token_type") {
            Value::Array(Array::I32(types)) => types,
            other => panic!("{other:?}"),
        }
    }

    fn scores(&self) -> &[f32] {
        match self.get("ggml.scores") {
            Value::Array(Array::F32(scores)) => scores,
            other => panic!("{other:?}"),
        }
    }
}

fn strings(value: &Value) -> Vec<String> {
    match value {
        Value::Array(Array::String(texts)) => texts.iter().map(BString::to_string).collect(),
        other => panic!("{other:?}"),
    }
}

/// A SentencePiece BPE model of these pieces.
fn model(pieces: &[(&str, f32, PieceType)]) -> ModelProto {
    let piece = |&(text, score, kind): &(&str, f32, PieceType)| Piece {
        piece: Some(text.into()),
        score: Some(score),
        kind: Some(kind as i32),
    };
    ModelProto {
        pieces: pieces.iter().map(piece).collect(),
        trainer_spec: Some(TrainerSpec {
            model_type: Some(ModelType::Bpe as i32),
            byte_fallback: Some(true),
        }),
    }
}

/// A model of nine pieces, of every type.
fn small_model() -> Vec<u8> {
    use PieceType::{Byte, Control, Normal, Unknown, Unused, UserDefined};
    let pieces = [
        ("<unk>", 0.0, Unknown),
        ("<s>", 0.0, Control),
        ("</s>", 0.0, Control),
        ("<0x0A>", 0.0, Byte),
        ("ab", -0.0, Normal),
        ("▁", -1.0, Normal),
        ("a", -2.0, Normal),
        ("b", -3.0, UserDefined),
        ("c", -4.0, Unused),
    ];
    model(&pieces).encode_to_vec()
}

#[test]
fn a_folder_without_a_tokenizer_is_told_which_files_it_lacks() {
    assert_eq!(
        Folder::new().error(9),
        "no tokenizer in `DIR`: expected `tokenizer.model`, `tokenizer.json` or `tekken.json`, found none; take it from the model's repository"
    );
    assert_eq!(
        Folder::new()
            .with("vocab.json", "{}")
            .with("merges.txt", "")
            .error(9),
        "no tokenizer in `DIR`: expected `tokenizer.model`, `tokenizer.json` or `tekken.json`, found `vocab.json` and `merges.txt`; take it from the model's repository"
    );
}

#[test]
fn an_absurd_vocab_size_is_an_error_and_no_allocation() {
    let folder = Folder::new().with("tokenizer.model", small_model());
    for size in [usize::MAX, 1 << 40, (1 << 21) + 1] {
        let error = folder.read(size).expect_err("an error");
        assert!(
            matches!(error, VocabularyError::VocabSize { .. }),
            "{error}"
        );
    }
}

#[test]
fn malformed_files_are_named_with_the_place() {
    let model = || Folder::new().with("tokenizer.model", small_model());
    assert_eq!(
        model()
            .with("tokenizer_config.json", "{\n \"a\": }")
            .error(9),
        "`DIR/tokenizer_config.json`: broken JSON: expected value at line 2 column 7"
    );
    assert_eq!(
        model()
            .json(
                "tokenizer.json",
                json!({"added_tokens": [{"id": -1, "content": "x"}]})
            )
            .error(9),
        "`DIR/tokenizer.json`: JSON of another shape: invalid value: integer `-1`, expected u32 at line 1 column 25"
    );
    assert_eq!(
        model()
            .json("added_tokens.json", json!({"<x>": "1"}))
            .error(9),
        "`DIR/added_tokens.json`: `<x>`: expected a token id, found a string"
    );
    let decoder = |decoder: Json| json!({"added_tokens_decoder": decoder});
    assert_eq!(
        model()
            .json(
                "tokenizer_config.json",
                decoder(json!({"x": {"content": "<x>"}}))
            )
            .error(9),
        "`DIR/tokenizer_config.json`: `added_tokens_decoder`: expected token ids as keys, found `x`"
    );
    assert_eq!(
        model()
            .json("tokenizer_config.json", decoder(json!({"3": {}})))
            .error(9),
        "`DIR/tokenizer_config.json`: `added_tokens_decoder`, entry `3`: expected a token with `content`, found a map"
    );
    assert_eq!(
        model()
            .with("tokenizer_config.json", "{}")
            .with("chat_template.jinja", b"ab\xFF")
            .error(9),
        "`DIR/chat_template.jinja`: it is not UTF-8 at byte 2; save it as UTF-8"
    );
}

#[test]
fn every_prefix_of_a_model_is_an_error_or_a_shorter_vocabulary() {
    let bytes = small_model();
    for length in 0..bytes.len() {
        let folder = Folder::new().with("tokenizer.model", &bytes[..length]);
        // Cut after a piece, the message is whole but does not say that it is BPE.
        assert!(folder.read(9).is_err(), "{length} bytes");
    }
    assert!(Folder::new().with("tokenizer.model", bytes).read(9).is_ok());
}

#[test]
fn a_long_list_of_notes_is_cut() {
    let added: Json = (0..30)
        .map(|n| (format!("<{n}>"), json!(1000 + n)))
        .collect();
    let folder = Folder::new().with("tokenizer.model", small_model());
    let notes = folder
        .json("added_tokens.json", added)
        .read(9)
        .unwrap()
        .notes;
    assert_eq!(notes.len(), 21);
    assert_eq!(notes[20], "and 10 more like these");
}
