//! What is said of memory before a model is loaded, held against llama.cpp's own log.

use std::path::Path;

use swallow_gguf::memory::{Demand, Repacking, Usage, demand};
use swallow_gguf::runner::{ModelFile, devices::repacking};
use swallow_gguf::synthetic::{Sizes, Spec};
use swallow_quant::GgmlType;

use super::succeed;
use crate::{
    families::write_checkpoint,
    support::{checkpoint, converted, small_moe, smollm2},
};

/// How far an estimate of the compute buffer may be off.
const TOLERANCE: f64 = 0.15;

/// And how far that may be off which is only an estimate because it is small.
const SMALL: f64 = 2.0 * 1024.0 * 1024.0;

/// Bytes of the buffers of a kind in llama.cpp's log, which has two digits of MiB.
fn logged(log: &str, kind: &str) -> f64 {
    let kind = format!("{kind} buffer size =");
    let sizes = log.lines().filter_map(|line| line.split_once(&kind));
    let mib = sizes.map(|(_, size)| size.trim().trim_end_matches(" MiB").parse::<f64>().unwrap());
    mib.sum::<f64>() * 1024.0 * 1024.0
}

fn assert_near(what: &str, estimate: u64, logged: f64, tolerance: f64) {
    let off = (estimate as f64 - logged).abs();
    assert!(
        off <= tolerance,
        "{what}: {estimate} estimated, {logged} in the log"
    );
}

/// Holds the estimate for a model against llama.cpp's log of it.
fn hold(model: &Path, args: &[&str], usage: &Usage) -> (Demand, String) {
    let shape = ModelFile::open(model).unwrap().shape;
    let demand = demand(&shape, usage);
    let more = [
        "--raw", "-p", "a", "-n", "1", "-v", "--stats", "--repack", "off",
    ];
    let (_, log) = succeed(model, &[&more, args].concat());
    let what = |what: &str| format!("{what} with {args:?}");
    let rounding = 16.0 * 1024.0;
    assert_near(&what("KV"), demand.kv_cache, logged(&log, "KV"), rounding);
    let compute = logged(&log, "compute");
    let tolerance = (TOLERANCE * compute).max(SMALL);
    assert_near(&what("compute"), demand.compute, compute, tolerance);
    (demand, log)
}

/// A usage, and the arguments that ask for it.
fn usages() -> Vec<(Vec<&'static str>, Usage)> {
    vec![
        (vec!["-c", "512"], Usage::on_cpu(512)),
        (
            vec!["-c", "8192", "-fa", "off"],
            Usage {
                flash_attn: false,
                ..Usage::on_cpu(8192)
            },
        ),
        (
            vec!["-c", "2048", "-ub", "512", "--kv-type", "q8_0"],
            Usage {
                ubatch: 512,
                key_type: GgmlType::Q8_0,
                value_type: GgmlType::Q8_0,
                ..Usage::on_cpu(2048)
            },
        ),
        (
            vec![
                "-c", "1000", "-ub", "32", "-b", "64", "-ctk", "q4_0", "-ctv", "f32",
            ],
            Usage {
                ubatch: 32,
                key_type: GgmlType::Q4_0,
                value_type: GgmlType::F32,
                ..Usage::on_cpu(1000)
            },
        ),
    ]
}

#[test]
fn a_real_model_takes_what_is_estimated() {
    let Some(model) = smollm2("a_real_model_takes_what_is_estimated") else {
        return;
    };
    for (args, usage) in usages() {
        let (demand, log) = hold(&model, &args, &usage);
        assert_near(
            "weights",
            demand.weights,
            logged(&log, "model"),
            16.0 * 1024.0,
        );
        let said = log.lines().find(|line| line.starts_with("memory: "));
        assert!(
            said.unwrap().starts_with("memory: 96.58 MB of weights, "),
            "{said:?}"
        );
        assert!(said.unwrap().contains(" free"), "{said:?}");
    }
}

/// Shared experts, and heads that are wider than their share of the embedding.
#[test]
fn other_families_take_what_is_estimated() {
    for name in ["qwen2moe", "qwen3moe"] {
        let dir = tempfile::tempdir().unwrap();
        let source = write_checkpoint(dir.path(), name);
        let model = dir.path().join("model.gguf");
        converted(&source, &model, &["-t", "bf16"]);
        for (args, usage) in usages() {
            let (demand, log) = hold(&model, &args, &usage);
            let model = logged(&log, "model");
            assert_near("weights", demand.weights, model, 16.0 * 1024.0);
        }
    }
}

#[test]
fn a_mixture_takes_what_is_estimated_and_repacks_what_is() {
    let dir = tempfile::tempdir().unwrap();
    let spec = Spec {
        sizes: Sizes {
            num_hidden_layers: 3,
            hidden_size: 512,
            intermediate_size: 1536,
            num_attention_heads: 8,
            num_key_value_heads: 4,
            vocab_size: 3000,
            num_local_experts: 3,
        },
        ..small_moe()
    };
    let source = checkpoint(dir.path(), "source", &spec);
    let model = dir.path().join("moe.gguf");
    converted(&source, &model, &["-t", "q4_k_m"]);
    for (args, usage) in usages() {
        let (demand, log) = hold(&model, &args, &usage);
        assert_near(
            "weights",
            demand.weights,
            logged(&log, "model"),
            16.0 * 1024.0,
        );
        assert!(!log.contains("CPU_REPACK"), "{log}");
    }

    let kernels = repacking();
    let args = ["--raw", "-p", "a", "-n", "1", "-c", "512", "-v", "--stats"];
    let (_, log) = succeed(&model, &[&args[..], &["--repack", "on"]].concat());
    let usage = Usage {
        repack: kernels,
        ..Usage::on_cpu(512)
    };
    let demand = demand(&ModelFile::open(&model).unwrap().shape, &usage);
    let repacked = logged(&log, "CPU_REPACK model");
    assert_near("repacked", demand.repacked, repacked, 16.0 * 1024.0);
    assert_eq!(demand.repacked > 0, kernels != Repacking::NONE);
    // A small model in a large memory: unasked, what has faster kernels is repacked, and Q4_K has none on AVX2.
    let q4_0 = dir.path().join("q4_0.gguf");
    converted(&source, &q4_0, &["-t", "q4_0"]);
    let neon = kernels.neon_dotprod || kernels.neon_i8mm;
    for (model, repacks) in [(&model, neon), (&q4_0, neon || kernels.avx2)] {
        let (_, log) = succeed(model, &args);
        assert_eq!(log.contains("CPU_REPACK"), repacks, "{log}");
    }
}
