//! What is told of workers that are not there, and of workers that cannot be.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::thread;

use super::{Worker, error, rpc_worker, run};
use crate::run::talkative;

/// A program on a port of this machine that reads a greeting and answers with these bytes; `None` never does.
fn stranger(answer: Option<&'static [u8]>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        let mut silent = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read_exact(&mut [0; 33]);
            match answer {
                Some(answer) => {
                    let _ = stream.write_all(answer);
                }
                None => silent.push(stream),
            }
        }
    });
    address
}

/// Whether a worker lets a client have so many bytes, which are never written to.
#[cfg(target_os = "linux")]
fn gives(worker: &Worker, bytes: u64) -> bool {
    let mut stream = TcpStream::connect(&worker.address).unwrap();
    let mut request = vec![14, 24, 0, 0, 0, 0, 0, 0, 0];
    request.resize(33, 0);
    stream.write_all(&request).unwrap();
    stream.read_exact(&mut [0; 36]).unwrap();
    // Command 0 with a device and a number of bytes; the answer is the address of a buffer, or 0.
    let mut request = vec![0, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    request.extend(bytes.to_le_bytes());
    stream.write_all(&request).unwrap();
    let mut answer = [0; 24];
    stream.read_exact(&mut answer).unwrap();
    answer[8..16] != [0; 8]
}

#[cfg(target_os = "linux")]
#[test]
fn a_client_that_takes_more_than_is_offered_is_refused() {
    let worker = Worker::start(&["--mem", "100M"]);
    assert!(gives(&worker, 100_000_000));
    assert!(!gives(&worker, 3 << 30));
    assert!(gives(&worker, 100_000_000));
    assert!(gives(&Worker::start(&[]), 3 << 30));
}

/// A greeting of another version of the protocol.
const OTHER_VERSION: &[u8] = &[
    28, 0, 0, 0, 0, 0, 0, 0, 6, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0,
];

#[test]
fn who_is_not_a_worker_is_told_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let model = talkative(dir.path());
    let told = |worker: &str| error(run(&model, &[worker]).args(["--raw", "-p", "a"]));

    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let nobody = told(&free.to_string());
    assert!(
        nobody.contains(&format!("no worker answers at {free}"))
            && nobody.ends_with(&format!("`swallow-gguf rpc-worker --port {}`", free.port())),
        "{nobody}"
    );
    let silent = stranger(None);
    assert!(told(&silent).contains(&format!("{silent} says nothing")));
    let others: [&[u8]; 4] = [
        b"",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        &[28, 0, 0, 0, 0, 0, 0, 0, 7],
        &[0xff; 64],
    ];
    for answer in others {
        let address = stranger(Some(answer));
        let told = told(&address);
        assert!(
            told.contains(&format!("what listens at {address} is not a worker")),
            "{told}"
        );
    }
    let other = stranger(Some(OTHER_VERSION));
    let other_version = told(&other);
    assert!(
        other_version.contains("speaks version 6.1.0"),
        "{other_version}"
    );
    assert!(other_version.contains(&other), "{other_version}");
    let twice = told(&format!("{other},{other}"));
    assert_eq!(twice, format!("the worker {other} is given twice"));
}

#[test]
fn a_worker_that_cannot_be_is_told_why() {
    let told = |args: &[&str]| error(rpc_worker("0").args(args));
    for open in ["0.0.0.0", "8.8.8.8"] {
        let told = told(&["--host", open]);
        assert!(told.contains("add `--i-know-it-is-open`"), "{told}");
    }
    let not_ours = told(&["--host", "203.0.113.1", "--i-know-it-is-open"]);
    assert!(
        not_ours.contains("this machine does not have that address"),
        "{not_ours}"
    );
    for host in ["::1", "", "a b"] {
        let told = told(&["--host", host]);
        assert!(told.contains("expected an IPv4 address"), "{told}");
    }
    let much = told(&["--mem", "900G"]);
    assert!(
        much.starts_with("900.00 GB of memory are more than CPU has free"),
        "{much}"
    );
    let device = told(&["--device", "cpuu"]);
    assert!(device.contains("did you mean `CPU`?"), "{device}");
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let cache = told(&[&format!("--cache={}", file.display())]);
    assert!(
        cache.starts_with(&format!("cannot use `{}` for the cache", file.display())),
        "{cache}"
    );

    let worker = Worker::start(&[]);
    let port = worker.address.rsplit(':').next().unwrap();
    let taken = error(&mut rpc_worker(port));
    assert!(
        taken.contains(&format!(
            "cannot listen on 127.0.0.1:{port}: the port is in use"
        )),
        "{taken}"
    );
}
