//! The hub client against a server of our own.

mod cache;
#[cfg(unix)]
mod cached;
mod client;
#[cfg(unix)]
mod convert;
mod faults;
mod gates;
mod library;
mod merge;
mod read_ahead;
mod run;
pub(crate) mod server;
mod slips;

use std::{
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use swallow_gguf::hub::{Client, Config, Repo, RetryPolicy, Snapshot, Token};

use server::{File, Hub};

use crate::support::swallow_gguf;

const REPO: &str = "org/model";

/// A policy for a server that is near: quick to try again and quick to give up.
pub(crate) fn hasty() -> RetryPolicy {
    RetryPolicy {
        attempts: 4,
        first_attempts: 3,
        total: Duration::from_secs(5),
        total_if_cached: Duration::from_secs(1),
        first_delay: Duration::from_millis(1),
        max_delay: Duration::from_millis(5),
        connect_timeout: Duration::from_secs(2),
        read_timeout: Duration::from_millis(300),
    }
}

/// The program, with a hub and a home of its own and nothing else of the environment's.
pub(crate) fn program(endpoint: &str, home: &Path) -> Command {
    let mut command = swallow_gguf();
    for name in [
        "HF_HUB_CACHE",
        "HF_HUB_DISABLE_IMPLICIT_TOKEN",
        "HF_HUB_OFFLINE",
        "HF_TOKEN",
        "HF_TOKEN_PATH",
        "HUGGINGFACE_HUB_CACHE",
        "HUGGING_FACE_HUB_TOKEN",
        "TRANSFORMERS_CACHE",
        "TRANSFORMERS_OFFLINE",
    ] {
        command.env_remove(name);
    }
    command
        .env("HF_ENDPOINT", endpoint)
        .env("HF_HOME", home)
        .env("NO_PROXY", "127.0.0.1");
    command
}

pub(crate) fn config(hub: &Hub) -> Config {
    Config {
        endpoint: hub.endpoint(),
        token: None,
        cache: "unused".into(),
        offline: None,
    }
}

fn client(hub: &Hub) -> Client {
    Client::new(config(hub), hasty(), Arc::default())
}

fn client_with_token(hub: &Hub, token: &str) -> Client {
    let config = Config {
        token: Token::new(token, "HF_TOKEN").unwrap(),
        ..config(hub)
    };
    Client::new(config, hasty(), Arc::default())
}

/// A client, and the flag that stops it after `delay`.
fn client_stopped_after(hub: &Hub, delay: Duration) -> Client {
    let stop = Arc::new(AtomicBool::new(false));
    let client = Client::new(config(hub), hasty_but_waiting(), Arc::clone(&stop));
    thread::spawn(move || {
        thread::sleep(delay);
        stop.store(true, Ordering::Relaxed);
    });
    client
}

/// As [`hasty`], and waits long for an answer.
fn hasty_but_waiting() -> RetryPolicy {
    RetryPolicy {
        total: Duration::from_secs(60),
        read_timeout: Duration::from_secs(30),
        ..hasty()
    }
}

fn repo() -> Repo {
    Repo::parse(&format!("hf:{REPO}"), "https://huggingface.co").unwrap()
}

/// A server with a repository of a config and one shard of `size` bytes.
fn hub_with_shard(size: u64) -> (Hub, File) {
    let hub = Hub::start();
    let shard = File::large(size, 7);
    hub.put(REPO, "config.json", File::small("{\"a\": 1}"));
    hub.put(REPO, "model.safetensors", shard.clone());
    (hub, shard)
}

fn snapshot(client: &Client) -> Snapshot {
    client.snapshot(&repo()).unwrap()
}
