//! A hub on this machine, to measure and to try conversions from a hub with: the server of the tests,
//! with a checkpoint of generated weights in the target's shapes.
//!
//! ```text
//! cargo run --release --example hub_server -- --layers 2 --latency 20 --bandwidth 1000
//! HF_ENDPOINT=http://127.0.0.1:PORT swallow-gguf convert hf:org/model
//! ```

#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../../tests/hub/server/mod.rs"]
mod server;

use std::time::Duration;

use clap::Parser;
use swallow_gguf::{
    source::Dtype,
    synthetic::{Layout, Sizes, Spec},
};

/// Serves hf:org/model until it is ended: a Mixtral of the target's shapes, from no disk.
#[derive(Parser)]
struct Args {
    /// Layers of the target's 40
    #[arg(long, default_value_t = 2)]
    layers: usize,

    /// Milliseconds before each answer
    #[arg(long, default_value_t = 0)]
    latency: u64,

    /// Megabytes a second of all connections together; 0 for no limit
    #[arg(long, default_value_t = 0)]
    bandwidth: u64,

    /// Also write the checkpoint into this folder, with the same bytes
    #[arg(long)]
    dir: Option<std::path::PathBuf>,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let spec = Spec {
        sizes: Sizes::target(args.layers),
        layout: Layout::Separate,
        dtype: Dtype::Bf16,
        tied: false,
        shards: args.layers.clamp(1, 5),
        seed: 1,
        sparse: true,
        other_dtype: None,
    };
    let hub = server::Hub::start();
    hub.put_checkpoint("org/model", &spec);
    if let Some(dir) = &args.dir {
        hub.write_to("org/model", dir)?;
    }
    hub.set_latency(Duration::from_millis(args.latency));
    hub.set_link(args.bandwidth * 1_000_000);
    println!("HF_ENDPOINT={}", hub.endpoint());
    loop {
        std::thread::sleep(Duration::from_secs(3600));
    }
}
