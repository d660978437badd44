//! A model on this machine and on workers.

use std::net::TcpStream;

use rustix::process::Signal;
use swallow_gguf::synthetic::{Sizes, Spec};

use super::{Worker, output, run};
use crate::run::talkative;
use crate::support::{checkpoint, converted, small_moe, swallow_gguf, text};

#[test]
fn two_workers_have_layers_and_the_text_is_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let model = talkative(dir.path());
    let asked = ["-n", "12", "--raw", "-p", "a"];
    let alone = output(run(&model, &[]).args(asked));
    assert!(alone.status.success(), "{}", text(&alone.stderr));
    assert!(!alone.stdout.is_empty());

    let one = Worker::start(&[]);
    let two = Worker::start(&["--mem", "1500M"]);
    assert!(
        one.greeting.contains("no authentication"),
        "{}",
        one.greeting
    );
    assert!(
        two.greeting.contains("offers 1.50 GB of memory"),
        "{}",
        two.greeting
    );
    // One who stands at the door and says nothing keeps nobody out.
    let _silent = TcpStream::connect(&one.address).unwrap();
    let workers = [one.address.as_str(), two.address.as_str()];
    for split in ["1,1", "2,1"] {
        let both = output(run(&model, &workers).args(asked).args([
            "-v",
            "--gpu-layers",
            "all",
            "--tensor-split",
            split,
        ]));
        let log = text(&both.stderr);
        assert!(both.status.success(), "{log}");
        assert_eq!(text(&both.stdout), text(&alone.stdout), "{log}");
        for address in workers {
            let buffer = format!("[{address}] model buffer size");
            assert!(log.contains(&buffer), "{buffer}: {log}");
        }
    }
    // One that is too small for what llama.cpp leaves free gets nothing, which is told.
    let small = Worker::start(&["--mem", "100M"]);
    let none = output(run(&model, &[&small.address]).args(asked));
    assert_eq!(text(&none.stdout), text(&alone.stdout));
    let told = text(&none.stderr);
    assert!(told.contains("no layers go to the workers"), "{told}");
    one.wait_for("uses this worker");
    one.wait_for("its memory is free again");
    // What is on this machine alone is as it was.
    let some = output(
        run(&model, &workers[..1])
            .args(asked)
            .args(["-v", "--gpu-layers", "1"]),
    );
    assert_eq!(text(&some.stdout), text(&alone.stdout));
    assert!(text(&some.stderr).contains("CPU_Mapped model buffer size"));

    assert_eq!(one.end(Signal::INT), "");
    assert_eq!(two.end(Signal::TERM), "");
}

#[test]
fn devices_of_workers_are_listed() {
    let worker = Worker::start(&["--mem", "1G"]);
    let listed = output(swallow_gguf().args(["devices", "--rpc", &worker.address]));
    let stdout = text(&listed.stdout);
    assert!(listed.status.success(), "{}", text(&listed.stderr));
    let line = stdout.lines().find(|line| line.contains(&worker.address));
    assert!(
        line.is_some_and(|line| line.contains("1.00 GB")),
        "{stdout}"
    );
}

#[test]
fn large_tensors_are_kept_and_only_whole_ones_are_used() {
    let dir = tempfile::tempdir().unwrap();
    // The experts of a layer are more than the 10 MiB from which llama.cpp keeps tensors.
    let spec = Spec {
        sizes: Sizes {
            num_hidden_layers: 1,
            intermediate_size: 12 << 10,
            ..small_moe().sizes
        },
        ..small_moe()
    };
    let model = dir.path().join("model.gguf");
    converted(
        &checkpoint(dir.path(), "source", &spec),
        &model,
        &["-t", "f16"],
    );
    let cache = dir.path().join("cache");
    let flag = format!("--cache={}", cache.display());
    let answer = |worker: &Worker| {
        let output = output(run(&model, &[&worker.address]).args(["-n", "8", "--raw", "-p", "a"]));
        assert!(output.status.success(), "{}", text(&output.stderr));
        output.stdout
    };
    let alone = output(run(&model, &[]).args(["-n", "8", "--raw", "-p", "a"])).stdout;

    let worker = Worker::start(&[&flag]);
    assert_eq!(answer(&worker), alone);
    let kept = || {
        let mut files: Vec<_> = std::fs::read_dir(&cache)
            .unwrap()
            .map(|entry| entry.unwrap())
            .map(|entry| (entry.path(), entry.metadata().unwrap().len()))
            .collect();
        files.sort();
        files
    };
    let files = kept();
    assert_eq!(files.len(), 3, "{files:?}");
    // As if the disk had been full: the same worker must not take it for the tensor.
    let shorten = |length: u64| {
        let file = std::fs::File::options()
            .write(true)
            .open(&files[0].0)
            .unwrap();
        file.set_len(length).unwrap();
    };
    shorten(1 << 20);
    assert_eq!(answer(&worker), alone);
    assert_eq!(kept(), files);
    drop(worker);
    // As if the worker had been ended while it wrote.
    shorten(3);
    let worker = Worker::start(&[&flag]);
    assert_eq!(kept(), files[1..]);
    assert_eq!(answer(&worker), alone);
}
