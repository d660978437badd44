//! `swallow-gguf rpc-worker`

use std::path::PathBuf;

use anyhow::Context as _;
use indicatif::DecimalBytes;

use crate::chat::note;
use crate::cli::RpcWorkerArgs;
use crate::places;
use crate::runner::rpc::{Visit, Worker, WorkerOptions};

pub(super) fn execute(args: RpcWorkerArgs) -> anyhow::Result<()> {
    let cache = args.cache.map(cache_folder).transpose()?;
    let options = WorkerOptions {
        host: args.host,
        port: args.port,
        open: args.i_know_it_is_open,
        memory: args.mem,
        devices: args.devices,
        threads: args.threads.unwrap_or_else(super::run::default_threads),
        cache,
        verbose: args.verbose,
    };
    let worker = Worker::start(&options)?;
    for offer in &worker.offers {
        note(&format!(
            "offers {} of memory on {} ({})",
            DecimalBytes(offer.bytes),
            offer.name,
            offer.description
        ));
    }
    if let Some(folder) = &options.cache {
        note(&format!(
            "keeps tensors in {} ({} so far)",
            folder.display(),
            DecimalBytes(worker.cached)
        ));
    }
    let (address, who) = (
        worker.address,
        match worker.address.ip().is_loopback() {
            true => "any program of this machine",
            false => "any machine that reaches this address",
        },
    );
    note(&format!(
        "warning: there is no authentication and no encryption: {who} can compute here, and read and write \
         this program's memory"
    ));
    let host = match address.ip().is_unspecified() {
        true => "ADDRESS-OF-THIS-MACHINE".to_owned(),
        false => address.ip().to_string(),
    };
    note(&format!(
        "listening on {address}; use it with `swallow-gguf run MODEL --rpc {host}:{}`; Ctrl-C ends it",
        address.port()
    ));
    worker.run(|visit| match visit {
        Visit::Begins(client) => note(&format!("{client} uses this worker")),
        Visit::Ends(client) => note(&format!("{client} is gone; its memory is free again")),
    })
}

/// The folder asked for, or the platform's.
fn cache_folder(asked: Option<PathBuf>) -> anyhow::Result<PathBuf> {
    match asked {
        Some(folder) => Ok(folder),
        None => Ok(places::cache()
            .context("the platform names no folder for caches: give one with `--cache=DIR`")?
            .join("rpc")),
    }
}
