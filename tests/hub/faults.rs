//! One fault at a time: those that pass are not noticed, the others say what is wrong.

use std::time::{Duration, Instant};

use swallow_gguf::hub::{HubError, RemoteFile};

use super::{
    client, hub_with_shard,
    server::{Fault, Hub, On},
    snapshot,
};

const SIZE: u64 = 300_000;
const LONG: Duration = Duration::from_secs(10);

fn open(hub: &Hub) -> RemoteFile {
    let client = client(hub);
    client
        .open(&snapshot(&client), "model.safetensors")
        .unwrap()
}

/// Each with whether the read must go on where the fault broke it off.
fn passing() -> Vec<(&'static str, Fault, bool)> {
    let status = |status, headers| Fault::Status(status, headers);
    vec![
        ("reset before the answer", Fault::Reset(None), false),
        ("reset in the body", Fault::Reset(Some(150_000)), false),
        ("a short body", Fault::Short(150_000), true),
        ("an empty body", Fault::Short(0), false),
        ("a stalled answer", Fault::Stall(0, LONG), false),
        ("a stalled body", Fault::Stall(150_000, LONG), true),
        ("408", status(408, vec![]), false),
        ("429", status(429, vec![]), false),
        (
            "429 with Retry-After",
            status(429, vec![("Retry-After", "0".into())]),
            false,
        ),
        ("500", status(500, vec![]), false),
        ("502", status(502, vec![]), false),
        (
            "503 with a date",
            status(
                503,
                vec![("Retry-After", "Sun, 06 Nov 1994 08:49:37 GMT".into())],
            ),
            false,
        ),
        ("504", status(504, vec![]), false),
        ("a link that has expired", status(403, vec![]), false),
        ("a link that is gone", status(410, vec![]), false),
        ("a range that was not asked for", Fault::Shifted(1), false),
        ("the whole file instead of a part", Fault::Whole, false),
        ("more than was asked for", Fault::Longer(10), false),
        ("a body that is encoded", Fault::Encoded, false),
        (
            "a slow body",
            Fault::Trickle(50_000, Duration::from_millis(10)),
            false,
        ),
    ]
}

#[test]
fn faults_that_pass_are_not_noticed() {
    let (hub, shard) = hub_with_shard(SIZE);
    for (name, fault, goes_on) in passing() {
        let file = open(&hub);
        let before = hub.seen().len();
        hub.fail(On::Cdn, 1, fault);
        let mut buf = vec![0xaa; 200_000];
        file.read_exact_at(&mut buf, 50_000)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(buf, shard.content.bytes(50_000..250_000), "{name}");
        assert!(hub.is_done_failing(), "{name}");
        let last = hub.seen().last().and_then(|seen| seen.range.clone());
        let first = if goes_on { 200_000 } else { 50_000 };
        if !name.starts_with("reset in") {
            assert_eq!(last, Some(format!("bytes={first}-249999")), "{name}");
        }
        assert!(hub.seen().len() - before <= 3, "{name}");
    }
}

#[test]
fn and_not_in_model_information_metadata_and_small_files() {
    let (hub, _) = hub_with_shard(SIZE);
    let faults = [
        Fault::Reset(None),
        Fault::Status(503, vec![]),
        Fault::Status(429, vec![("Retry-After", "0".into())]),
    ];
    for fault in faults {
        for on in [On::Info, On::Head, On::Resolve, On::Cdn] {
            hub.fail(on, 2, fault.clone());
        }
        let client = client(&hub);
        let snapshot = snapshot(&client);
        client.open(&snapshot, "model.safetensors").unwrap();
        client.fetch(&snapshot, "config.json", 100).unwrap();
        client.fetch(&snapshot, "model.safetensors", SIZE).unwrap();
        assert!(hub.is_done_failing(), "{fault:?}");
    }
}

#[test]
fn retry_after_is_waited_for() {
    let (hub, _) = hub_with_shard(SIZE);
    let file = open(&hub);
    hub.fail(
        On::Cdn,
        1,
        Fault::Status(429, vec![("Retry-After", "1".into())]),
    );
    let began = Instant::now();
    file.read_exact_at(&mut [0; 10], 0).unwrap();
    let took = began.elapsed();
    assert!(
        (Duration::from_secs(1)..Duration::from_secs(3)).contains(&took),
        "{took:?}"
    );
    // Longer than the policy lets us wait.
    hub.fail(
        On::Cdn,
        1,
        Fault::Status(429, vec![("Retry-After", "300".into())]),
    );
    let error = file.read_exact_at(&mut [0; 10], 0).unwrap_err().to_string();
    assert!(
        error.contains("answers HTTP 429, to be asked again in 300 s; gave up after 1 attempt"),
        "{error}"
    );
}

#[test]
fn faults_that_stay_are_given_up_on() {
    let cases = [
        (Fault::Reset(None), "Connection reset by peer"),
        (
            Fault::Short(0),
            "after 0 of 1000 bytes: the connection ended",
        ),
        (Fault::Stall(0, LONG), "nothing arrived in time"),
        (Fault::Status(503, vec![]), "answers HTTP 503"),
        (
            Fault::Shifted(1),
            "answers with Content-Range `bytes 1-1000/300000` for bytes 0-999",
        ),
        (Fault::Whole, "answers HTTP 200 to a range"),
        (Fault::Longer(5), "sent more than 1000 bytes"),
        (Fault::Encoded, "encodes the body as `gzip`"),
    ];
    for (fault, reason) in cases {
        let (hub, _) = hub_with_shard(SIZE);
        let file = open(&hub);
        hub.fail(On::Cdn, 99, fault.clone());
        let error = file.read_exact_at(&mut [0; 1000], 0).unwrap_err();
        let text = error.to_string();
        assert!(
            matches!(error, HubError::GaveUp { attempts: 4, .. }),
            "{fault:?}: {text}"
        );
        assert!(
            text.starts_with("cannot fetch `model.safetensors` of hf:org/model: 127.0.0.1:"),
            "{text}"
        );
        assert!(text.contains(reason), "{fault:?}: {text}");
        assert!(
            text.ends_with("run the same command again when the connection is better"),
            "{text}"
        );
    }
}

#[test]
fn a_body_that_breaks_off_again_and_again_arrives_all_the_same() {
    let (hub, shard) = hub_with_shard(SIZE);
    let file = open(&hub);
    // More often than a request may fail, but each time further on.
    hub.fail(On::Cdn, 6, Fault::Short(70_000));
    let mut buf = vec![0; SIZE as usize];
    // 70,000 bytes at a time are less than the whole by far, and enough to count as progress.
    file.read_exact_at(&mut buf, 0).unwrap();
    assert_eq!(buf, shard.content.bytes(0..SIZE));
    let firsts: Vec<_> = hub
        .seen()
        .iter()
        .filter_map(|seen| seen.range.clone())
        .collect();
    assert_eq!(
        firsts[..3],
        [
            "bytes=0-299999",
            "bytes=70000-299999",
            "bytes=140000-299999"
        ]
    );
}

#[test]
fn an_expired_link_is_asked_for_again() {
    let (hub, shard) = hub_with_shard(SIZE);
    let file = open(&hub);
    let mut buf = [0; 1000];
    for round in 0..3 {
        file.read_exact_at(&mut buf, 5000).unwrap();
        assert_eq!(buf[..], shard.content.bytes(5000..6000), "{round}");
        hub.expire_links();
    }
    let resolved = hub
        .seen()
        .iter()
        .filter(|seen| !seen.at_cdn && seen.range.is_some())
        .count();
    assert_eq!(resolved, 2);
}

#[test]
fn a_cdn_that_refuses_new_links_is_given_up_on() {
    let (hub, _) = hub_with_shard(SIZE);
    let file = open(&hub);
    hub.fail(On::Cdn, 99, Fault::Status(403, vec![]));
    let error = file.read_exact_at(&mut [0; 10], 0).unwrap_err().to_string();
    assert!(
        error.contains("answers HTTP 403; gave up after 4 attempts"),
        "{error}"
    );
}

#[test]
fn a_file_that_changes_is_an_error_and_not_a_mixture() {
    let other_etag =
        |error: &str| error.contains("expected ETag cdn-") && error.contains("found other");
    type Check = fn(&str) -> bool;
    let cases: [(&str, On, Fault, Check); 4] = [
        ("the CDN's ETag", On::Cdn, Fault::Etag("other"), other_etag),
        ("the size", On::Cdn, Fault::Size(SIZE + 1), |e| {
            e.contains("expected size 300000, found 300001")
        }),
        (
            "the hub's ETag",
            On::Resolve,
            Fault::LinkedEtag("other"),
            |e| e.contains("expected ETag") && e.contains("found other"),
        ),
        ("the commit", On::Resolve, Fault::Commit("1111"), |e| {
            e.contains("expected commit") && e.contains("found 1111")
        }),
    ];
    for (name, on, fault, check) in cases {
        let (hub, _) = hub_with_shard(SIZE);
        let file = open(&hub);
        let mut buf = [0; 1000];
        file.read_exact_at(&mut buf, 0).unwrap();
        hub.fail(on, 1, fault);
        if on == On::Resolve {
            hub.expire_links();
        }
        let before = hub.seen().len();
        let error = file.read_exact_at(&mut buf, 1000).unwrap_err();
        assert!(matches!(error, HubError::Changed { .. }), "{name}: {error}");
        let error = error.to_string();
        assert!(
            error.starts_with("`model.safetensors` of hf:org/model changed while it was read: "),
            "{error}"
        );
        assert!(error.ends_with(": start again"), "{error}");
        assert!(check(&error), "{name}: {error}");
        assert!(hub.seen().len() - before <= 3, "{name} was asked for again");
    }
}

#[test]
fn a_file_that_shrank_is_an_error() {
    let (hub, _) = hub_with_shard(SIZE);
    let file = open(&hub);
    hub.fail(
        On::Cdn,
        1,
        Fault::Status(416, vec![("Content-Range", "bytes */10".into())]),
    );
    let error = file
        .read_exact_at(&mut [0; 1000], 1000)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("expected size 300000, found 10: start again"),
        "{error}"
    );
}

#[test]
fn redirects_that_do_not_end() {
    let (hub, _) = hub_with_shard(SIZE);
    let client = client(&hub);
    let snapshot = snapshot(&client);
    hub.fail(On::Head, 99, Fault::Loop);
    let error = client
        .open(&snapshot, "model.safetensors")
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("more than 5 redirects, the last to 127.0.0.1:"),
        "{error}"
    );
}
