//! Gates held against mergekit's.
//!
//! `tests/golden/gates.json` holds the gates that mergekit 0.1.5 makes for the base model of
//! `super::base` (numbers only; with torch 2.15.0 and transformers 5.24.0 on a CPU). To make them again:
//!
//! ```text
//! python3 -m venv venv && venv/bin/pip install mergekit==0.1.5 torch==2.15.0 transformers==5.24.0
//! export SWALLOW_GOLDEN=$PWD/golden
//! cargo test --release --test tests merge_gates::golden::make_golden     # writes model and recipes
//! for mode in cheap_embed hidden hidden_avg hidden_last; do
//!   OMP_NUM_THREADS=1 venv/bin/mergekit-moe golden/$mode.yml golden/$mode \
//!     --i-understand-this-is-not-useful-without-training
//! done
//! cargo test --release --test tests merge_gates::golden::make_golden     # collects the gates
//! ```
//!
//! mergekit computes in bf16, and how far that is from the exact gates depends on the base model. With the
//! first base tried, `hidden` differed by 1.5e-2; `super::base` was then chosen so that the noise stays under the
//! limit of 1e-2. So this test finds a wrong method (layer, token, norm or sign), but does not show that gates
//! agree to 1e-2 for every base: for stories260K they differ by 1.7e-2, where mergekit's are 1.6e-2 from
//! its own in f32, and ours 3.9e-3.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value as Json, json};
use swallow_gguf::merge::gates::{GateMode, Gates};

use super::{MODES, base, experts, largest_error, make};
use crate::support;

const GOLDEN: &str = "tests/golden/gates.json";

fn golden_gates(mode: GateMode) -> Gates {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(GOLDEN);
    let golden: Json = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let layers: Vec<Vec<Vec<f32>>> = serde_json::from_value(golden[mode.name()].clone()).unwrap();
    Gates {
        n_layer: layers.len(),
        n_expert: layers[0].len(),
        n_embd: layers[0][0].len(),
        layers: layers.into_iter().map(|rows| rows.concat()).collect(),
        shared: Vec::new(),
    }
}

/// Makes [`GOLDEN`], as told above.
#[test]
fn make_golden() {
    let Some(dir) = std::env::var_os("SWALLOW_GOLDEN").map(PathBuf::from) else {
        support::skip(
            "make_golden",
            "SWALLOW_GOLDEN names no folder to make golden gates in",
        );
        return;
    };
    fs::create_dir_all(&dir).unwrap();
    let outputs = MODES.map(|mode| dir.join(mode.name()));
    if !outputs.iter().all(|output| output.is_dir()) {
        let base = base(&dir, "base", 300);
        for mode in MODES {
            let experts = experts().into_iter().map(|prompts| {
                let mut expert =
                    json!({"source_model": base, "positive_prompts": prompts.positive});
                if !prompts.negative.is_empty() {
                    expert["negative_prompts"] = json!(prompts.negative);
                }
                expert
            });
            // JSON is YAML too.
            let recipe = json!({
                "base_model": base, "gate_mode": mode.name(), "dtype": "float32",
                "experts_per_token": 2, "experts": experts.collect::<Vec<_>>(),
            });
            let path = dir.join(format!("{}.yml", mode.name()));
            fs::write(path, recipe.to_string()).unwrap();
        }
        return;
    }
    let mut golden = serde_json::Map::new();
    for (mode, output) in std::iter::zip(MODES, outputs) {
        let files = fs::read_dir(output)
            .unwrap()
            .map(|file| file.unwrap().path());
        let shard = files.filter(|path| path.extension().is_some_and(|e| e == "safetensors"));
        let gates = Gates::read(&shard.min().unwrap()).unwrap();
        let layers = gates.layers.iter().map(|layer| -> Vec<Vec<Json>> {
            let rows = layer.chunks(gates.n_embd);
            // Six digits are enough for what was computed in bf16.
            rows.map(|row| {
                row.iter()
                    .map(|v| json!(format!("{v:.6}").parse::<f64>().unwrap()))
                    .collect()
            })
            .collect()
        });
        golden.insert(mode.name().into(), json!(layers.collect::<Vec<_>>()));
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(GOLDEN);
    fs::write(path, Json::Object(golden).to_string() + "\n").unwrap();
}

#[test]
fn gates_of_prompts_are_mergekits() {
    let dir = tempfile::tempdir().unwrap();
    let base = base(dir.path(), "base", 300);
    for mode in MODES {
        let made = make(mode, &base, &experts(), None);
        let gates = made.gates.unwrap();
        let expected = golden_gates(mode);
        gates
            .expect_sizes(
                Path::new(GOLDEN),
                expected.n_layer,
                expected.n_expert,
                expected.n_embd,
            )
            .unwrap();
        let error = largest_error(&gates, &expected);
        println!("{}: {error:.2e}", mode.name());
        let most = match mode {
            GateMode::CheapEmbed => 1e-4,
            _ => 1e-2,
        };
        assert!(error < most, "{}: relative error {error}", mode.name());
        assert_eq!(made.notes, [""; 0]);
    }
}
