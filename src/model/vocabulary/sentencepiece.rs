//! `tokenizer.model`: a SentencePiece model, which is a protobuf message
//! (sentencepiece_model.proto). Only the fields that matter here are declared; prost skips the
//! others.

use std::{collections::HashMap, path::Path};

use prost::Message;

use super::{
    VocabularyError,
    tokens::{Token, TokenType, Tokens},
};
use crate::source::FileProblem;

/// The whole file.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ModelProto {
    /// The pieces; the index is the token id.
    #[prost(message, repeated, tag = "1")]
    pub(crate) pieces: Vec<Piece>,
    /// How the model was trained.
    #[prost(message, optional, tag = "2")]
    pub(crate) trainer_spec: Option<TrainerSpec>,
}

/// One piece.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Piece {
    /// The text, with `▁` for a space. Declared as bytes, which are the same on the wire, because
    /// GGUF does not ask for UTF-8 here.
    #[prost(bytes = "vec", optional, tag = "1")]
    pub(crate) piece: Option<Vec<u8>>,
    #[prost(float, optional, tag = "2")]
    pub(crate) score: Option<f32>,
    #[prost(enumeration = "PieceType", optional, tag = "3")]
    pub(crate) kind: Option<i32>,
}

/// What a piece is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub(crate) enum PieceType {
    Normal = 1,
    Unknown = 2,
    Control = 3,
    UserDefined = 4,
    Unused = 5,
    Byte = 6,
}

/// How the model was trained.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct TrainerSpec {
    #[prost(enumeration = "ModelType", optional, tag = "3")]
    pub(crate) model_type: Option<i32>,
    /// Whether the byte pieces stand in for unknown characters. sentencepiece itself does not load
    /// a model that has them and does not say so here.
    #[prost(bool, optional, tag = "35")]
    pub(crate) byte_fallback: Option<bool>,
}

/// The algorithm that splits words. The format's default is Unigram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub(crate) enum ModelType {
    Unigram = 1,
    Bpe = 2,
    Word = 3,
    Char = 4,
}

/// How a model normalizes text, which is all that is asked of it here.
#[derive(Clone, PartialEq, Message)]
struct NormalizingModel {
    #[prost(message, optional, tag = "3")]
    normalizer_spec: Option<NormalizerSpec>,
}

#[derive(Clone, PartialEq, Message)]
struct NormalizerSpec {
    /// Whether a space is put before a text, which is so unless it is said.
    #[prost(bool, optional, tag = "3", default = "true")]
    add_dummy_prefix: Option<bool>,
}

/// Whether the SentencePiece model in `bytes`, read from `path`, puts a space before a text.
pub(super) fn adds_space_prefix(path: &Path, bytes: &[u8]) -> Result<bool, VocabularyError> {
    let model = NormalizingModel::decode(bytes).map_err(not_a_model(path))?;
    Ok(model.normalizer_spec.unwrap_or_default().add_dummy_prefix())
}

fn not_a_model(path: &Path) -> impl FnOnce(prost::DecodeError) -> VocabularyError {
    |error| VocabularyError::Protobuf {
        path: path.to_owned(),
        error,
    }
}

/// The tokens of the SentencePiece model in `bytes`, read from `path`, padded to `vocab_size`.
pub(super) fn tokens(
    path: &Path,
    bytes: &[u8],
    vocab_size: usize,
) -> Result<Tokens, VocabularyError> {
    if bytes.is_empty() {
        return Err(VocabularyError::File {
            path: path.to_owned(),
            problem: FileProblem::Empty,
        });
    }
    let model = ModelProto::decode(bytes).map_err(not_a_model(path))?;
    check_model_type(path, &model)?;
    if model.pieces.is_empty() {
        return Err(entry(path, "pieces".to_owned(), "at least one", "none"));
    }
    if model.pieces.len() > vocab_size {
        return Err(VocabularyError::TooManyTokens {
            path: path.to_owned(),
            expected: vocab_size,
            last: model.pieces.len() - 1,
        });
    }
    let mut tokens = Tokens::padding(vocab_size)?;
    let trainer = model.trainer_spec.as_ref();
    let byte_fallback = trainer.is_some_and(|trainer| trainer.byte_fallback());
    let mut ids: HashMap<&[u8], usize> = HashMap::with_capacity(model.pieces.len());
    for (id, piece) in model.pieces.iter().enumerate() {
        let text = piece.piece.as_deref().unwrap_or_default();
        // SentencePiece itself refuses both.
        if text.is_empty() {
            return Err(entry(path, format!("piece {id}"), "a text", "none"));
        }
        if let Some(first) = ids.insert(text, id) {
            return Err(VocabularyError::DuplicateText {
                path: path.to_owned(),
                text: String::from_utf8_lossy(text).into_owned(),
                first,
                second: id,
            });
        }
        tokens.0[id] = Token {
            text: text.into(),
            score: piece.score.unwrap_or_default(),
            ty: match text {
                // Where there are bytes, SentencePiece itself does not use this one.
                b"\0" if byte_fallback => TokenType::Unused,
                _ => token_type(piece.kind()),
            },
        };
    }
    Ok(tokens)
}

/// Makes raw pieces that stand for nothing unused, and writes the NUL character as another one: to
/// llama.cpp a text ends there.
pub(super) fn amend_raw_pieces(tokens: &mut Tokens) {
    for token in &mut tokens.0 {
        if token.text == "\0" {
            token.text = "🐉".into();
        }
        if token.text.starts_with(b"[UNUSED") {
            token.ty = TokenType::Unused;
        }
    }
}

/// llama.cpp's converter leaves user-defined pieces normal: user-defined tokens of a checkpoint
/// are those that its JSON files add.
fn token_type(kind: PieceType) -> TokenType {
    match kind {
        PieceType::Normal | PieceType::UserDefined => TokenType::Normal,
        PieceType::Unknown => TokenType::Unknown,
        PieceType::Control => TokenType::Control,
        PieceType::Unused => TokenType::Unused,
        PieceType::Byte => TokenType::Byte,
    }
}

fn check_model_type(path: &Path, model: &ModelProto) -> Result<(), VocabularyError> {
    let kind = model.trainer_spec.as_ref().and_then(|spec| spec.model_type);
    let found = match kind.map(ModelType::try_from) {
        Some(Ok(ModelType::Bpe)) => return Ok(()),
        None | Some(Ok(ModelType::Unigram)) => "a SentencePiece Unigram model".to_owned(),
        Some(Ok(ModelType::Word)) => "a SentencePiece Word model".to_owned(),
        Some(Ok(ModelType::Char)) => "a SentencePiece Char model".to_owned(),
        Some(Err(prost::UnknownEnumValue(number))) => {
            format!("a SentencePiece model of the unknown type {number}")
        }
    };
    Err(VocabularyError::Unsupported {
        path: path.to_owned(),
        found,
        expected: "a SentencePiece BPE model",
    })
}

fn entry(path: &Path, place: String, expected: &str, found: &str) -> VocabularyError {
    VocabularyError::Entry {
        path: path.to_owned(),
        place,
        expected: expected.to_owned(),
        found: found.to_owned(),
    }
}
