//! Layers on a device. Where there is no GPU a worker on this machine is one, for llama.cpp.

use std::path::{Path, PathBuf};

use super::{fail, succeed};
use crate::rpc::Worker;
use crate::support::{checkpoint, converted, small_moe};
use swallow_gguf::synthetic::{Sizes, Spec};

/// A mixture of three layers and some megabytes each.
fn moe(dir: &Path) -> PathBuf {
    let spec = Spec {
        sizes: Sizes {
            num_hidden_layers: 3,
            hidden_size: 512,
            intermediate_size: 1536,
            ..small_moe().sizes
        },
        ..small_moe()
    };
    let model = dir.join("moe.gguf");
    converted(&checkpoint(dir, "source", &spec), &model, &["-t", "q8_0"]);
    model
}

/// MiB of the model's buffers that llama.cpp's log gives a device.
fn model_buffer(log: &str, device: &str) -> f64 {
    let mut sizes = log
        .lines()
        .filter(|line| line.contains(device) && line.contains("model buffer size"));
    let size = |line: &str| {
        line.rsplit_once('=')
            .unwrap()
            .1
            .trim()
            .trim_end_matches(" MiB")
            .to_owned()
    };
    sizes.next().map_or(0.0, |line| size(line).parse().unwrap())
}

#[test]
fn layers_and_experts_go_where_they_are_told_and_the_text_is_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let model = moe(dir.path());
    let worker = Worker::start(&[]);
    let ask = |args: &[&str]| {
        let asked = [
            "--raw", "-p", "a", "-n", "6", "-c", "512", "-ub", "32", "-v", "--stats",
        ];
        succeed(&model, &[&asked, args].concat())
    };
    let with = |args: &[&str]| ask(&[&["--rpc", &worker.address], args].concat());
    let (alone, _) = ask(&[]);
    let device = "RPC0";

    // All of it fits there.
    let (answer, log) = with(&[]);
    assert_eq!(answer, alone, "{log}");
    assert!(log.contains("layers on a GPU: 4 of 4"), "{log}");
    assert!(log.contains(" of it on devices, which have "), "{log}");
    let all = model_buffer(&log, device);
    assert!(all > 15.0, "{log}");

    let (answer, log) = with(&["-ngl", "2"]);
    assert_eq!(answer, alone);
    assert!(log.contains("layers on a GPU: 2 of 4"), "{log}");
    let some = model_buffer(&log, device);
    assert!(some > 1.0 && some < all / 2.0, "{log}");

    let (answer, log) = with(&["-ngl", "all", "--cpu-moe"]);
    assert_eq!(answer, alone);
    assert!(log.contains("layers on a GPU: 4 of 4"), "{log}");
    let without_experts = model_buffer(&log, device);
    assert!(
        without_experts > 0.0 && without_experts < all / 4.0,
        "{log}"
    );
    assert!(model_buffer(&log, "CPU") > all / 2.0, "{log}");

    let (answer, log) = with(&["-ncmoe", "1"]);
    assert_eq!(answer, alone);
    let two_with_experts = model_buffer(&log, device);
    assert!(
        without_experts < two_with_experts && two_with_experts < all,
        "{log}"
    );

    let (answer, log) = with(&["-ngl", "0", "-ot", r"blk\.1\.ffn=RPC0"]);
    assert_eq!(answer, alone, "{log}");

    let (answer, log) = with(&["--device", "none"]);
    assert_eq!((answer, model_buffer(&log, device)), (alone, 0.0));

    let error = |args: &[&str]| {
        let asked = ["--raw", "-p", "a", "--rpc", &worker.address];
        fail(&model, &[&asked, args].concat())
    };
    assert_eq!(
        error(&["-sm", "none", "-mg", "1"]),
        "`--main-gpu 1` is not there, counted from 0: the devices are RPC0"
    );
    assert_eq!(
        error(&["-ts", "1,1"]),
        "`--tensor-split` has 2 shares: the devices are RPC0"
    );
    assert!(error(&["--device", "RPC9"]).contains("`RPC0` was probably meant"));
}

#[test]
fn as_many_layers_as_fit_go_to_a_small_device() {
    let dir = tempfile::tempdir().unwrap();
    let model = moe(dir.path());
    let ask = |args: &[&str]| {
        let asked = [
            "--raw", "-p", "a", "-n", "6", "-c", "512", "-ub", "32", "-v", "--stats",
        ];
        succeed(&model, &[&asked, args].concat())
    };
    let (alone, _) = ask(&[]);
    // 1 GiB stays free there, so this has room for about the half.
    let worker = Worker::start(&["--mem", "1084M"]);
    let (answer, log) = ask(&["--rpc", &worker.address]);
    assert_eq!(answer, alone);
    let on_device = model_buffer(&log, "RPC0");
    assert!(on_device > 0.0 && on_device < 11.0, "{log}");
    // What the user places is left alone, and our own estimate chooses the layers.
    let (answer, log) = ask(&["--rpc", &worker.address, "-ot", "blk.2.ffn_.*exps=CPU"]);
    assert_eq!(answer, alone);
    let on_device = model_buffer(&log, "RPC0");
    assert!(on_device > 0.0 && on_device < 11.0, "{log}");
}
