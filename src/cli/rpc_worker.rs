//! `swallow-gguf rpc-worker`: its options.

use std::path::PathBuf;

use clap::{Args, value_parser};

use super::write::split_bytes;
use crate::runner::rpc::Endpoint;

const AFTER_HELP: &str = "\
On the machine with the model: swallow-gguf run MODEL --rpc HOST:PORT. The model's file is needed
there alone; the worker gets its layers over the network. It serves one program at a time.

A worker asks nobody who they are, and nothing on the way is encrypted: whoever reaches it can run
computations on it, and read and write its memory. Let it listen to other machines only in a
network that is yours.";

/// `swallow-gguf rpc-worker`
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct RpcWorkerArgs {
    /// IPv4 address or name to listen on; 0.0.0.0 is every address of this machine
    #[arg(long, value_name = "HOST", default_value = "127.0.0.1")]
    pub host: String,

    /// Port to listen on; 0 is any that is free
    #[arg(long, value_name = "PORT", default_value_t = Endpoint::PORT)]
    pub port: u16,

    /// Listen on an address that other machines can reach
    #[arg(long)]
    pub i_know_it_is_open: bool,

    /// Most memory to offer of each device, for example 6G or 500M [default: what is free]
    #[arg(long, value_name = "N[M|G]", value_parser = split_bytes)]
    pub mem: Option<u64>,

    /// Keep large tensors on disk, so that they cross the network once; in DIR, or else in the
    /// platform's folder for caches
    #[arg(long, value_name = "DIR", num_args = 0..=1, require_equals = true)]
    pub cache: Option<Option<PathBuf>>,

    /// Threads to compute with on the CPU [default: physical cores]
    #[arg(short, long, value_name = "N", value_parser = value_parser!(u32).range(1..=512))]
    pub threads: Option<u32>,

    /// Devices to offer [default: all GPUs, or the CPU where there are none]
    #[arg(long = "device", value_name = "NAME", value_delimiter = ',')]
    pub devices: Vec<String>,

    /// Show llama.cpp's log on stderr
    #[arg(short, long)]
    pub verbose: bool,
}
