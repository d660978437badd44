//! What the client asks, and what it makes of the answers.

use std::time::{Duration, Instant};

use swallow_gguf::hub::{Client, Config, HubError, Repo};

use swallow_gguf::synthetic::{Sizes, Spec};

use super::{
    REPO, client, client_stopped_after, client_with_token, config, hasty, hub_with_shard, repo,
    server::{COMMIT, Content, Fault, File, Hub, On},
    snapshot,
};
use crate::support::small_moe;

#[test]
fn a_repository_as_the_hub_tells_it() {
    let (hub, shard) = hub_with_shard(100_000);
    let client = client(&hub);
    let snapshot = snapshot(&client);
    assert_eq!(snapshot.commit, COMMIT);
    let paths: Vec<_> = snapshot
        .files
        .iter()
        .map(|file| file.path.as_str())
        .collect();
    assert_eq!(paths, ["config.json", "model.safetensors"]);

    assert_eq!(
        client.fetch(&snapshot, "config.json", 100).unwrap(),
        b"{\"a\": 1}"
    );
    let file = client.open(&snapshot, "model.safetensors").unwrap();
    assert_eq!(file.size(), 100_000);
    assert_eq!(file.etag(), shard.digest);
    assert_eq!(
        file.url(),
        format!(
            "{}/{REPO}/resolve/{COMMIT}/model.safetensors",
            hub.endpoint()
        )
    );
    let mut buf = [0; 1000];
    file.read_exact_at(&mut buf, 99_000).unwrap();
    assert_eq!(buf[..], shard.content.bytes(99_000..100_000));
    // A small file can be read in parts, too.
    let file = client.open(&snapshot, "config.json").unwrap();
    file.read_exact_at(&mut buf[..3], 1).unwrap();
    assert_eq!(&buf[..3], b"\"a\"");

    let asked: Vec<_> = hub.seen().iter().map(|seen| seen.target.clone()).collect();
    assert_eq!(
        asked[0],
        format!("/api/models/{REPO}/revision/main?blobs=true")
    );
    // From then on all is asked of the commit.
    assert!(
        asked[1..].iter().all(|target| !target.contains("main")),
        "{asked:?}"
    );
}

#[test]
fn a_part_costs_one_request_to_the_cdn() {
    let (hub, shard) = hub_with_shard(1 << 20);
    let client = client(&hub);
    let file = client
        .open(&snapshot(&client), "model.safetensors")
        .unwrap();
    let before = (hub.seen().len(), client.traffic());
    let mut buf = vec![0; 1 << 16];
    for i in 0..16 {
        file.read_exact_at(&mut buf, i << 16).unwrap();
        assert_eq!(buf, shard.content.bytes(i << 16..(i + 1) << 16));
    }
    let after = client.traffic();
    assert_eq!(hub.seen().len() - before.0, 16);
    assert_eq!(after.requests - before.1.requests, 16);
    let bytes = after.bytes - before.1.bytes;
    assert!((1 << 20..(1 << 20) + 16 * 250).contains(&bytes), "{bytes}");
    // The connection is used again.
    assert!(hub.connections() <= 2, "{}", hub.connections());
}

#[test]
fn parts_of_a_file_of_43_gigabytes() {
    const SIZE: u64 = 43_248_363_520;
    let hub = Hub::start();
    let file = File::huge(Vec::new(), SIZE, 3);
    hub.put(REPO, "model.safetensors", file.clone());
    let client = client(&hub);
    let remote = client
        .open(&snapshot(&client), "model.safetensors")
        .unwrap();
    let mut buf = vec![0; 5001];
    for offset in [0, (1 << 32) - 2500, SIZE - 5001] {
        remote.read_exact_at(&mut buf, offset).unwrap();
        assert_eq!(buf, file.content.bytes(offset..offset + 5001), "{offset}");
    }
    let error = remote.read_exact_at(&mut buf, SIZE - 5000).unwrap_err();
    assert!(
        error.to_string().contains(&format!(
            "5001 bytes at {} are asked of a file of {SIZE}",
            SIZE - 5000
        )),
        "{error}"
    );
}

#[test]
fn the_whole_target_costs_its_headers() {
    let hub = Hub::start();
    let spec = Spec {
        sizes: Sizes::target(40),
        shards: 5,
        ..small_moe()
    };
    hub.put_checkpoint(REPO, &spec);
    let client = client(&hub);
    let snapshot = snapshot(&client);
    let (mut tensors, mut bytes, mut headers) = (0, 0, 0);
    for info in snapshot
        .files
        .iter()
        .filter(|file| file.path.ends_with(".safetensors"))
    {
        let shard = client.open(&snapshot, &info.path).unwrap();
        let mut len = [0; 8];
        shard.read_exact_at(&mut len, 0).unwrap();
        let mut json = vec![0; u64::from_le_bytes(len) as usize];
        shard.read_exact_at(&mut json, 8).unwrap();
        let header: serde_json::Value = serde_json::from_slice(&json).unwrap();
        let names = header.as_object().unwrap().keys();
        tensors += names.filter(|name| *name != "__metadata__").count();
        headers += 8 + json.len() as u64;
        bytes += shard.size() - 8 - json.len() as u64;
    }
    assert_eq!((tensors, bytes), (523, 43_248_363_520));
    let traffic = client.traffic().bytes;
    assert!(traffic < headers + 10_000, "{traffic} for {headers}");
}

#[test]
fn the_token_is_for_the_hub_alone() {
    let (hub, shard) = hub_with_shard(1000);
    hub.guard(REPO, "hf_secret", false);
    let client = client_with_token(&hub, "hf_secret");
    let snapshot = snapshot(&client);
    client.fetch(&snapshot, "config.json", 100).unwrap();
    client.fetch(&snapshot, "model.safetensors", 1000).unwrap();
    let file = client.open(&snapshot, "model.safetensors").unwrap();
    let mut buf = [0; 1000];
    file.read_exact_at(&mut buf, 0).unwrap();
    assert_eq!(buf[..], shard.content.bytes(0..1000));
    for seen in hub.seen() {
        let expected = (!seen.at_cdn).then(|| "Bearer hf_secret".to_owned());
        assert_eq!(seen.authorization, expected, "{}", seen.target);
    }
    assert!(hub.seen().iter().any(|seen| seen.at_cdn));
}

#[test]
fn refusals_are_final_and_say_what_to_do() {
    let (hub, _) = hub_with_shard(1000);
    hub.put("org/gated", "config.json", File::small("{}"));
    hub.guard("org/gated", "hf_secret", true);
    let end = hub.endpoint();
    let no_token = "set HF_TOKEN to a token of an account that may read it";
    let cases = [
        (
            "hf:org/none",
            format!(
                "the hub refuses hf:org/none: Repository not found (HTTP 401): look at {end}/org/none; where it is private, {no_token}"
            ),
        ),
        (
            "hf:org/gated",
            format!(
                "the hub refuses hf:org/gated: Access to model org/gated is restricted (HTTP 403): ask for access at {end}/org/gated; {no_token}"
            ),
        ),
        (
            "hf:org/model@v9",
            format!(
                "the hub refuses hf:org/model: Invalid rev id: v9 (HTTP 404): `v9` is none of the branches and tags at {end}/org/model/tree/main"
            ),
        ),
    ];
    let client = client(&hub);
    for (i, (name, expected)) in cases.iter().enumerate() {
        let error = client
            .snapshot(&Repo::parse(name, &end).unwrap())
            .unwrap_err();
        assert_eq!(error.to_string(), *expected);
        assert_eq!(hub.seen().len(), i + 1, "{name} was asked for again");
    }
    let error = client
        .fetch(&snapshot(&client), "x.json", 10)
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "hf:org/model has no file `x.json`: it has `config.json`"
    );
}

#[test]
fn a_small_file_is_checked() {
    let (hub, _) = hub_with_shard(1000);
    let client = client(&hub);
    let snapshot = snapshot(&client);
    let error = client
        .fetch(&snapshot, "model.safetensors", 999)
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "`model.safetensors` of hf:org/model has 1000 bytes, expected at most 999: look at it on the hub, it is not what its name says"
    );

    hub.fail(On::Cdn, 1, Fault::Flipped);
    let error = client
        .fetch(&snapshot, "model.safetensors", 1000)
        .unwrap_err();
    assert!(
        matches!(
            error,
            HubError::Damaged {
                kind: "SHA-256",
                ..
            }
        ),
        "{error}"
    );

    hub.put(
        REPO,
        "config.json",
        File {
            content: Content::Bytes(Vec::from("{\"b\": 1}").into()),
            ..File::small("{\"a\": 1}")
        },
    );
    let error = client.fetch(&snapshot, "config.json", 100).unwrap_err();
    assert!(
        matches!(
            error,
            HubError::Damaged {
                kind: "git blob id",
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn metadata_that_is_not_the_snapshots_is_an_error() {
    let (hub, _) = hub_with_shard(1000);
    let client = client(&hub);
    let snapshot = snapshot(&client);
    let other = "89abcdef0123456789abcdef0123456789abcdef";
    hub.fail(On::Head, 1, Fault::Commit(other));
    let error = client
        .open(&snapshot, "model.safetensors")
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        format!(
            "`model.safetensors` of hf:org/model changed while it was read: expected commit {COMMIT}, found {other}: start again"
        )
    );
    hub.fail(On::Head, 1, Fault::LinkedEtag("abc"));
    let error = client
        .open(&snapshot, "model.safetensors")
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("expected SHA-256") && error.contains("found abc"),
        "{error}"
    );
    hub.put(REPO, "model.safetensors", File::large(1001, 7));
    let error = client
        .open(&snapshot, "model.safetensors")
        .unwrap_err()
        .to_string();
    assert!(error.contains("expected size 1000, found 1001"), "{error}");
}

#[test]
fn a_server_that_is_no_hub() {
    let (hub, _) = hub_with_shard(1000);
    let client = client(&hub);
    hub.fail(On::Info, 1, Fault::Status(200, Vec::new()));
    let error = client.snapshot(&repo()).unwrap_err().to_string();
    assert_eq!(
        error,
        "the answer for hf:org/model is not a hub's: its model information: EOF while parsing a value at line 1 column 0: does HF_ENDPOINT name a hub?"
    );
    hub.fail(
        On::Head,
        1,
        Fault::Status(200, vec![("ETag", "\"abc\"".into())]),
    );
    let snapshot = snapshot(&client);
    let error = client
        .open(&snapshot, "model.safetensors")
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "the answer for `model.safetensors` of hf:org/model is not a hub's: it has no X-Repo-Commit: does HF_ENDPOINT name a hub?"
    );
}

#[test]
fn no_one_listens() {
    let hub = Hub::start();
    let endpoint = hub.endpoint();
    let config = config(&hub);
    drop(hub);
    std::thread::sleep(Duration::from_millis(50));
    let client = Client::new(config, hasty(), Default::default());
    let error = client.snapshot(&repo()).unwrap_err().to_string();
    let host = endpoint.strip_prefix("http://").unwrap();
    let expected = format!(
        "cannot fetch hf:org/model: {host}: Connection refused (os error 111); gave up after 3 attempts in 0 s"
    );
    #[cfg(target_os = "linux")]
    assert!(error.starts_with(&expected), "{error}");
    #[cfg(not(target_os = "linux"))]
    assert!(
        error.contains("gave up after 3 attempts"),
        "{error}, {expected}"
    );
}

#[test]
fn offline_asks_nothing() {
    let (hub, _) = hub_with_shard(1000);
    let config = Config {
        offline: Some("HF_HUB_OFFLINE"),
        cache: "the/cache".into(),
        ..config(&hub)
    };
    let client = Client::new(config, hasty(), Default::default());
    let error = client.snapshot(&repo()).unwrap_err().to_string();
    assert_eq!(
        error,
        "hf:org/model is asked of the hub, and HF_HUB_OFFLINE is set: unset it to fetch from the hub"
    );
    assert!(hub.seen().is_empty());
}

#[test]
fn a_waiting_request_ends_when_the_flag_is_set() {
    let (hub, _) = hub_with_shard(1000);
    hub.fail(On::Cdn, 9, Fault::Stall(10, Duration::from_secs(20)));
    let client = client_stopped_after(&hub, Duration::from_millis(300));
    let file = client
        .open(&snapshot(&client), "model.safetensors")
        .unwrap();
    let began = Instant::now();
    let error = file.read_exact_at(&mut [0; 1000], 0).unwrap_err();
    assert!(matches!(error, HubError::Interrupted), "{error}");
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "{:?}",
        began.elapsed()
    );
}
