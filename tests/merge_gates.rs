//! The gates of a merge, held against mergekit's.
//!
//! `tests/golden/gates.json` holds the gates that mergekit 0.1.5 makes for the base model of this
//! module (numbers only; with torch 2.15.0 and transformers 5.24.0 on a CPU). To make them again:
//!
//! ```text
//! python3 -m venv venv && venv/bin/pip install mergekit==0.1.5 torch==2.15.0 transformers==5.24.0
//! export SWALLOW_GOLDEN=$PWD/golden
//! cargo test --release --test tests merge_gates::golden -- --ignored     # writes model and recipes
//! for mode in cheap_embed hidden hidden_avg hidden_last; do
//!   OMP_NUM_THREADS=1 venv/bin/mergekit-moe golden/$mode.yml golden/$mode \
//!     --i-understand-this-is-not-useful-without-training
//! done
//! cargo test --release --test tests merge_gates::golden -- --ignored     # collects the gates
//! ```

use std::{
    fs,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
};

use serde_json::{Value as Json, json};
use swallow_gguf::{
    convert::CheckpointSource,
    merge::gates::{GateError, GateMode, Gates, PromptOptions, Prompts, from_prompts},
    source::{Checkpoint, Dtype},
    synthetic::{Layout, Sizes, Spec},
};

use crate::support;

/// The modes that look at prompts.
const MODES: [GateMode; 4] = [
    GateMode::CheapEmbed,
    GateMode::Hidden,
    GateMode::HiddenAvg,
    GateMode::HiddenLast,
];

const GOLDEN: &str = "tests/golden/gates.json";

/// Three experts: prompts of different lengths, with and without negative ones, letters of several
/// bytes, and a special token.
fn experts() -> Vec<Prompts> {
    let prompts = |positive: &[&str], negative: &[&str]| Prompts {
        positive: positive.iter().map(|&text| text.to_owned()).collect(),
        negative: negative.iter().map(|&text| text.to_owned()).collect(),
    };
    vec![
        prompts(&["Once upon a time there was a dog", "a cat"], &[]),
        prompts(
            &["12345 + 678 =", "日本語です"],
            &["Once upon", "The end</s>"],
        ),
        prompts(&["fn main() {}"], &["a dog"]),
    ]
}

/// A dense model in which attention and feed-forward networks matter as much as embeddings, and in which
/// the rounding of mergekit, which computes in bf16 and differs from its own result in f32 by up to
/// 0.008, is not blown up: a generated model with twice its matrices, eight times its embeddings and
/// norms of 1.
fn base(dir: &Path, name: &str, vocab_size: usize) -> PathBuf {
    let spec = Spec {
        sizes: Sizes {
            num_hidden_layers: 3,
            hidden_size: 64,
            intermediate_size: 160,
            num_attention_heads: 4,
            num_key_value_heads: 2,
            vocab_size,
            num_local_experts: 0,
        },
        layout: Layout::Separate,
        dtype: Dtype::Bf16,
        other_dtype: None,
        tied: false,
        shards: 1,
        seed: 7,
        sparse: false,
    };
    let path = support::checkpoint(dir, name, &spec);
    let tokenizer = json!({
        "tokenizer_class": "LlamaTokenizer", "legacy": true, "add_bos_token": true,
        "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>",
    });
    fs::write(path.join("tokenizer_config.json"), tokenizer.to_string()).unwrap();
    let shard = path.join("model.safetensors");
    let mut bytes = fs::read(&shard).unwrap();
    for (name, tensor) in Checkpoint::open(&path).unwrap().tensors {
        let range = tensor.bytes.start as usize..tensor.bytes.end as usize;
        for number in bytes[range].chunks_exact_mut(2) {
            let bits = u16::from_le_bytes([number[0], number[1]]);
            let bits = match name.as_str() {
                norm if norm.ends_with("norm.weight") => 0x3f80,
                // Too small to have a usual exponent.
                _ if bits & 0x7f80 == 0 => bits,
                proj if proj.ends_with("_proj.weight") => bits + (1 << 7),
                _ => bits + (3 << 7),
            };
            number.copy_from_slice(&bits.to_le_bytes());
        }
    }
    fs::write(&shard, bytes).unwrap();
    path
}

struct Made {
    gates: Result<Gates, GateError>,
    notes: Vec<String>,
}

fn make(mode: GateMode, base: &Path, experts: &[Prompts], memory: Option<u64>) -> Made {
    let scratch = tempfile::tempdir().unwrap();
    let mut notes = Vec::new();
    let options = PromptOptions {
        threads: NonZeroUsize::new(2),
        memory,
        scratch: scratch.path(),
        cancel: &AtomicBool::new(false),
        progress: &|_| {},
    };
    let source = CheckpointSource::Folder(base.into());
    let gates = from_prompts(mode, &source, experts, &options, &mut notes);
    let left: Vec<_> = fs::read_dir(scratch.path()).unwrap().collect();
    assert!(left.is_empty(), "left behind: {left:?}");
    Made { gates, notes }
}

/// The largest relative error of a row: the length of the difference by that of the expected row.
fn largest_error(gates: &Gates, expected: &Gates) -> f64 {
    let rows = |gates: &Gates| -> Vec<Vec<f32>> {
        let layers = gates.layers.iter();
        layers
            .flat_map(|layer| layer.chunks(gates.n_embd).map(<[f32]>::to_vec))
            .collect()
    };
    let length = |row: &[f32]| {
        row.iter()
            .map(|v| f64::from(*v).powi(2))
            .sum::<f64>()
            .sqrt()
    };
    std::iter::zip(rows(gates), rows(expected))
        .map(|(row, expected)| {
            let pairs = std::iter::zip(&row, &expected);
            let difference: Vec<f32> = pairs.map(|(a, b)| a - b).collect();
            length(&difference) / length(&expected)
        })
        .fold(0.0, f64::max)
}

fn golden_gates(mode: GateMode) -> Gates {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(GOLDEN);
    let golden: Json = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let layers: Vec<Vec<Vec<f32>>> = serde_json::from_value(golden[mode.name()].clone()).unwrap();
    Gates {
        n_layer: layers.len(),
        n_expert: layers[0].len(),
        n_embd: layers[0][0].len(),
        layers: layers.into_iter().map(|rows| rows.concat()).collect(),
    }
}

/// See the beginning of this file.
#[test]
#[ignore = "needs SWALLOW_GOLDEN, a folder, and mergekit in between"]
fn golden() {
    let dir = PathBuf::from(std::env::var_os("SWALLOW_GOLDEN").expect("SWALLOW_GOLDEN"));
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
