//! The hub client against a server of our own.

mod cache;
mod client;
#[cfg(unix)]
mod convert;
mod faults;
mod gates;
mod library;
mod merge;
mod read_ahead;
mod run;
mod server;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use swallow_gguf::hub::{Client, Config, Repo, RetryPolicy, Snapshot, Token};

use server::{File, Hub};

const REPO: &str = "org/model";

/// A policy for a server that is near: quick to try again and quick to give up.
fn hasty() -> RetryPolicy {
    RetryPolicy {
        attempts: 4,
        first_attempts: 3,
        total: Duration::from_secs(5),
        first_delay: Duration::from_millis(1),
        max_delay: Duration::from_millis(5),
        connect_timeout: Duration::from_secs(2),
        read_timeout: Duration::from_millis(300),
    }
}

fn config(hub: &Hub) -> Config {
    Config {
        endpoint: hub.endpoint(),
        token: None,
        cache: "unused".into(),
        offline: false,
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
