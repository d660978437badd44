//! Makes a Hugging Face checkpoint out of a dense Llama GGUF: a Mixture of Experts whose experts
//! are all the dense model's feed-forward, so that it must say what the dense model says, or
//! (`--dense`) the dense model itself.
//!
//! ```text
//! cargo run --release --example moe_from_gguf -- SmolLM2-135M-Instruct.Q4_1.gguf SmolLM2-2x135M
//! ```
//!
//! Real models to test with are installable as GGUF on any machine; a checkpoint is what
//! `swallow-gguf convert` wants. One tensor at a time is in memory.

mod checkpoint;
mod config;
mod safetensors;
mod tokenizer;

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail, ensure};
use clap::{Parser, ValueEnum};
use memmap2::Mmap;
use swallow_gguf::gguf::Gguf;

/// Makes a Mixture-of-Experts checkpoint of equal experts out of a dense Llama GGUF.
#[derive(Debug, Parser)]
struct Args {
    /// Dense GGUF of the Llama architecture with a byte-level BPE vocabulary
    input: PathBuf,

    /// Folder to make; its name becomes the model's
    out_dir: PathBuf,

    /// Number of experts, all the same; each token uses two
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(2..=256))]
    experts: u64,

    /// Make the dense LlamaForCausalLM checkpoint instead
    #[arg(long, conflicts_with = "experts")]
    dense: bool,

    /// Number format of the weights
    #[arg(long, value_enum, default_value_t = Dtype::Bf16)]
    dtype: Dtype,

    /// Number of safetensors files
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=99_999))]
    shards: u64,

    /// Seed of the random router
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

/// A number format of safetensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Dtype {
    Bf16,
    F16,
    F32,
}

impl Dtype {
    /// The name in a safetensors header.
    fn safetensors_name(self) -> &'static str {
        match self {
            Self::Bf16 => "BF16",
            Self::F16 => "F16",
            Self::F32 => "F32",
        }
    }

    /// The name in `config.json`.
    fn torch_name(self) -> &'static str {
        match self {
            Self::Bf16 => "bfloat16",
            Self::F16 => "float16",
            Self::F32 => "float32",
        }
    }

    /// Bytes of one number.
    fn bytes(self) -> u64 {
        match self {
            Self::Bf16 | Self::F16 => 2,
            Self::F32 => 4,
        }
    }

    /// The numbers, rounded to nearest even, in little-endian bytes.
    fn encode(self, values: &[f32]) -> Vec<u8> {
        let bf16 = |v: &f32| half::bf16::from_f32(*v).to_le_bytes();
        let f16 = |v: &f32| half::f16::from_f32(*v).to_le_bytes();
        match self {
            Self::Bf16 => values.iter().flat_map(bf16).collect(),
            Self::F16 => values.iter().flat_map(f16).collect(),
            Self::F32 => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        }
    }
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let gguf = Gguf::open(&args.input)?;
    let n_expert = if args.dense { None } else { Some(args.experts) };

    // Everything that can be wrong with the input shows before anything is written.
    let config = config::Config::of(&gguf)?;
    let tokenizer = tokenizer::files(&gguf)?;
    let weights = checkpoint::weights(&gguf, &config, n_expert)?;

    let name = args
        .out_dir
        .file_name()
        .context("the folder to make has no name")?;
    create_empty(&args.out_dir)?;
    let write = |file: &str, text: String| {
        let path = args.out_dir.join(file);
        fs::write(&path, text).with_context(|| format!("cannot write `{}`", path.display()))
    };
    write("config.json", config.json(n_expert, args.dtype))?;
    write(
        "README.md",
        config::card(&gguf, &name.to_string_lossy(), n_expert),
    )?;
    write("tokenizer.json", tokenizer.tokenizer)?;
    write("tokenizer_config.json", tokenizer.config)?;
    // SAFETY: the mapping is read-only and every byte pattern is a valid byte. A program that
    // shortens the file meanwhile ends this one, which is no loss: it is run on a file at rest.
    let file = unsafe { Mmap::map(&File::open(&args.input)?) }?;
    let data = Data {
        file: &file,
        gguf: &gguf,
    };
    let bytes = safetensors::write(
        &args.out_dir,
        &weights,
        args.dtype,
        args.shards as usize,
        |weight| checkpoint::values(weight, &data, args.seed),
    )?;
    println!(
        "{}: {} tensors, {:.2} GB of {} in {} files",
        args.out_dir.display(),
        weights.len(),
        bytes as f64 / 1e9,
        args.dtype.safetensors_name(),
        args.shards,
    );
    Ok(())
}

/// Makes a folder, which must not hold anything yet.
fn create_empty(dir: &Path) -> anyhow::Result<()> {
    let cannot = || format!("cannot make the folder `{}`", dir.display());
    fs::create_dir_all(dir).with_context(cannot)?;
    if fs::read_dir(dir).with_context(cannot)?.next().is_some() {
        bail!("`{}` is not empty", dir.display());
    }
    Ok(())
}

/// The tensor data of a GGUF.
struct Data<'a> {
    file: &'a [u8],
    gguf: &'a Gguf,
}

impl Data<'_> {
    /// The weights of a tensor, in the file's order.
    fn tensor(&self, name: &str) -> anyhow::Result<Vec<f32>> {
        let tensor = self
            .gguf
            .tensor(name)
            .with_context(|| format!("no tensor `{name}`"))?;
        let start = usize::try_from(self.gguf.data_offset + tensor.offset)?;
        let bytes = self
            .file
            .get(start..start + usize::try_from(tensor.size())?)
            .with_context(|| format!("tensor `{name}` is not whole"))?;
        let mut values = vec![0.0; usize::try_from(tensor.elements())?];
        swallow_quant::dequantize(tensor.ty, bytes, &mut values)
            .with_context(|| format!("tensor `{name}`"))?;
        ensure!(
            swallow_quant::first_non_finite(&values).is_none(),
            "tensor `{name}` has a weight that is not finite"
        );
        Ok(values)
    }
}
