//! The options of `run` for what llama.cpp computes with: context, threads and devices.

use clap::{Args, value_parser};

/// What the model is run with.
#[derive(Debug, Args)]
pub struct EngineArgs {
    /// Tokens of the context; 0 is what the model was trained for, at most 8192
    #[arg(short, long, value_name = "N", default_value_t = 0, value_parser = value_parser!(u32).range(..=MAX_CONTEXT))]
    pub ctx_size: u32,

    /// Threads to evaluate with [default: physical cores]
    #[arg(short, long, value_name = "N", value_parser = value_parser!(u32).range(1..=512))]
    pub threads: Option<u32>,

    /// Layers to put on the GPU, or `all`; also -ngl N [default: all, where the build has a GPU]
    #[arg(long, visible_alias = "n-gpu-layers", value_name = "N", value_parser = parse_gpu_layers)]
    pub gpu_layers: Option<u32>,
}

/// Positions are `i32` in llama.cpp, and no model is trained for so many tokens.
const MAX_CONTEXT: i64 = 1 << 24;

/// What `--gpu-layers all` stands for: more layers than a model can have.
pub(super) const ALL_LAYERS: u32 = 9999;

fn parse_gpu_layers(text: &str) -> Result<u32, String> {
    match text {
        "all" => Ok(ALL_LAYERS),
        number => number
            .parse()
            .map_err(|_| "expected a number from 0, or `all`".to_owned()),
    }
}
