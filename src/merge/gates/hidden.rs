//! The hidden states that a base model makes of prompts: it is converted to a GGUF in a folder that is
//! there for a while, and run by llama.cpp, one prompt after another.
//!
//! The GGUF is in BF16, the format that mergekit loads every model in, or in Q8_0 where that would not
//! fit into memory. It is mapped, so that where neither fits the work is slow, but is done.

use std::{path::Path, sync::atomic::Ordering};

use indicatif::DecimalBytes;

use super::{
    GateError,
    prompts::{GateProgress, PromptOptions, Tokens, subtract},
};
use crate::{
    convert::{CheckpointOptions, CheckpointSource, Conversion, ConvertError, WriteOptions},
    file_type::FileType,
    memory::Machine,
    runner::{Attention, LayerInputs, LayerModel, LayerReader},
};

/// How the states of a prompt's tokens become one vector for each layer, and of which model.
pub(super) struct HiddenStates<'a> {
    /// Whether it is the mean over the tokens; else the last one.
    pub(super) mean: bool,
    /// The token that fills shorter prompts up, where the mean is taken.
    pub(super) filler: Option<u32>,
    pub(super) base: &'a CheckpointSource,
    pub(super) options: &'a PromptOptions<'a>,
}

impl HiddenStates<'_> {
    /// For each expert the vector of each layer.
    pub(super) fn of_prompts(
        &self,
        experts: &[Tokens],
        scratch: &Path,
        notes: &mut Vec<String>,
    ) -> Result<Vec<Vec<Vec<f64>>>, GateError> {
        let path = scratch.join("base.gguf");
        self.convert(&path, notes)?;
        let model = LayerModel::load(&path)?;
        let prompts = || {
            experts
                .iter()
                .flat_map(|e| e.positive.iter().chain(&e.negative))
        };
        let longest = prompts().map(Vec::len).max().unwrap_or(0);
        let threads = self.options.threads.map_or_else(num_cpus::get, usize::from);
        let mut session = Session {
            reader: model.reader(
                u32::try_from(longest).unwrap_or(u32::MAX),
                u32::try_from(threads).unwrap_or(u32::MAX),
            )?,
            states: self,
            filler: None,
            done: 0,
            total: prompts().count(),
        };
        let vectors = experts.iter().map(|expert| {
            let mut vectors = session.mean_of(&expert.positive)?;
            if !expert.negative.is_empty() {
                let negative = session.mean_of(&expert.negative)?;
                for (vector, other) in std::iter::zip(&mut vectors, &negative) {
                    subtract(vector, other);
                }
            }
            Ok(vectors)
        });
        vectors.collect()
    }

    /// Writes the base model's GGUF to `path`.
    fn convert(&self, path: &Path, notes: &mut Vec<String>) -> Result<(), GateError> {
        let options = self.options;
        let plan = |file_type: FileType| {
            Conversion::of_checkpoint(&CheckpointOptions {
                source: self.base.clone(),
                wishes: file_type.into(),
                chat_template: None,
                pre: self.options.pre,
            })
        };
        let mut conversion = plan(FileType::BF16)?;
        let memory = options
            .memory
            .unwrap_or_else(|| Machine::now(Vec::new()).free);
        let whole = conversion.plan.file_bytes();
        if whole > memory {
            conversion = plan(FileType::Q8_0)?;
            let quantized = conversion.plan.file_bytes();
            let size = |bytes| DecimalBytes(bytes).to_string();
            let mut note = format!(
                "the base model takes {} in BF16, and there are {} of memory: its hidden states are computed from Q8_0, which takes {}",
                size(whole),
                size(memory),
                size(quantized)
            );
            if quantized > memory {
                note += ", still more, so that it is read from disk again and again";
            }
            notes.push(note);
        }
        conversion.write(
            path,
            &WriteOptions {
                threads: options.threads,
                ..WriteOptions::default()
            },
            options.cancel,
            &|progress| (options.progress)(GateProgress::Converting(progress)),
        )?;
        Ok(())
    }
}

/// The base model, reading prompts.
struct Session<'a> {
    reader: LayerReader<'a>,
    states: &'a HiddenStates<'a>,
    /// What a filler brings to each layer, once it is known.
    filler: Option<LayerInputs>,
    /// Prompts read.
    done: usize,
    total: usize,
}

impl Session<'_> {
    /// For each layer the mean vector of `prompts`.
    fn mean_of(&mut self, prompts: &[Vec<u32>]) -> Result<Vec<Vec<f64>>, GateError> {
        let longest = prompts.iter().map(Vec::len).max().unwrap_or(0);
        let mut mean: Vec<Vec<f64>> = Vec::new();
        for prompt in prompts {
            let vectors = self.vectors(prompt, longest)?;
            if mean.is_empty() {
                mean = vectors
                    .iter()
                    .map(|vector| vec![0.0; vector.len()])
                    .collect();
            }
            for (mean, vector) in std::iter::zip(mean.iter_mut().flatten(), vectors.concat()) {
                *mean += vector / prompts.len() as f64;
            }
        }
        Ok(mean)
    }

    /// For each layer the vector of one prompt, filled up to `length` tokens.
    fn vectors(&mut self, prompt: &[u32], length: usize) -> Result<Vec<Vec<f64>>, GateError> {
        let options = self.states.options;
        if options.cancel.load(Ordering::Relaxed) {
            return Err(ConvertError::Interrupted.into());
        }
        let inputs = self.reader.read(prompt, Attention::Causal)?;
        self.done += 1;
        (options.progress)(GateProgress::Prompts {
            done: self.done,
            total: self.total,
        });
        if !self.states.mean {
            let widen = |row: &Vec<f32>| row.iter().map(|value| f64::from(*value)).collect();
            return Ok(inputs.last.iter().map(widen).collect());
        }
        let mut sums = inputs.sums;
        let mut count = prompt.len();
        if let Some(token) = self.states.filler.filter(|_| length > count) {
            let filler = match self.filler.take() {
                Some(filler) => filler,
                None => self.reader.read(&[token], Attention::None)?,
            };
            let fillers = (length - count) as f64;
            let values = filler.sums.iter().flatten();
            for (sum, value) in std::iter::zip(sums.iter_mut().flatten(), values) {
                *sum += fillers * value;
            }
            count = length;
            self.filler = Some(filler);
        }
        for sum in sums.iter_mut().flatten() {
            *sum /= count as f64;
        }
        Ok(sums)
    }
}
