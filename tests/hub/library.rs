//! Hugging Face's own library, in Python, on the same cache and the same server.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use swallow_gguf::hub::{Cache, Client, Config};

use super::{
    REPO,
    cache::{SIZE, download, file, options},
    client, config, hasty, hub_with_shard,
    server::{File, Hub},
};
use crate::support::{skip, text};

/// What a script prints that uses the library, where `HF_PYTHON` names a Python that has it (`pip
/// install huggingface_hub`).
fn library(test: &str, hub: &Hub, cache: &Path, script: &str) -> Option<String> {
    let Some(python) = std::env::var_os("HF_PYTHON") else {
        skip(test, "HF_PYTHON names no Python with huggingface_hub");
        return None;
    };
    let run = Command::new(python)
        .args(["-c", script])
        .env("HF_ENDPOINT", hub.endpoint())
        .env("HF_HUB_CACHE", cache)
        .env("HF_HOME", cache.join("home"))
        .env("HF_HUB_DISABLE_XET", "1")
        .env("HF_HUB_DISABLE_TELEMETRY", "1")
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", text(&run.stderr));
    Some(text(&run.stdout).trim().to_owned())
}

const FETCH: &str = "
from huggingface_hub import hf_hub_download
for name in ['model.safetensors', 'config.json', 'sub/x.txt']:
    print(hf_hub_download('org/model', name))
";

#[test]
fn the_library_uses_what_we_have_fetched() {
    let (hub, _) = hub_with_shard(SIZE);
    hub.put(REPO, "sub/x.txt", File::small("x"));
    let dir = tempfile::tempdir().unwrap();
    let cache = Cache::new(dir.path());
    let paths = ["model.safetensors", "config.json", "sub/x.txt"];
    let folder = download(&cache, &client(&hub), &paths).unwrap();
    let before = hub.seen().len();
    let Some(found) = library(
        "the_library_uses_what_we_have_fetched",
        &hub,
        dir.path(),
        FETCH,
    ) else {
        return;
    };
    let expected: Vec<_> = paths
        .iter()
        .map(|path| folder.join(path).display().to_string())
        .collect();
    assert_eq!(found.lines().collect::<Vec<_>>(), expected);
    assert!(
        hub.seen()[before..]
            .iter()
            .all(|seen| seen.method == "HEAD"),
        "{:?}",
        &hub.seen()[before..]
    );
    // It finds no fault with the cache either.
    let scan = "
from huggingface_hub import scan_cache_dir
info = scan_cache_dir()
print(len(info.warnings), len(info.repos), next(iter(info.repos)).nb_files)
";
    let scanned = library(
        "the_library_uses_what_we_have_fetched",
        &hub,
        dir.path(),
        scan,
    );
    assert_eq!(scanned.as_deref(), Some("0 1 3"));
}

#[test]
fn we_use_what_the_library_has_fetched() {
    let (hub, shard) = hub_with_shard(SIZE);
    hub.put(REPO, "sub/x.txt", File::small("x"));
    let dir = tempfile::tempdir().unwrap();
    let Some(found) = library(
        "we_use_what_the_library_has_fetched",
        &hub,
        dir.path(),
        FETCH,
    ) else {
        return;
    };
    let found: Vec<_> = found.lines().map(PathBuf::from).collect();
    assert!(fs::read(&found[0]).unwrap() == shard.content.bytes(0..SIZE));
    let before = hub.seen().len();
    let paths = ["model.safetensors", "config.json", "sub/x.txt"];
    let cache = Cache::new(dir.path());
    let folder = download(&cache, &client(&hub), &paths).unwrap();
    assert_eq!(found, paths.map(|path| folder.join(path)));
    assert_eq!(hub.seen().len(), before + 1, "model information alone");
    let offline = Config {
        offline: Some("HF_HUB_OFFLINE"),
        ..config(&hub)
    };
    let client = Client::new(offline, hasty(), Arc::default());
    let name = file("hf:org/model:sub/x.txt");
    assert_eq!(
        cache.fetch(&client, &name, &options(), &|_| {}).unwrap(),
        found[2]
    );
}

#[test]
fn the_library_waits_for_our_lock() {
    let (hub, shard) = hub_with_shard(SIZE);
    let dir = tempfile::tempdir().unwrap();
    let locks = dir.path().join(".locks/models--org--model");
    fs::create_dir_all(&locks).unwrap();
    let lock = fs::File::create(locks.join(format!("{}.lock", shard.digest))).unwrap();
    lock.lock().unwrap();
    let began = Instant::now();
    let hold = Duration::from_secs(3);
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(hold);
            drop(lock);
        });
        let script = "from huggingface_hub import hf_hub_download as get; get('org/model', 'model.safetensors')";
        if library("the_library_waits_for_our_lock", &hub, dir.path(), script).is_some() {
            assert!(began.elapsed() >= hold, "{:?}", began.elapsed());
        }
    });
}
