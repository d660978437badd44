//! `--search best`: other bytes than llama.cpp's, of the same types and nearer to the weights.

use serde_json::Value as Json;
use swallow_gguf::gguf::Gguf;

use crate::support::{
    checkpoint, convert, converted, quantized, small_moe, swallow_gguf, text, write_imatrix,
};

#[test]
fn the_file_says_so_and_every_tensor_is_nearer_to_its_weights() {
    let dir = tempfile::tempdir().unwrap();
    let source = checkpoint(dir.path(), "Moe-2x1M", &small_moe());
    let path = |name: &str| dir.path().join(name);
    converted(&source, &path("plain.gguf"), &["-t", "bf16"]);
    write_imatrix(&path("plain.gguf"), &path("imatrix.gguf"), false);
    let imatrix = path("imatrix.gguf");
    for file_type in ["q4_k_m", "q5_k_s", "q6_k"] {
        let args = ["--force", "-t", file_type];
        let reference = converted(&source, &path("reference.gguf"), &args);
        let best = converted(
            &source,
            &path("best.gguf"),
            &[&args[..], &["--search", "best"]].concat(),
        );
        let [a, b] = [&reference, &best].map(|f| Gguf::parse(f, f.len() as u64).unwrap());
        assert_eq!(a.get("quantize.search"), None);
        assert_eq!(b.get_str("quantize.search"), Some("best"));
        assert_eq!(a.tensors, b.tensors);

        let errors = |file: &str| -> Vec<(String, f64)> {
            let run = swallow_gguf()
                .arg("verify")
                .arg(path(file))
                .arg("--against")
                .arg(&source)
                .arg("--json")
                .output()
                .unwrap();
            let found: Json = serde_json::from_slice(&run.stdout).unwrap();
            assert_eq!(found["well"], true);
            let tensors = found["against"]["tensors"].as_array().unwrap().iter();
            tensors
                .filter(|t| t["type"].as_str().unwrap().ends_with("_K"))
                .map(|t| {
                    let name = t["name"].as_str().unwrap().to_owned();
                    (name, t["rmse"].as_f64().unwrap())
                })
                .collect()
        };
        let (before, after) = (errors("reference.gguf"), errors("best.gguf"));
        assert!(before.len() > 10);
        for ((name, before), (_, after)) in before.iter().zip(&after) {
            assert!(
                after < before,
                "{file_type} {name}: {after} instead of {before}"
            );
        }

        // With an importance matrix the bytes are others again.
        let weighted = [
            &args[..],
            &["--search", "best", "--imatrix", imatrix.to_str().unwrap()],
        ];
        let weighted = converted(&source, &path("weighted.gguf"), &weighted.concat());
        assert_eq!(weighted[..4], best[..4]);
        assert!(weighted != best);
        // And from a GGUF the same as from the checkpoint, whatever the number of threads.
        let again = quantized(
            &path("plain.gguf"),
            &path("again.gguf"),
            &[&args[..], &["--search", "best", "--threads", "1"]].concat(),
        );
        assert!(again == best, "{file_type}");
    }
}

#[test]
fn where_nothing_is_searched_the_file_is_the_reference() {
    let dir = tempfile::tempdir().unwrap();
    let source = checkpoint(dir.path(), "Moe-2x1M", &small_moe());
    let path = |name: &str| dir.path().join(name);
    let reference = converted(&source, &path("reference.gguf"), &["-t", "q8_0"]);
    let run = swallow_gguf()
        .arg("convert")
        .arg(&source)
        .args(["-t", "q8_0", "--search", "best", "-o"])
        .arg(path("best.gguf"))
        .output()
        .unwrap();
    assert!(
        text(&run.stderr)
            .contains("note: `--search best` has no effect: no tensor becomes Q4_K, Q5_K or Q6_K"),
        "{}",
        text(&run.stderr)
    );
    assert!(std::fs::read(path("best.gguf")).unwrap() == reference);

    let run = convert(&source, &path("x.gguf"), &["--search", "better"]);
    assert_eq!(run.status.code(), Some(2));
    assert!(text(&run.stderr).contains("[possible values: reference, best]"));
}

/// What is said of the input's quantization is not said of the output's.
#[test]
fn a_file_that_is_quantized_again_loses_the_mark() {
    let dir = tempfile::tempdir().unwrap();
    let source = checkpoint(dir.path(), "Moe-2x1M", &small_moe());
    let path = |name: &str| dir.path().join(name);
    converted(
        &source,
        &path("best.gguf"),
        &["-t", "q6_k", "--search", "best"],
    );
    quantized(
        &path("best.gguf"),
        &path("again.gguf"),
        &["-t", "q4_0", "--allow-requantize"],
    );
    let gguf = Gguf::open(&path("again.gguf")).unwrap();
    assert_eq!(gguf.get("quantize.search"), None);
}
