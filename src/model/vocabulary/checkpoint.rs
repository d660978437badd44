//! A checkpoint's tokenizer files: which of them is read, and the tokens that are in it.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value as Json};

use super::{
    VocabularyError, VocabularyRequest,
    added::{self, Style},
    byte_level, files,
    named::NamedTokens,
    policy::{TokenizerFile, TokenizerPolicy, TokenizerRule, TokenizerWay},
    pre_tokenizer, sentencepiece,
    special::Sources,
    spm_json, tekken, tiktoken,
    tokenizer_json::{self, Surroundings, TokenizerJson},
    tokens::Tokens,
    written::Written,
};

/// The files that decide how tokens are read.
pub(super) struct Checkpoint<'a> {
    request: &'a VocabularyRequest<'a>,
    /// tokenizer_config.json.
    config_path: &'a Path,
    pub(super) config: Option<&'a Map<String, Json>>,
    /// What it and other files call special.
    named: NamedTokens,
    json_path: PathBuf,
}

/// The file that is read, and the way.
pub(super) struct Found {
    pub(super) way: &'static TokenizerWay,
    pub(super) path: PathBuf,
    content: Content,
}

enum Content {
    Bytes(Vec<u8>),
    Json(Box<TokenizerJson>),
}

/// What is to be looked for once the tokens are written.
pub(super) struct Rest<'a> {
    /// Where the special tokens are.
    pub(super) sources: Sources<'a>,
    /// The chat template that this kind of file stands for, and the version that it has, of those
    /// that bring none themselves.
    pub(super) chat_format: Option<String>,
}

impl<'a> Checkpoint<'a> {
    /// Reads what is beside the tokenizer's file. `config` is tokenizer_config.json, read from
    /// `config_path`.
    pub(super) fn open(
        request: &'a VocabularyRequest<'a>,
        config_path: &'a Path,
        config: Option<&'a Map<String, Json>>,
    ) -> Result<Self, VocabularyError> {
        Ok(Self {
            request,
            config_path,
            config,
            named: NamedTokens::read(request.dir, config)?,
            json_path: request.dir.join("tokenizer.json"),
        })
    }

    /// The first way of the policy whose file is there.
    pub(super) fn find(&self) -> Result<Found, VocabularyError> {
        // Read when it is first asked for.
        let mut json: Option<Option<TokenizerJson>> = None;
        let ways = self.request.policy.ways;
        for way in ways {
            let path = self.request.dir.join(way.file.name());
            let is_wanted = match way.file {
                TokenizerFile::Tekken => !self.json_path.is_file(),
                TokenizerFile::ByteLevelOfClass(class) => self.class() == Some(class),
                _ => true,
            };
            if !is_wanted {
                continue;
            }
            let content = match way.file {
                TokenizerFile::Tekken
                | TokenizerFile::SentencePiece
                | TokenizerFile::Tiktoken(_) => files::read(&path)?.map(Content::Bytes),
                TokenizerFile::SentencePieceJson
                | TokenizerFile::ByteLevel
                | TokenizerFile::ByteLevelOfClass(_) => {
                    let read = match json.take() {
                        Some(read) => read,
                        None => tokenizer_json::read(&path)?,
                    };
                    let is_spm = way.file == TokenizerFile::SentencePieceJson;
                    match read {
                        Some(read) if !is_spm || read.model.byte_fallback => {
                            Some(Content::Json(Box::new(read)))
                        }
                        read => {
                            json = Some(read);
                            None
                        }
                    }
                }
            };
            if let Some(content) = content {
                return Ok(Found { way, path, content });
            }
        }
        Err(no_tokenizer(self.request.dir, self.request.policy))
    }

    /// `tokenizer_class` of tokenizer_config.json.
    fn class(&self) -> Option<&str> {
        self.config?.get("tokenizer_class")?.as_str()
    }

    /// Writes the tokens, and tells where the rest is to be looked for.
    pub(super) fn write_tokens(
        &self,
        found: Found,
        written: &mut Written,
    ) -> Result<Rest<'a>, VocabularyError> {
        let Found { way, path, content } = found;
        let n_vocab = self.request.vocab_size;
        let rest = |tokenizer| Rest {
            sources: Sources {
                tokenizer,
                tokenizer_config: self.config,
                config: self.request.config,
                n_vocab: Some(n_vocab),
            },
            chat_format: None,
        };
        match (way.file, content) {
            (TokenizerFile::Tekken, Content::Bytes(bytes)) => {
                let mut tekken = tekken::read(&path, &bytes, n_vocab)?;
                tekken.tokens.check_unique(&path)?;
                let chat_format = Some(std::mem::take(&mut tekken.version));
                let pre = pre_tokenizer::of_pattern(&path, &tekken.pattern, self.request.pre)?;
                written.put_tekken(pre.name(), tekken);
                // The file says it all.
                let sources = Sources {
                    tokenizer: None,
                    tokenizer_config: None,
                    config: &Json::Null,
                    n_vocab: None,
                };
                Ok(Rest {
                    sources,
                    chat_format,
                })
            }
            (TokenizerFile::Tiktoken(family), Content::Bytes(bytes)) => {
                let read = tiktoken::read(&path, &bytes, family, n_vocab)?;
                written.notes.extend(read.notes);
                read.tokens.check_unique(&path)?;
                written.put_byte_level(family.pre, read.tokens, read.merges);
                Ok(rest(None))
            }
            (_, Content::Bytes(bytes)) => self
                .write_sentencepiece(way, &path, &bytes, written)
                .map(rest),
            (TokenizerFile::SentencePieceJson, Content::Json(json)) => {
                let spm = spm_json::read(&path, &json, self.config, n_vocab)?;
                written.notes.extend(spm.notes);
                if !spm.space_prefix && written.key_values.is_empty() {
                    // Without it, llama.cpp would put a space before the text.
                    written.put("tokenizer.ggml.add_space_prefix", false);
                }
                let mut tokens = spm.tokens;
                self.add_tokens(&mut tokens, Style::Plain, written)?;
                self.append_named(&mut tokens, written);
                tokens.check_unique(&path)?;
                written.put_spm(tokens);
                Ok(rest(Some(json.into_surroundings())))
            }
            (_, Content::Json(json)) => {
                self.write_byte_level(&path, &json, written)?;
                Ok(rest(Some(json.into_surroundings())))
            }
        }
    }

    /// A SentencePiece model with what other files add to it.
    fn write_sentencepiece(
        &self,
        way: &TokenizerWay,
        path: &Path,
        bytes: &[u8],
        written: &mut Written,
    ) -> Result<Option<Surroundings>, VocabularyError> {
        let has = |rule| way.rules.contains(&rule);
        let mut tokens = sentencepiece::tokens(path, bytes, self.request.vocab_size)?;
        if has(TokenizerRule::RawPieces) {
            sentencepiece::amend_raw_pieces(&mut tokens);
        }
        let style = match has(TokenizerRule::AddedAsGiven) {
            true => Style::AsGiven,
            false => Style::Plain,
        };
        self.add_tokens(&mut tokens, style, written)?;
        let tokenizer: Option<Surroundings> = files::read_json(&self.json_path)?;
        if let Some(tokenizer) = &tokenizer {
            let notes = match style {
                Style::Plain => added::fill(&mut tokens, &tokenizer.added_tokens),
                Style::AsGiven => added::overrule(&mut tokens, &tokenizer.added_tokens),
            };
            written.notes.extend(notes);
        }
        self.append_named(&mut tokens, written);
        tokens.check_unique(path)?;
        written.put_spm(tokens);
        if has(TokenizerRule::SpacePrefixOfModel) {
            let prefix = sentencepiece::adds_space_prefix(path, bytes)?;
            written.put("tokenizer.ggml.add_space_prefix", prefix);
        }
        Ok(tokenizer)
    }

    fn write_byte_level(
        &self,
        path: &Path,
        tokenizer: &TokenizerJson,
        written: &mut Written,
    ) -> Result<(), VocabularyError> {
        let (pre, notes) = pre_tokenizer::detect(
            path,
            tokenizer,
            pre_tokenizer::Hints {
                asked_for: self.request.pre,
                preferred: self.request.policy.pre,
                config: self.config,
            },
        )?;
        written.notes.extend(notes);
        let tokens = byte_level::tokens(
            path,
            tokenizer,
            (self.config_path, self.config),
            &self.named,
            self.request.vocab_size,
        )?;
        tokens.check_unique(path)?;
        let merges = byte_level::merges(path, &tokenizer.model.merges)?;
        written.put_byte_level(pre.name(), tokens, merges);
        Ok(())
    }

    /// Adds to the pieces of a SentencePiece model what other files add.
    fn add_tokens(
        &self,
        tokens: &mut Tokens,
        style: Style,
        written: &mut Written,
    ) -> Result<(), VocabularyError> {
        let path = self.request.dir.join("added_tokens.json");
        if let Some(listed) = files::read_json(&path)? {
            written
                .notes
                .extend(added::add_listed(tokens, &path, &listed)?);
        }
        if let Some(config) = self.config {
            let notes = added::add_decoder(tokens, self.config_path, config, style)?;
            written.notes.extend(notes);
        }
        Ok(())
    }

    /// Adds what is named as special and is no token yet.
    fn append_named(&self, tokens: &mut Tokens, written: &mut Written) {
        let notes = added::append(tokens, &self.named.special);
        written.notes.extend(notes);
    }
}

impl TokenizerFile {
    /// The file's name.
    fn name(self) -> &'static str {
        match self {
            Self::Tekken => "tekken.json",
            Self::SentencePiece => "tokenizer.model",
            Self::SentencePieceJson | Self::ByteLevel | Self::ByteLevelOfClass(_) => {
                "tokenizer.json"
            }
            Self::Tiktoken(ranks) => ranks.file,
        }
    }
}

/// What is said where none of the policy's files is there.
fn no_tokenizer(dir: &Path, policy: TokenizerPolicy) -> VocabularyError {
    const KNOWN: [&str; 10] = [
        "tokenizer.model",
        "tokenizer.json",
        "tekken.json",
        "hy.tiktoken",
        "vocab.json",
        "merges.txt",
        "vocab.txt",
        "tiktoken.model",
        "spiece.model",
        "sentencepiece.bpe.model",
    ];
    let known = || KNOWN.iter().copied();
    let is_read = |name: &&str| policy.ways.iter().any(|way| way.file.name() == *name);
    let expected: Vec<&str> = known().filter(is_read).collect();
    let found: Vec<&str> = known().filter(|name| dir.join(name).is_file()).collect();
    VocabularyError::NoTokenizer {
        dir: dir.to_owned(),
        expected: joined(&expected, "or"),
        found: match found.is_empty() {
            true => "none".to_owned(),
            false => joined(&found, "and"),
        },
    }
}

/// Names as a sentence has them.
fn joined(names: &[&str], last: &str) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match names.as_slice() {
        [all @ .., end] if !all.is_empty() => format!("{} {last} {end}", all.join(", ")),
        _ => names.concat(),
    }
}
