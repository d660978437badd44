//! `swallow-gguf bench run` and `bench speculate`: measurements of a model that runs.

use std::path::PathBuf;

use clap::{Args, value_parser};

use super::{EngineArgs, SpeculateArg};

/// `swallow-gguf bench run`
#[derive(Debug, Args)]
pub struct BenchRunArgs {
    /// GGUF file to measure
    #[arg(short, long, value_name = "FILE")]
    pub model: PathBuf,

    /// Prompts of so many tokens; 0 is none
    #[arg(short = 'p', long, value_name = "N,…", value_delimiter = ',', default_value = "512", value_parser = value_parser!(u32).range(..=MAX_TOKENS))]
    pub n_prompt: Vec<u32>,

    /// Generation of so many tokens; 0 is none
    #[arg(short = 'n', long, value_name = "N,…", value_delimiter = ',', default_value = "128", value_parser = value_parser!(u32).range(..=MAX_TOKENS))]
    pub n_gen: Vec<u32>,

    /// Tokens that are in the context before
    #[arg(short = 'd', long, value_name = "N,…", value_delimiter = ',', default_value = "0", value_parser = value_parser!(u32).range(..=MAX_TOKENS))]
    pub n_depth: Vec<u32>,

    /// How often each is measured
    #[arg(short, long, value_name = "N", default_value_t = 5, value_parser = value_parser!(u32).range(1..=1000))]
    pub repetitions: u32,

    /// Print JSON on stdout
    #[arg(long)]
    pub json: bool,

    /// What it is evaluated with.
    #[command(flatten)]
    pub engine: EngineArgs,
}

/// `swallow-gguf bench speculate`
#[derive(Debug, Args)]
pub struct BenchSpeculateArgs {
    /// GGUF file to measure
    #[arg(short, long, value_name = "FILE")]
    pub model: PathBuf,

    /// Most tokens of an answer
    #[arg(short, long, value_name = "N", default_value_t = 256, value_parser = value_parser!(u32).range(2..=MAX_TOKENS))]
    pub n_predict: u32,

    /// How often each prompt is answered each way
    #[arg(short, long, value_name = "N", default_value_t = 3, value_parser = value_parser!(u32).range(1..=1000))]
    pub repetitions: u32,

    /// Only prompts whose names have this in them, for example `edit` or `chat`
    #[arg(long, value_name = "TEXT")]
    pub only: Option<String>,

    /// As in `run`
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub speculate: SpeculateArg,

    /// As in `run`
    #[arg(long, value_name = "FILE")]
    pub draft: Option<PathBuf>,

    /// Print JSON on stdout
    #[arg(long)]
    pub json: bool,

    /// What it is evaluated with.
    #[command(flatten)]
    pub engine: EngineArgs,
}

/// More than a context has room for.
const MAX_TOKENS: i64 = 1 << 20;
