//! The cache: its layout, what is gone on with, and who waits for whom.

use std::{
    cell::RefCell,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use swallow_gguf::hub::{Cache, Client, Config, Event, HubError, Options, Repo, RepoFile};

use super::{
    REPO, client, client_stopped_after, config, hasty, hub_with_shard, repo,
    server::{COMMIT, Fault, File, On},
    snapshot,
};

pub(super) const SIZE: u64 = 1_000_000;

pub(super) fn options() -> Options {
    Options {
        connections: 3,
        piece: 100_000,
        bound: 1_000_000,
        ..Options::default()
    }
}

pub(super) fn file(text: &str) -> RepoFile {
    RepoFile::parse(text).unwrap()
}

pub(super) fn download(
    cache: &Cache,
    client: &Client,
    paths: &[&str],
) -> Result<PathBuf, HubError> {
    cache.download(client, &snapshot(client), paths, &options(), &|_| {})
}

/// Where the cache has the shard's bytes.
fn blob(dir: &Path, shard: &File) -> PathBuf {
    dir.join("models--org--model/blobs").join(&shard.digest)
}

fn incomplete(dir: &Path, shard: &File) -> PathBuf {
    blob(dir, shard).with_extension("incomplete")
}

#[test]
fn the_layout_is_the_librarys() {
    let (hub, shard) = hub_with_shard(SIZE);
    hub.put(REPO, "sub/deep/x.txt", File::small("x"));
    hub.put(REPO, "empty.txt", File::small(""));
    let dir = tempfile::tempdir().unwrap();
    let cache = Cache::new(dir.path());
    let client = client(&hub);
    let paths = [
        "config.json",
        "model.safetensors",
        "sub/deep/x.txt",
        "empty.txt",
    ];
    let folder = download(&cache, &client, &paths).unwrap();

    let root = dir.path().join("models--org--model");
    assert_eq!(folder, root.join("snapshots").join(COMMIT));
    assert_eq!(fs::read_to_string(root.join("refs/main")).unwrap(), COMMIT);
    assert_eq!(fs::read(folder.join("config.json")).unwrap(), b"{\"a\": 1}");
    assert_eq!(fs::read(folder.join("sub/deep/x.txt")).unwrap(), b"x");
    assert_eq!(fs::read(folder.join("empty.txt")).unwrap(), b"");
    assert!(fs::read(folder.join("model.safetensors")).unwrap() == shard.content.bytes(0..SIZE));
    #[cfg(unix)]
    {
        let link = |path: &str| fs::read_link(folder.join(path)).unwrap();
        assert_eq!(
            link("model.safetensors"),
            Path::new(&format!("../../blobs/{}", shard.digest))
        );
        assert!(link("sub/deep/x.txt").starts_with("../../../../blobs"));
    }
    let lock = dir
        .path()
        .join(".locks/models--org--model")
        .join(format!("{}.lock", shard.digest));
    assert!(lock.is_file());
    assert!(!incomplete(dir.path(), &shard).exists());

    // What is there is not asked for again.
    let before = hub.seen().len();
    download(&cache, &client, &paths).unwrap();
    assert_eq!(hub.seen().len(), before + 1, "model information alone");
    let pinned = file(&format!("hf:{REPO}@{COMMIT}:config.json"));
    let found = cache.fetch(&client, &pinned, &options(), &|_| {}).unwrap();
    assert_eq!(found, folder.join("config.json"));
    assert_eq!(hub.seen().len(), before + 1, "a commit does not change");
}

#[test]
fn offline_the_cache_answers() {
    let (hub, _) = hub_with_shard(SIZE);
    let dir = tempfile::tempdir().unwrap();
    let cache = Cache::new(dir.path());
    let folder = download(&cache, &client(&hub), &["config.json"]).unwrap();
    let before = hub.seen().len();
    let offline = Config {
        offline: Some("HF_HUB_OFFLINE"),
        cache: dir.path().into(),
        ..config(&hub)
    };
    let client = Client::new(offline, hasty(), Arc::default());
    for name in [
        "hf:org/model:config.json".to_owned(),
        format!("hf:org/model@{COMMIT}:config.json"),
    ] {
        let found = cache
            .fetch(&client, &file(&name), &options(), &|_| {})
            .unwrap();
        assert_eq!(found, folder.join("config.json"), "{name}");
    }
    for (name, lacks) in [
        (
            "hf:org/model:model.safetensors",
            "`model.safetensors` of hf:org/model",
        ),
        (
            "hf:org/model:tokenizer.json",
            "`tokenizer.json` of hf:org/model, it has `config.json`",
        ),
        (
            "hf:org/model@v2:config.json",
            "hf:org/model@v2, only its `main`",
        ),
        ("hf:org/other-thing:config.json", "hf:org/other-thing"),
        (
            "hf:Org/modell:config.json",
            "hf:Org/modell, it has `hf:org/model`",
        ),
    ] {
        let error = cache
            .fetch(&client, &file(name), &options(), &|_| {})
            .unwrap_err();
        let expected = format!(
            "the cache `{}` does not have {lacks}, and HF_HUB_OFFLINE is set: unset it to fetch from the hub",
            dir.path().display()
        );
        assert_eq!(error.to_string(), expected);
    }
    assert_eq!(hub.seen().len(), before);
    assert_eq!(cache.snapshot(&repo()).unwrap().dir, folder);
    let pull = Repo::parse("hf:org/model@refs/pr/1", "").unwrap();
    assert!(cache.snapshot(&pull).is_err());
}

#[test]
fn a_revision_with_slashes_has_its_ref() {
    let (hub, _) = hub_with_shard(SIZE);
    let dir = tempfile::tempdir().unwrap();
    let cache = Cache::new(dir.path());
    let client = client(&hub);
    let name = file("hf:org/model@refs/pr/1:config.json");
    cache.fetch(&client, &name, &options(), &|_| {}).unwrap();
    let reference = dir.path().join("models--org--model/refs/refs/pr/1");
    assert_eq!(fs::read_to_string(reference).unwrap(), COMMIT);
    let cached = cache.snapshot(&name.repo).unwrap();
    assert!(cached.file(&name.path).is_ok());
    // A part of its name is none.
    let error = cache
        .snapshot(&file("hf:org/model@refs/pr:x").repo)
        .unwrap_err();
    assert!(
        error.to_string().ends_with("only its `refs/pr/1`"),
        "{error}"
    );
}

#[test]
fn what_has_come_is_gone_on_with() {
    let (hub, shard) = hub_with_shard(SIZE);
    let dir = tempfile::tempdir().unwrap();
    let cache = Cache::new(dir.path());
    // The first run is stopped while it waits for the middle.
    hub.fail(
        On::CdnAt(400_000),
        9,
        Fault::Stall(0, Duration::from_secs(20)),
    );
    let stopped = client_stopped_after(&hub, Duration::from_millis(500));
    let error = download(&cache, &stopped, &["model.safetensors"]).unwrap_err();
    assert!(matches!(error, HubError::Interrupted), "{error}");
    let there = fs::read(incomplete(dir.path(), &shard)).unwrap();
    assert!(there == shard.content.bytes(0..400_000), "{}", there.len());
    assert!(!blob(dir.path(), &shard).exists());

    let (hub, _) = hub_with_shard(SIZE);
    let told = RefCell::new(Vec::new());
    let client = client(&hub);
    cache
        .download(
            &client,
            &snapshot(&client),
            &["model.safetensors"],
            &options(),
            &|event| {
                told.borrow_mut().push(format!("{event:?}"));
            },
        )
        .unwrap();
    assert!(fs::read(blob(dir.path(), &shard)).unwrap() == shard.content.bytes(0..SIZE));
    assert!(!incomplete(dir.path(), &shard).exists());
    let event = |done| {
        format!(
            "{:?}",
            Event::Fetching {
                path: "model.safetensors",
                done,
                size: SIZE
            }
        )
    };
    let told = told.into_inner();
    assert_eq!(told.first(), Some(&event(400_000)));
    assert_eq!(told.last(), Some(&event(SIZE)));
    let firsts: Vec<_> = hub
        .seen()
        .iter()
        .filter_map(|seen| seen.range.clone())
        .collect();
    assert_eq!(firsts.len(), 6, "{firsts:?}");
}

#[test]
fn damage_is_found_and_not_kept() {
    let (hub, shard) = hub_with_shard(SIZE);
    let dir = tempfile::tempdir().unwrap();
    let cache = Cache::new(dir.path());
    let client = client(&hub);
    let damaged = |error: HubError| {
        let text = error.to_string();
        assert!(
            text.starts_with(&format!(
                "`model.safetensors` of hf:org/model arrived damaged: expected SHA-256 {}, found ",
                shard.digest
            )),
            "{text}"
        );
        assert!(!incomplete(dir.path(), &shard).exists());
        assert!(!blob(dir.path(), &shard).exists());
    };
    // On the way.
    hub.fail(On::CdnAt(300_000), 1, Fault::Flipped);
    damaged(download(&cache, &client, &["model.safetensors"]).unwrap_err());
    // In what was there: other bytes, all of them, and too many, which are begun anew.
    fs::write(incomplete(dir.path(), &shard), [1; 5000]).unwrap();
    damaged(download(&cache, &client, &["model.safetensors"]).unwrap_err());
    fs::write(incomplete(dir.path(), &shard), vec![1; SIZE as usize]).unwrap();
    damaged(download(&cache, &client, &["model.safetensors"]).unwrap_err());
    fs::write(incomplete(dir.path(), &shard), vec![1; SIZE as usize + 1]).unwrap();
    let folder = download(&cache, &client, &["model.safetensors"]).unwrap();
    assert!(fs::read(folder.join("model.safetensors")).unwrap() == shard.content.bytes(0..SIZE));
}

#[test]
fn a_link_whose_blob_is_gone_is_made_anew() {
    let (hub, shard) = hub_with_shard(SIZE);
    let dir = tempfile::tempdir().unwrap();
    let cache = Cache::new(dir.path());
    let client = client(&hub);
    let folder = download(&cache, &client, &["model.safetensors"]).unwrap();
    fs::remove_file(blob(dir.path(), &shard)).unwrap();
    download(&cache, &client, &["model.safetensors"]).unwrap();
    assert!(fs::read(folder.join("model.safetensors")).unwrap() == shard.content.bytes(0..SIZE));
}

#[test]
#[cfg(unix)]
fn a_cache_that_has_all_may_be_read_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let (hub, shard) = hub_with_shard(SIZE);
    let dir = tempfile::tempdir().unwrap();
    let cache = Cache::new(dir.path());
    let client = client(&hub);
    let refs = dir.path().join("models--org--model/refs");
    fs::create_dir_all(&refs).unwrap();
    let pinned = file(&format!("hf:{REPO}@{COMMIT}:model.safetensors"));
    cache.fetch(&client, &pinned, &options(), &|_| {}).unwrap();
    fs::set_permissions(&refs, fs::Permissions::from_mode(0o555)).unwrap();
    let folder = download(&cache, &client, &["model.safetensors"]).unwrap();
    assert!(fs::read(folder.join("model.safetensors")).unwrap() == shard.content.bytes(0..SIZE));
    fs::set_permissions(&refs, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn two_at_once_fetch_a_file_once() {
    let (hub, shard) = hub_with_shard(SIZE);
    let dir = tempfile::tempdir().unwrap();
    hub.fail(
        On::CdnAt(0),
        1,
        Fault::Trickle(10_000, Duration::from_millis(30)),
    );
    let waited = thread::scope(|scope| {
        let runs: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let client = client(&hub);
                    let waited = RefCell::new(0);
                    Cache::new(dir.path())
                        .download(
                            &client,
                            &snapshot(&client),
                            &["model.safetensors"],
                            &options(),
                            &|event| {
                                *waited.borrow_mut() +=
                                    usize::from(matches!(event, Event::Waiting { .. }));
                            },
                        )
                        .unwrap();
                    waited.into_inner()
                })
            })
            .collect();
        runs.into_iter()
            .map(|run| run.join().unwrap())
            .sum::<usize>()
    });
    assert_eq!(waited, 1, "one is told once that it waits");
    assert_eq!(hub.seen().iter().filter(|seen| seen.at_cdn).count(), 10);
    assert!(fs::read(blob(dir.path(), &shard)).unwrap() == shard.content.bytes(0..SIZE));
}

#[test]
fn waiting_for_a_lock_ends_when_the_flag_is_set() {
    let (hub, shard) = hub_with_shard(SIZE);
    let dir = tempfile::tempdir().unwrap();
    let locks = dir.path().join(".locks/models--org--model");
    fs::create_dir_all(&locks).unwrap();
    let lock = fs::File::create(locks.join(format!("{}.lock", shard.digest))).unwrap();
    lock.lock().unwrap();
    let client = client_stopped_after(&hub, Duration::from_millis(200));
    let began = Instant::now();
    let error = download(&Cache::new(dir.path()), &client, &["model.safetensors"]).unwrap_err();
    assert!(matches!(error, HubError::Interrupted), "{error}");
    assert!(began.elapsed() < Duration::from_secs(2));
}

#[test]
fn a_cache_that_cannot_be_written() {
    let (hub, _) = hub_with_shard(SIZE);
    let dir = tempfile::tempdir().unwrap();
    let taken = dir.path().join("cache");
    fs::write(&taken, "a file").unwrap();
    let error = download(&Cache::new(&taken), &client(&hub), &["config.json"])
        .unwrap_err()
        .to_string();
    let expected = format!(
        "cannot use `{}`: ",
        taken.join("models--org--model/blobs").display()
    );
    assert!(error.starts_with(&expected), "{error}");
}
