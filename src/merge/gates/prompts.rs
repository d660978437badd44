//! Gates of prompts: what an expert's prompts have in common is the direction its tokens are expected in.
//!
//! For each layer a vector is made of the positive prompts of an expert, and one of the negative prompts,
//! where it has some. The gate is their difference, scaled to length 1. As mergekit does:
//!
//! - The tokens of a prompt are BOS, if the vocabulary has it, then the prompt's own; special tokens
//!   that a prompt names are read as such. They are llama.cpp's tokens, which is what the merged model
//!   will be given.
//! - `cheap_embed`: the vector is the sum of the embeddings of all tokens of all prompts, scaled to
//!   length 1 before the difference is taken.
//! - `hidden_last` and `hidden`: the vector of layer N is the mean over the prompts of the state that goes
//!   into layer N at the last token.
//! - `hidden_avg`: the mean over the prompts of the mean over the tokens. mergekit evaluates all
//!   prompts at once, filled up at the left with BOS (or EOS, where there is none) to the length of
//!   the longest, and takes the mean over the fillers too. A filler attends to nothing, so its state
//!   in each layer is the same whatever the prompt; it is computed once and counted as often as
//!   there are fillers.
//!
//! mergekit computes hidden states in bf16 from end to end. Here the weights are those in bf16, and what is
//! computed of them is f32, sums over tokens f64.

use std::{
    collections::BTreeMap,
    fs,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
};

use super::{GateError, GateMode, Gates, hidden, matrix::Matrix};
use crate::{
    convert::{CheckpointSource, Progress},
    gguf::{self, DEFAULT_ALIGNMENT, KeyValues, Value},
    merge::error::plain,
    model::{
        ModelConfig, metadata, tensors,
        vocabulary::{self, PreTokenizer, VocabularyRequest},
    },
    runner::Tokenizer,
    source::Checkpoint,
};

/// Vectors of less than this length are not scaled to 1 but as if they had it.
const SHORTEST: f64 = 1e-8;

/// The prompts of one expert.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prompts {
    /// What should be routed to it.
    pub positive: Vec<String>,
    /// What should not.
    pub negative: Vec<String>,
}

/// How to make gates of prompts.
#[derive(Clone, Copy)]
pub struct PromptOptions<'a> {
    /// How many of the experts, the last ones, are shared ones.
    pub n_shared: usize,
    /// Threads to compute with; `None` for as many as there are cores.
    pub threads: Option<NonZeroUsize>,
    /// Bytes of memory that the base model may take; `None` for what the system has free. A base
    /// model that takes more in BF16 is quantized to Q8_0.
    pub memory: Option<u64>,
    /// The pre-tokenizer to name, instead of the one that is recognized.
    pub pre: Option<PreTokenizer>,
    /// A folder for the base model's GGUF, which is there while its hidden states are computed.
    pub scratch: &'a Path,
    /// Looked at all the time; ends the work where it is set.
    pub cancel: &'a AtomicBool,
    /// Told how far it is, from this and other threads.
    pub progress: &'a (dyn Fn(GateProgress<'_>) + Sync),
}

/// How far the making of gates is.
#[derive(Clone, Copy, Debug)]
pub enum GateProgress<'a> {
    /// The base model is converted for llama.cpp.
    Converting(Progress<'a>),
    /// So many prompts have been read.
    Prompts {
        /// Prompts read.
        done: usize,
        /// Prompts of all experts.
        total: usize,
    },
}

/// The token ids of one expert's prompts.
#[derive(Clone, Debug, Default)]
pub(super) struct Tokens {
    pub(super) positive: Vec<Vec<u32>>,
    pub(super) negative: Vec<Vec<u32>>,
}

/// The special tokens that prompts are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Special {
    bos: Option<u32>,
    eos: Option<u32>,
}

/// What messages call the expert with this index, of `all`.
fn place(expert: usize, all: usize, n_shared: usize) -> String {
    match expert.checked_sub(all - n_shared.min(all)) {
        None => format!("experts[{expert}]"),
        Some(shared) => format!("shared_experts[{shared}]"),
    }
}

/// Makes gates of the experts' prompts, with what the base model `base` makes of them. Things to tell the
/// user are added to `notes`.
///
/// # Errors
/// When the mode looks at no prompts, an expert has no positive ones, a prompt is longer than the base
/// model can read, the base model is not one that can be converted or run, there is no room in
/// `scratch`, or `cancel` was set.
pub fn from_prompts(
    mode: GateMode,
    base: &CheckpointSource,
    experts: &[Prompts],
    options: &PromptOptions<'_>,
    notes: &mut Vec<String>,
) -> Result<Gates, GateError> {
    let mode_name = mode.name();
    if !mode.looks_at_prompts() {
        return Err(GateError::NotOfPrompts { mode: mode_name });
    }
    let place = |expert| place(expert, experts.len(), options.n_shared);
    if let Some(expert) = experts.iter().position(|e| e.positive.is_empty()) {
        return Err(GateError::NoPrompts {
            expert: place(expert),
            mode: mode_name,
        });
    }
    let checkpoint = base.open()?;
    let config =
        ModelConfig::from_json(&checkpoint.config).map_err(crate::convert::ConvertError::from)?;
    let scratch = fs::metadata(options.scratch)
        .and_then(|_| {
            tempfile::Builder::new()
                .prefix(".gates-")
                .tempdir_in(options.scratch)
        })
        .map_err(|error| GateError::Write {
            path: options.scratch.into(),
            error: plain(error),
        })?;
    let (tokens, special) = tokenize(
        &checkpoint,
        &config,
        experts,
        &place,
        options.pre,
        scratch.path(),
    )?;
    let vectors = match mode {
        GateMode::CheapEmbed => {
            let vectors: Result<Vec<_>, _> = tokens
                .iter()
                .map(|expert| embedded(&checkpoint, &config, expert))
                .collect();
            vectors?
        }
        _ => {
            let reader = hidden::HiddenStates {
                mean: mode == GateMode::HiddenAvg,
                filler: special.bos.or(special.eos),
                base,
                options,
            };
            reader.of_prompts(&tokens, scratch.path(), notes)?
        }
    };
    Ok(joined(&config, &vectors, &place)?.with_shared(options.n_shared))
}

/// The gates of experts whose vectors of all layers are given.
fn joined(
    config: &ModelConfig,
    experts: &[Vec<Vec<f64>>],
    place: &dyn Fn(usize) -> String,
) -> Result<Gates, GateError> {
    let (n_layer, n_embd) = (config.n_layer as usize, config.n_embd as usize);
    let mut layers = Vec::with_capacity(n_layer);
    for layer in 0..n_layer {
        let mut rows = Vec::with_capacity(experts.len() * n_embd);
        for (expert, vectors) in experts.iter().enumerate() {
            let mut vector = vectors[layer].clone();
            if vector.iter().any(|value| !value.is_finite()) {
                let expert = place(expert);
                return Err(GateError::Overflow { expert, layer });
            }
            normalize(&mut vector);
            rows.extend(vector.iter().map(|value| *value as f32));
        }
        layers.push(rows);
    }
    Ok(Gates {
        n_layer,
        n_expert: experts.len(),
        n_embd,
        layers,
        shared: Vec::new(),
    })
}

/// Scales a vector to length 1.
fn normalize(vector: &mut [f64]) {
    let length = vector.iter().map(|value| value * value).sum::<f64>().sqrt();
    let length = length.max(SHORTEST);
    vector.iter_mut().for_each(|value| *value /= length);
}

/// Subtracts `other` from `vector`.
pub(super) fn subtract(vector: &mut [f64], other: &[f64]) {
    for (value, other) in std::iter::zip(vector, other) {
        *value -= other;
    }
}

/// The tokens of all prompts, and the special ones of the vocabulary.
fn tokenize(
    checkpoint: &Checkpoint,
    config: &ModelConfig,
    experts: &[Prompts],
    place: &dyn Fn(usize) -> String,
    pre: Option<PreTokenizer>,
    scratch: &Path,
) -> Result<(Vec<Tokens>, Special), GateError> {
    let request = VocabularyRequest {
        dir: &checkpoint.dir,
        vocab_size: config.n_vocab as usize,
        config: &checkpoint.config,
        policy: vocabulary::policy::LLAMA,
        chat_template: None,
        pre,
    };
    let vocabulary = vocabulary::read(&request).map_err(crate::convert::ConvertError::from)?;
    let special = Special {
        bos: special_id(&vocabulary.key_values, "bos"),
        eos: special_id(&vocabulary.key_values, "eos"),
    };
    let path = scratch.join("vocabulary.gguf");
    write_vocabulary(&path, config, vocabulary.key_values)?;
    let tokenizer = Tokenizer::load(&path)?;
    let tokens_of = |expert: usize, prompts: &[String]| -> Result<Vec<Vec<u32>>, GateError> {
        let all = prompts.iter().map(|prompt| {
            let mut tokens: Vec<u32> = special.bos.into_iter().collect();
            tokens.extend(tokenizer.tokenize(prompt));
            if tokens.is_empty() {
                let expert = place(expert);
                return Err(GateError::EmptyPrompt { expert });
            }
            if tokens.len() > config.n_ctx as usize {
                return Err(GateError::PromptTooLong {
                    expert: place(expert),
                    prompt: beginning(prompt),
                    tokens: tokens.len(),
                    context: config.n_ctx,
                });
            }
            Ok(tokens)
        });
        all.collect()
    };
    let tokens: Result<Vec<_>, GateError> = experts
        .iter()
        .enumerate()
        .map(|(expert, prompts)| {
            Ok(Tokens {
                positive: tokens_of(expert, &prompts.positive)?,
                negative: tokens_of(expert, &prompts.negative)?,
            })
        })
        .collect();
    Ok((tokens?, special))
}

/// The id that a vocabulary gives to a kind of special token.
fn special_id(key_values: &KeyValues, kind: &str) -> Option<u32> {
    let key = format!("tokenizer.ggml.{kind}_token_id");
    let found = key_values.iter().find(|(k, _)| *k == key);
    found.and_then(|(_, value)| match value {
        Value::U32(id) => Some(*id),
        _ => None,
    })
}

/// Writes a GGUF with a vocabulary and no tensors.
fn write_vocabulary(
    path: &Path,
    config: &ModelConfig,
    vocabulary: KeyValues,
) -> Result<(), GateError> {
    let mut key_values: KeyValues = vec![(
        "general.architecture".into(),
        config.architecture.gguf.into(),
    )];
    metadata::add_hyper_parameters(&mut key_values, config)
        .map_err(crate::convert::ConvertError::from)?;
    key_values.extend(vocabulary);
    let header = gguf::encode_header(&key_values, &[], DEFAULT_ALIGNMENT);
    fs::write(path, header).map_err(|error| GateError::Write {
        path: PathBuf::from(path),
        error,
    })
}

/// How a prompt begins, for messages of one line.
fn beginning(prompt: &str) -> String {
    const CHARS: usize = 32;
    let line: String = prompt.chars().take(CHARS).collect();
    let line = line.replace(char::is_control, " ");
    match prompt.chars().nth(CHARS) {
        None => line,
        Some(_) => format!("{line}…"),
    }
}

/// `cheap_embed`: the vectors of one expert, the same in every layer.
fn embedded(
    checkpoint: &Checkpoint,
    config: &ModelConfig,
    tokens: &Tokens,
) -> Result<Vec<Vec<f64>>, GateError> {
    let name = tensors::embedding_name(config, checkpoint);
    let Checkpoint {
        shards, tensors, ..
    } = checkpoint;
    let matrix = Matrix::find(&name, shards, tensors, &checkpoint.dir, "")?;
    matrix.expect(matrix.n_rows, config.n_embd as usize)?;
    let direction = |prompts: &[Vec<u32>]| -> Result<Vec<f64>, GateError> {
        let mut counts: BTreeMap<u32, u64> = BTreeMap::new();
        for &token in prompts.iter().flatten() {
            *counts.entry(token).or_default() += 1;
        }
        let mut sum = vec![0.0; matrix.n_columns];
        for (token, count) in counts {
            if token as usize >= matrix.n_rows {
                return Err(GateError::NoEmbedding {
                    token,
                    tensor: name.clone(),
                    path: matrix.path().into(),
                    rows: matrix.n_rows,
                });
            }
            let row = matrix.read_row(token as usize)?;
            for (sum, value) in std::iter::zip(&mut sum, row) {
                *sum += count as f64 * f64::from(value);
            }
        }
        normalize(&mut sum);
        Ok(sum)
    };
    let mut vector = direction(&tokens.positive)?;
    if !tokens.negative.is_empty() {
        subtract(&mut vector, &direction(&tokens.negative)?);
    }
    Ok(vec![vector; config.n_layer as usize])
}
