//! The command line: clap structs and nothing else.

use std::{num::NonZeroUsize, path::PathBuf};

use crate::{
    file_type::FileType,
    mix::tensor_type,
    model::{SkipPattern, vocabulary::PreTokenizer},
    plan::Search,
};
use clap::{Args, Parser, Subcommand};
use swallow_quant::GgmlType;

mod bench_run;
mod devices;
mod knobs;
mod merge;
mod models;
mod rpc_worker;
mod run;
mod sessions;
mod write;

pub use bench_run::{BenchRunArgs, BenchSpeculateArgs};
pub use devices::DevicesArgs;
pub use knobs::{KnobArgs, TensorTypeArg, TensorTypeArgs};
pub use merge::{LayoutArg, MergeArgs};
pub use models::{ModelsAction, ModelsArgs};
pub use rpc_worker::RpcWorkerArgs;
pub use run::{
    EngineArgs, GpuLayersArg, KvTypes, LoraArg, RepackArg, RpcArgs, RunArgs, SamplingArgs,
    SessionArgs, SpeculateArg, SpeculationArgs, StoreArgs, TypeArg, with_long_options,
};
pub use sessions::{SessionsArgs, SessionsCommand};
pub use write::WriteArgs;

/// A bf16 Mixture-of-Experts checkpoint goes in, a quantized GGUF comes out, and one talks to it.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Convert a Hugging Face checkpoint, in a folder or on the hub, to a quantized GGUF in one pass
    Convert(ConvertArgs),
    /// Merge dense models into a Mixture of Experts by a recipe, and quantize it in one pass
    Merge(MergeArgs),
    /// Quantize a GGUF to another file type in one pass
    Quantize(QuantizeArgs),
    /// Chat with a model, or answer one prompt; a checkpoint is converted first, once
    Run(RunArgs),
    /// List, find and remove the models that run has converted
    Models(ModelsArgs),
    /// Lend this machine's memory and processors to a model that another machine runs
    RpcWorker(RpcWorkerArgs),
    /// List what this build can compute with, and its memory
    Devices(DevicesArgs),
    /// List, show, export and remove the chats that are kept
    Sessions(SessionsArgs),
    /// Show what is in a GGUF file
    Inspect(InspectArgs),
    /// Show what differs between two GGUF files
    Diff(DiffArgs),
    /// Check a GGUF file, alone or against the checkpoint it was made from
    Verify(VerifyArgs),
    /// Measure this machine
    Bench(BenchArgs),
}

/// `swallow-gguf convert`
#[derive(Debug, Args)]
pub struct ConvertArgs {
    /// Checkpoint folder (config.json, safetensors shards, tokenizer files), or `hf:ORG/NAME[@REVISION]`
    /// of the Hugging Face hub, which is read as it is converted
    #[arg(value_name = "SRC", required_unless_present = "list_architectures")]
    pub source: Option<PathBuf>,

    /// List the families of models that are converted, with the names that config.json has for them
    #[arg(long, exclusive = true)]
    pub list_architectures: bool,

    /// Fetch all files of a checkpoint on the hub into its cache first, and convert from there
    #[arg(long)]
    pub download: bool,

    /// Leave out the checkpoint's tensors in whose names REGEX is found. May be repeated
    #[arg(long = "skip-tensor", value_name = "REGEX")]
    pub skip_tensors: Vec<SkipPattern>,

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

/// `swallow-gguf quantize`
#[derive(Debug, Args)]
#[command(after_help = "\
Writes what llama-quantize writes. Weights of F32, F16, BF16 and Q8_0 are taken as they come; weights \
of any other quantized type only with --allow-requantize, because what they have lost stays lost. \
Of a split model any part can be given.")]
pub struct QuantizeArgs {
    /// GGUF file to quantize, or `hf:ORG/NAME[@REVISION]:FILE`
    #[arg(value_name = "IN.gguf")]
    pub source: PathBuf,

    /// Quantize weights that are quantized already, too
    #[arg(long)]
    pub allow_requantize: bool,

    /// What to write.
    #[command(flatten)]
    pub write: WriteArgs,
}

/// `swallow-gguf inspect`
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// GGUF file to look into, or `hf:ORG/NAME[@REVISION]:FILE`
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// List every tensor
    #[arg(long)]
    pub tensors: bool,

    /// Print JSON on stdout
    #[arg(long)]
    pub json: bool,
}

/// `swallow-gguf diff`
#[derive(Debug, Args)]
#[command(after_help = "\
Shows key-values and tensors that differ and, for tensors of the same name and shape, how many \
blocks do and how far B's weights are from A's. Padding between tensors is not compared.

Exit code: 0 when nothing differs, 1 when something does, 2 on trouble, as diff(1).")]
pub struct DiffArgs {
    /// File to compare with; either may be `hf:ORG/NAME[@REVISION]:FILE`
    #[arg(value_name = "A.gguf")]
    pub a: PathBuf,

    /// File to compare
    #[arg(value_name = "B.gguf")]
    pub b: PathBuf,

    /// Print JSON on stdout
    #[arg(long)]
    pub json: bool,
}

/// `swallow-gguf verify`
#[derive(Debug, Args)]
#[command(after_help = "\
Checks the structure, that keys, tensors and vocabulary fit each other as llama.cpp wants it, and that \
every weight, and so every block's scales, is finite. Matrices of one value and experts that are equal \
are noted. With --against every tensor is compared with the checkpoint's: one whose error is larger \
than the weights themselves is not taken for the same, and blocks that are 0 where its weights are \
not are lost. A part of a split file is checked by itself.

Exit code: 0 when all is well, 1 when it is not, 2 on trouble.")]
pub struct VerifyArgs {
    /// GGUF file to check, or `hf:ORG/NAME[@REVISION]:FILE`
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// Checkpoint that the file was made from, a folder or `hf:ORG/NAME[@REVISION]`: shows the
    /// signal-to-noise ratio of each tensor
    #[arg(long, value_name = "SRC")]
    pub against: Option<PathBuf>,

    /// Leave out the checkpoint's tensors in whose names REGEX is found. May be repeated
    #[arg(long = "skip-tensor", value_name = "REGEX", requires = "against")]
    pub skip_tensors: Vec<SkipPattern>,

    /// Compare all weights with those of a checkpoint on the hub, not a sample
    #[arg(long, requires = "against")]
    pub full: bool,

    /// Print JSON on stdout
    #[arg(long)]
    pub json: bool,
}

/// `swallow-gguf bench`
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// What to measure.
    #[command(subcommand)]
    pub bench: Bench,
}

/// The benchmarks.
#[derive(Debug, Subcommand)]
pub enum Bench {
    /// Quantization kernels: speed per type and instruction set, and the ratio to ggml's
    Quantize(BenchQuantizeArgs),
    /// A whole conversion: makes a checkpoint of the target's shapes, converts it and tells where the time went
    Convert(BenchConvertArgs),
    /// A model as `run` evaluates it: tokens/s of prompts and of generation, as llama-bench measures them
    Run(BenchRunArgs),
    /// What proposing tokens gains: summarising, editing, code, lists and free chat with and without
    Speculate(BenchSpeculateArgs),
}

/// `swallow-gguf bench quantize`
#[derive(Debug, Args)]
pub struct BenchQuantizeArgs {
    /// Types to measure, for example Q4_K,Q6_K [default: all but F32]
    #[arg(short, long, value_name = "TYPES", value_delimiter = ',', value_parser = tensor_type)]
    pub types: Vec<GgmlType>,

    /// Measure the search for better blocks instead: what it gains and what it costs, for Q4_K, Q5_K and Q6_K
    #[arg(long, value_name = "SEARCH")]
    pub search: Option<Search>,

    /// Seconds to measure each type for
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0, value_parser = seconds)]
    pub seconds: f64,

    /// Measure with a generated importance matrix
    #[arg(long)]
    pub imatrix: bool,

    /// Print JSON on stdout
    #[arg(long)]
    pub json: bool,
}

/// `swallow-gguf bench convert`
#[derive(Debug, Args)]
pub struct BenchConvertArgs {
    /// Layers of the checkpoint, of the target's 40 (0.64 GB each on disk, and 0.88 GB for the vocabulary)
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub layers: usize,

    /// Folder for checkpoint and output; a checkpoint that is there already is used again
    /// [default: a temporary one in the current folder]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,

    /// File types to convert to
    #[arg(
        short = 't',
        long = "type",
        value_name = "TYPES",
        value_delimiter = ',',
        default_value = "Q4_K_M,Q8_0"
    )]
    pub file_types: Vec<FileType>,

    /// Threads to quantize with [default: all cores]
    #[arg(long, value_name = "N")]
    pub threads: Option<NonZeroUsize>,
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.0..=3600.0).contains(&seconds) => Ok(seconds),
        _ => Err("expected a number of seconds up to 3600".to_owned()),
    }
}
