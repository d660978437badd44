//! Parts on several connections, in order.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use proptest::{collection::vec, prelude::*};
use swallow_gguf::hub::{Client, HubError, Options, Part, ReadAhead};

use super::{
    REPO, client, client_stopped_after, hub_with_shard,
    server::{Fault, File, Hub, On},
    snapshot,
};

const PIECE: usize = 100_000;

fn options() -> Options {
    Options {
        connections: 4,
        piece: PIECE,
        bound: 10 * PIECE,
        stall: Duration::from_millis(100),
    }
}

fn whole(client: &Client) -> Part {
    let file = client.open(&snapshot(client), "model.safetensors").unwrap();
    let bytes = 0..file.size();
    Part {
        file: Arc::new(file),
        bytes,
    }
}

/// Reads all of one shard, and says how long it took.
fn read_all(hub: &Hub, shard: &File, options: &Options) -> Result<Duration, HubError> {
    let client = client(hub);
    let part = whole(&client);
    let began = Instant::now();
    let mut ahead = ReadAhead::start(&[part], options)?;
    let mut bytes = vec![0; shard.content.size() as usize];
    ahead.read_exact(&mut bytes)?;
    let took = began.elapsed();
    assert!(
        bytes == shard.content.bytes(0..shard.content.size()),
        "other bytes"
    );
    Ok(took)
}

#[test]
fn parts_of_several_files_in_the_order_asked_for() {
    let hub = Hub::start();
    let contents: Vec<_> = (0..3)
        .map(|i| {
            let file = File::large(1_000_000, i);
            hub.put(REPO, &format!("{i}.safetensors"), file.clone());
            file.content
        })
        .collect();
    let client = client(&hub);
    let snapshot = snapshot(&client);
    let files: Vec<_> = (0..3)
        .map(|i| Arc::new(client.open(&snapshot, &format!("{i}.safetensors")).unwrap()))
        .collect();
    let list = [
        (2, 0..1_000_000),
        (0, 999_999..1_000_000),
        (0, 10..10),
        (0, 0..350_001),
        (0, 350_001..350_002),
        (0, 350_002..400_000),
        (1, 500_000..500_003),
        (2, 5..300_000),
        (2, 5..300_000),
    ];
    let parts: Vec<_> = list
        .iter()
        .map(|(i, bytes)| Part {
            file: Arc::clone(&files[*i]),
            bytes: bytes.clone(),
        })
        .collect();
    let expected: Vec<u8> = list
        .iter()
        .flat_map(|(i, bytes)| contents[*i].bytes(bytes.clone()))
        .collect();
    let before = (client.traffic(), hub.seen().len());
    let mut ahead = ReadAhead::start(&parts, &options()).unwrap();
    // In steps that are no pieces.
    let mut found = Vec::new();
    for step in [1, 99_998, 3, 500_000].iter().cycle() {
        let n = (expected.len() - found.len()).min(*step);
        let mut buf = vec![0; n];
        ahead.read_exact(&mut buf).unwrap();
        found.extend(buf);
        if found.len() == expected.len() {
            break;
        }
    }
    assert!(found == expected);
    let error = ahead.read_exact(&mut [0]).unwrap_err().to_string();
    assert!(error.contains("more is read than was asked for"), "{error}");
    // Ten pieces, one, four of three parts joined, one, and two times three.
    assert_eq!(hub.seen().len() - before.1, 22);
    let bytes = client.traffic().bytes - before.0.bytes;
    let least = expected.len() as u64;
    assert!(
        (least..least + least / 100).contains(&bytes),
        "{bytes} for {least}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever is asked for, in whatever pieces, by however many connections, with short bodies on
    /// the way.
    #[test]
    fn any_parts(
        list in vec((0..2_usize, 0..200_000_u64, 0..50_000_u64), 0..12),
        piece in 1_000..60_000_usize,
        bound in 0..200_000_usize,
        connections in 1..5_usize,
        step in 1..80_000_usize,
        faults in vec(0..3_000_usize, 0..4),
    ) {
        let hub = Hub::start();
        let contents = [1, 2].map(|seed| {
            let file = File::large(250_000, seed);
            hub.put(REPO, &format!("{seed}.safetensors"), file.clone());
            file.content
        });
        let client = client(&hub);
        let snapshot = snapshot(&client);
        let files = [1, 2].map(|seed| {
            Arc::new(client.open(&snapshot, &format!("{seed}.safetensors")).unwrap())
        });
        let mut parts = Vec::new();
        let mut expected = Vec::new();
        for (file, start, len) in list {
            let bytes = start..start + len;
            expected.extend(contents[file].bytes(bytes.clone()));
            parts.push(Part { file: Arc::clone(&files[file]), bytes });
        }
        for fault in faults {
            hub.fail(On::Cdn, 1, Fault::Short(fault));
        }
        let options = Options { connections, piece, bound, ..options() };
        let mut ahead = ReadAhead::start(&parts, &options).unwrap();
        let mut found = vec![0; expected.len()];
        for buf in found.chunks_mut(step) {
            ahead.read_exact(buf).unwrap();
        }
        prop_assert!(found == expected);
    }
}

#[test]
fn faults_on_the_way_are_not_noticed() {
    let (hub, shard) = hub_with_shard(3_000_000);
    let faults = [
        Fault::Reset(None),
        Fault::Reset(Some(50_000)),
        Fault::Short(70_000),
        Fault::Status(503, vec![]),
        Fault::Status(403, vec![]),
        Fault::Shifted(7),
        Fault::Stall(30_000, Duration::from_secs(10)),
    ];
    for (i, fault) in faults.into_iter().enumerate() {
        hub.fail(On::CdnAt(300_000 * i as u64), 1, fault);
    }
    read_all(&hub, &shard, &options()).unwrap();
    assert!(hub.is_done_failing());
}

#[test]
fn a_slow_connection_does_not_hold_the_others() {
    let slow = [
        ("nothing comes", Fault::Stall(0, Duration::from_secs(10))),
        (
            "no more comes",
            Fault::Stall(60_000, Duration::from_secs(10)),
        ),
        (
            "little comes",
            Fault::Trickle(1000, Duration::from_millis(50)),
        ),
    ];
    for (name, fault) in slow {
        let (hub, shard) = hub_with_shard(5_000_000);
        hub.fail(On::CdnAt(1_000_000), 1, fault);
        let client = super::Client::new(
            super::config(&hub),
            super::hasty_but_waiting(),
            Arc::default(),
        );
        let part = whole(&client);
        let began = Instant::now();
        let mut ahead = ReadAhead::start(&[part], &options()).unwrap();
        let mut bytes = vec![0; 5_000_000];
        ahead.read_exact(&mut bytes).unwrap();
        assert!(
            began.elapsed() < Duration::from_secs(3),
            "{name}: {:?}",
            began.elapsed()
        );
        assert!(bytes == shard.content.bytes(0..5_000_000), "{name}");
        let again = hub
            .seen()
            .iter()
            .filter(|seen| seen.range.as_deref() == Some("bytes=1000000-1099999"))
            .count();
        assert_eq!(again, 2, "{name}");
        assert!(
            client.traffic().bytes < 5_000_000 + 2 * PIECE as u64,
            "{name}"
        );
    }
}

#[test]
fn latency_is_hidden_by_connections() {
    let (hub, shard) = hub_with_shard(4_000_000);
    hub.set_latency(Duration::from_millis(20));
    let one = Options {
        connections: 1,
        ..options()
    };
    let eight = Options {
        connections: 8,
        bound: 20 * PIECE,
        ..options()
    };
    let (one, eight) = (
        read_all(&hub, &shard, &one).unwrap(),
        read_all(&hub, &shard, &eight).unwrap(),
    );
    assert!(one > Duration::from_millis(800), "{one:?}");
    assert!(eight < one / 3, "{eight:?} against {one:?}");
}

#[test]
fn a_slow_network_is_not_taken_for_a_slow_connection() {
    let (hub, shard) = hub_with_shard(1_000_000);
    // A piece takes longer than nothing of it may come.
    hub.set_bandwidth(PIECE as u64 * 2);
    let options = Options {
        stall: Duration::from_millis(400),
        ..options()
    };
    read_all(&hub, &shard, &options).unwrap();
    let parts = hub
        .seen()
        .iter()
        .filter(|seen| seen.range.is_some())
        .count();
    assert_eq!(parts, 10, "no piece was asked for twice");
}

#[test]
fn no_more_is_held_than_allowed() {
    let (hub, shard) = hub_with_shard(5_000_000);
    let client = client(&hub);
    let part = whole(&client);
    let before = hub.sent();
    let mut ahead = ReadAhead::start(&[part], &options()).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    // Nobody reads: the bound is full, but for the room of a second request.
    let sent = hub.sent() - before;
    assert!(sent <= 10 * PIECE as u64, "{sent}");
    assert!(sent >= 9 * PIECE as u64, "{sent}");
    let mut bytes = vec![0; 5_000_000];
    ahead.read_exact(&mut bytes).unwrap();
    assert!(bytes == shard.content.bytes(0..5_000_000));
}

#[test]
fn the_smallest_bound_is_enough() {
    let (hub, shard) = hub_with_shard(1_000_000);
    let options = Options {
        bound: 0,
        ..options()
    };
    read_all(&hub, &shard, &options).unwrap();
}

#[test]
fn the_first_error_ends_it() {
    let (hub, shard) = hub_with_shard(3_000_000);
    hub.fail(On::CdnAt(1_500_000), 99, Fault::Size(5));
    let error = read_all(&hub, &shard, &options()).unwrap_err();
    assert!(matches!(error, HubError::Changed { .. }), "{error}");

    hub.fail(On::CdnAt(600_000), 99, Fault::Status(500, vec![]));
    let error = read_all(&hub, &shard, &options()).unwrap_err();
    assert!(matches!(error, HubError::GaveUp { .. }), "{error}");
}

#[test]
fn parts_beyond_the_end_are_refused() {
    let (hub, _) = hub_with_shard(1000);
    let client = client(&hub);
    let mut part = whole(&client);
    part.bytes = 10..1001;
    let error = ReadAhead::start(&[part], &options())
        .map(|_| ())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("bytes 10..1001 are asked of a file of 1000"),
        "{error}"
    );
}

#[test]
fn it_ends_when_the_flag_is_set_and_when_it_is_dropped() {
    let (hub, _) = hub_with_shard(3_000_000);
    hub.fail(On::Cdn, 99, Fault::Stall(5, Duration::from_secs(20)));
    let client = client_stopped_after(&hub, Duration::from_millis(200));
    let part = whole(&client);
    let options = Options {
        stall: Duration::from_secs(60),
        ..options()
    };
    let began = Instant::now();
    let mut ahead = ReadAhead::start(std::slice::from_ref(&part), &options).unwrap();
    let error = ahead.read_exact(&mut [0; 10]).unwrap_err();
    assert!(matches!(error, HubError::Interrupted), "{error}");
    drop(ahead);
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "{:?}",
        began.elapsed()
    );

    let client = super::Client::new(
        super::config(&hub),
        super::hasty_but_waiting(),
        Arc::default(),
    );
    let part = whole(&client);
    let held = Arc::clone(&part.file);
    let ahead = ReadAhead::start(std::slice::from_ref(&part), &options).unwrap();
    std::thread::sleep(Duration::from_millis(50));
    assert!(Arc::strong_count(&held) > 2);
    drop(ahead);
    let began = Instant::now();
    // Its threads have let go of the file.
    while Arc::strong_count(&held) > 2 {
        assert!(
            began.elapsed() < Duration::from_secs(2),
            "threads are still waiting"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}
