//! `swallow-gguf merge`

use std::path::PathBuf;

use clap::{Args, ValueEnum, builder::NonEmptyStringValueParser};

use super::{WriteArgs, write::split_bytes};
use crate::{
    merge::Asked,
    model::{SkipPattern, vocabulary::PreTokenizer},
};

/// `swallow-gguf merge`
#[derive(Debug, Args)]
#[command(after_help = "\
The recipe is mergekit-moe's: base_model, experts (source_model, positive_prompts, negative_prompts, \
noise_scale, residual_scale), shared_experts, gate_mode, dtype, experts_per_token, architecture; and \
tokenizer_source, base or union. Models are folders relative to the recipe, or hf:ORG/NAME. Unknown keys are errors.

The weights go from the parents' shards to the GGUF in one pass. The same recipe and seed give the \
same file, and the file that convert makes of the checkpoint that --write-safetensors writes.")]
pub struct MergeArgs {
    /// Recipe for a Mixture of Experts, as mergekit-moe reads it
    #[arg(value_name = "RECIPE.yml")]
    pub recipe: PathBuf,

    /// Name of the merged model [default: the recipe's, without its ending]
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub name: Option<String>,

    /// Seed of random gates and noise, recorded in the file [default: 0]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,

    /// What to make: mixtral, qwen2 or qwen3 [default: the recipe's, else what is made of such parents]
    #[arg(long, value_name = "NAME", value_parser = asked)]
    pub architecture: Option<Asked>,

    /// Experts used for each token, whatever the recipe says
    #[arg(long, value_name = "N")]
    pub experts_per_token: Option<u32>,

    /// Safetensors file of gates in the place of the recipe's, with the names of a checkpoint
    #[arg(long, value_name = "FILE")]
    pub gates: Option<PathBuf>,

    /// Leave out the parents' tensors in whose names REGEX is found. May be repeated
    #[arg(long = "skip-tensor", value_name = "REGEX")]
    pub skip_tensors: Vec<SkipPattern>,

    /// Write the gates to a safetensors file, which --gates takes
    #[arg(long, value_name = "FILE")]
    pub save_gates: Option<PathBuf>,

    /// Write the merged checkpoint to the folder DIR instead of a GGUF
    #[arg(
        long,
        value_name = "DIR",
        conflicts_with_all = ["output", "file_type", "force", "checksum", "split_max_size", "chat_template"]
    )]
    pub write_safetensors: Option<PathBuf>,

    /// Layout of the experts in the checkpoint
    #[arg(long, default_value = "separate", requires = "write_safetensors")]
    pub layout: LayoutArg,

    /// Bytes of tensors in a shard of the checkpoint, for example 5G or 500M
    #[arg(
        long,
        value_name = "N[M|G]",
        default_value = "5G",
        value_parser = split_bytes,
        requires = "write_safetensors"
    )]
    pub shard_size: u64,

    /// Chat template to embed: swallow, swallow-instruct, llama-2, chatml, mistral-v1, mistral-v3,
    /// mistral-v3-tekken, mistral-v7, mistral-v7-tekken or a Jinja file
    #[arg(long, value_name = "NAME|FILE")]
    pub chat_template: Option<String>,

    /// Pre-tokenizer by llama.cpp's name, for example qwen2, instead of the one that tokenizer.json is
    /// recognized to describe
    #[arg(long, value_name = "NAME")]
    pub pre: Option<PreTokenizer>,

    /// What to write.
    #[command(flatten)]
    pub write: WriteArgs,
}

fn asked(text: &str) -> Result<Asked, String> {
    text.parse()
        .map_err(|expected: String| format!("expected {expected}"))
}

/// How the experts of a checkpoint are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LayoutArg {
    /// A tensor for each expert, which llama.cpp and transformers 4 read
    Separate,
    /// Gate and up projections of all experts in one tensor, as transformers 5 has them
    Fused,
}
