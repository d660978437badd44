//! The options of `run` for what llama.cpp computes with: context, threads, memory and devices.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, ValueEnum, value_parser};
use swallow_quant::GgmlType;

use crate::memory::Placement;
use crate::nearest;
use crate::runner::{ContextOptions, FlashAttention, GpuLayers, SplitMode};

const CONTEXT: &str = "Context and threads";
const MEMORY: &str = "Memory";
pub(super) const DEVICES: &str = "Devices";

/// What the model is run with.
#[derive(Debug, Args)]
pub struct EngineArgs {
    /// Tokens of the context; 0 is what the model was trained for, at most 8192
    #[arg(short, long, value_name = "N", default_value_t = 0, value_parser = value_parser!(u32).range(..=MAX_CONTEXT), help_heading = CONTEXT)]
    pub ctx_size: u32,

    /// Threads to evaluate with [default: physical cores]
    #[arg(short, long, value_name = "N", value_parser = value_parser!(u32).range(1..=MAX_THREADS), help_heading = CONTEXT)]
    pub threads: Option<u32>,

    /// Threads to read prompts with; also -tb N [default: as --threads]
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=MAX_THREADS), help_heading = CONTEXT)]
    pub threads_batch: Option<u32>,

    /// Most tokens of a prompt handed to llama.cpp at once [default: as --ubatch]
    #[arg(short, long, visible_alias = "batch-size", value_name = "N", value_parser = value_parser!(u32).range(1..=MAX_BATCH), help_heading = CONTEXT)]
    pub batch: Option<u32>,

    /// Most tokens evaluated at once; also -ub N [default: 128 on the CPU, 512 on a GPU]
    #[arg(long, visible_alias = "ubatch-size", value_name = "N", value_parser = value_parser!(u32).range(1..=MAX_BATCH), help_heading = CONTEXT)]
    pub ubatch: Option<u32>,

    /// Base of the rotary frequencies [default: the model's]
    #[arg(long, value_name = "X", value_parser = parse_positive, help_heading = CONTEXT)]
    pub rope_freq_base: Option<f32>,

    /// Factor of the rotary frequencies: 0.5 makes a context of twice the trained length [default:
    /// the model's]
    #[arg(long, value_name = "X", value_parser = parse_positive, help_heading = CONTEXT)]
    pub rope_freq_scale: Option<f32>,

    /// Adapter (LoRA) in a GGUF, and how strong it is
    #[arg(long, value_name = "FILE[=SCALE]", help_heading = CONTEXT)]
    pub lora: Option<LoraArg>,

    /// Type of the keys and of the values that are kept: f16, bf16, f32, q8_0, q5_1, q5_0, q4_1,
    /// q4_0 or iq4_nl; also -ctk TYPE and -ctv TYPE
    #[arg(long, value_name = "K[,V]", default_value = "f16", help_heading = MEMORY)]
    pub kv_type: KvTypes,

    /// Type of the keys alone, as llama.cpp writes it.
    #[arg(long, value_name = "TYPE", hide = true, value_parser = parse_cache_type)]
    pub cache_type_k: Option<GgmlType>,

    /// Type of the values alone, as llama.cpp writes it.
    #[arg(long, value_name = "TYPE", hide = true, value_parser = parse_cache_type)]
    pub cache_type_v: Option<GgmlType>,

    /// Attention without its matrix of scores; also -fa
    #[arg(long, value_name = "WHEN", default_value = "auto", num_args = 0..=1, require_equals = true, default_missing_value = "on", help_heading = MEMORY)]
    pub flash_attn: FlashAttention,

    /// Copy weights in another order for the CPU's kernels, which takes time and memory; auto does where
    /// they are faster and memory is plenty
    #[arg(long, value_name = "WHEN", default_value = "auto", help_heading = MEMORY)]
    pub repack: RepackArg,

    /// Ask the system to keep the weights in memory
    #[arg(long, help_heading = MEMORY)]
    pub mlock: bool,

    /// Read the weights into memory instead of mapping the file
    #[arg(long, help_heading = MEMORY)]
    pub no_mmap: bool,

    /// Map the file after all.
    #[arg(long, hide = true, overrides_with = "no_mmap")]
    pub mmap: bool,

    /// Load a model that does not fit into memory
    #[arg(long, help_heading = MEMORY)]
    pub force: bool,

    /// Layers to put on the GPU: a number, all, or auto for as many as fit; also -ngl N [default:
    /// auto, where the build has a GPU]
    #[arg(long, visible_alias = "n-gpu-layers", value_name = "N", help_heading = DEVICES)]
    pub gpu_layers: Option<GpuLayersArg>,

    /// Keep the experts of all layers, or of the first N, in the machine's memory; also -cmoe, -ncmoe N
    #[arg(long, value_name = "N", num_args = 0..=1, require_equals = true, default_missing_value = "all", value_parser = parse_cpu_moe, help_heading = DEVICES)]
    pub cpu_moe: Option<u32>,

    /// Put tensors whose names have this in them on a device; may be given more than once, and the
    /// first that fits counts; also -ot
    #[arg(long, value_name = "REGEX=DEVICE", help_heading = DEVICES)]
    pub override_tensor: Vec<Placement>,

    /// Devices to use, as `swallow-gguf devices` names them, or none [default: all GPUs]
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', help_heading = DEVICES)]
    pub device: Vec<String>,

    /// Divide the model among several devices; also -sm
    #[arg(long, value_name = "HOW", default_value = "layer", help_heading = DEVICES)]
    pub split_mode: SplitMode,

    /// Shares of the devices, for example 3,1; also -ts [default: by their free memory]
    #[arg(long, value_name = "N,…", value_delimiter = ',', value_parser = parse_share, help_heading = DEVICES)]
    pub tensor_split: Vec<f32>,

    /// The device that has all with `--split-mode none`, counted from 0; also -mg
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = value_parser!(u32).range(..MAX_DEVICES), help_heading = DEVICES)]
    pub main_gpu: u32,
}

impl EngineArgs {
    /// Types of keys and values.
    pub fn cache_types(&self) -> (GgmlType, GgmlType) {
        (
            self.cache_type_k.unwrap_or(self.kv_type.key),
            self.cache_type_v.unwrap_or(self.kv_type.value),
        )
    }

    /// The names of the devices to use; `None` is those that llama.cpp takes.
    pub fn devices(&self) -> Option<Vec<String>> {
        match self.device.as_slice() {
            [] => None,
            [none] if none.eq_ignore_ascii_case("none") => Some(Vec::new()),
            names => Some(names.to_vec()),
        }
    }
}

/// llama.cpp's short options of more than one letter, which clap could only read as one letter with its
/// value, and ours for them.
pub(super) const SPELLINGS: &[(&str, &str)] = &[
    ("-ngl", "--gpu-layers"),
    ("-ctk", "--cache-type-k"),
    ("-ctv", "--cache-type-v"),
    ("-fa", "--flash-attn"),
    ("-ot", "--override-tensor"),
    ("-cmoe", "--cpu-moe"),
    ("-ncmoe", "--cpu-moe"),
    ("-dev", "--device"),
    ("-mg", "--main-gpu"),
    ("-sm", "--split-mode"),
    ("-ts", "--tensor-split"),
    ("-ub", "--ubatch"),
    ("-tb", "--threads-batch"),
];

/// Whether an argument is the value of an option whose value may be left out; clap takes it only behind
/// `=`, because what follows may as well be the model.
pub(super) fn is_value_of(option: &str, value: &str) -> bool {
    match option {
        "--cpu-moe" => value == "all" || value.parse::<u32>().is_ok(),
        "--flash-attn" => FlashAttention::from_str(value, true).is_ok(),
        _ => false,
    }
}

/// Positions are `i32` in llama.cpp, and no model is trained for so many tokens.
const MAX_CONTEXT: i64 = 1 << 24;

const MAX_THREADS: i64 = 512;

/// More tokens at once than any device gains by.
const MAX_BATCH: i64 = 1 << 16;

/// Devices that llama.cpp takes.
const MAX_DEVICES: i64 = 16;

/// When weights are repacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RepackArg {
    /// Where memory is plenty
    Auto,
    /// Always
    On,
    /// Never
    Off,
}

/// Layers on devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GpuLayersArg(pub GpuLayers);

impl FromStr for GpuLayersArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let layers = match text {
            "auto" => GpuLayers::Auto,
            "all" => GpuLayers::All,
            number => {
                let count = number.parse();
                GpuLayers::Count(count.map_err(|_| "expected a number from 0, `all` or `auto`")?)
            }
        };
        Ok(Self(layers))
    }
}

/// Types of keys and values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KvTypes {
    /// Of keys.
    pub key: GgmlType,
    /// Of values.
    pub value: GgmlType,
}

impl FromStr for KvTypes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (key, value) = text.split_once(',').unwrap_or((text, text));
        Ok(Self {
            key: parse_cache_type(key)?,
            value: parse_cache_type(value)?,
        })
    }
}

/// An adapter, and how strong it is.
#[derive(Clone, Debug, PartialEq)]
pub struct LoraArg {
    /// Its file.
    pub path: PathBuf,
    /// 1 is as it was trained.
    pub scale: f32,
}

impl FromStr for LoraArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let scaled = text.rsplit_once('=');
        let scaled = scaled.and_then(|(path, scale)| Some((path, scale.parse::<f32>().ok()?)));
        let (path, scale) = scaled.unwrap_or((text, 1.0));
        match !path.is_empty() && scale.is_finite() {
            true => Ok(Self {
                path: path.into(),
                scale,
            }),
            false => Err("expected FILE or FILE=SCALE, SCALE a number".to_owned()),
        }
    }
}

fn parse_cache_type(text: &str) -> Result<GgmlType, String> {
    let types = ContextOptions::CACHE_TYPES;
    let found = types.iter().find(|ty| ty.name().eq_ignore_ascii_case(text));
    found.copied().ok_or_else(|| {
        let names: Vec<String> = types.iter().map(|ty| ty.name().to_lowercase()).collect();
        let near = nearest::of(text, names.iter().map(String::as_str));
        let meant = near.map(|name| format!("`{name}` was probably meant, of "));
        format!("expected {}{}", meant.unwrap_or_default(), names.join(", "))
    })
}

fn parse_cpu_moe(text: &str) -> Result<u32, String> {
    match text {
        "all" => Ok(u32::MAX),
        number => number
            .parse()
            .map_err(|_| "expected a number of layers, or `all`".to_owned()),
    }
}

fn parse_positive(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(x) if x.is_finite() && x > 0.0 => Ok(x),
        _ => Err("expected a number above 0".to_owned()),
    }
}

fn parse_share(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(x) if x.is_finite() && x >= 0.0 => Ok(x),
        _ => Err("expected a number from 0".to_owned()),
    }
}
