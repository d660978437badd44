//! The gates that a merge makes of prompts.

mod golden;
mod layer_inputs;

use std::{
    fs,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use serde_json::json;
use swallow_gguf::{
    convert::CheckpointSource,
    merge::gates::{
        GateError, GateMode, GateProgress, Gates, PromptOptions, Prompts, from_prompts,
    },
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
        n_shared: 0,
        threads: NonZeroUsize::new(2),
        memory,
        pre: None,
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

#[test]
fn gates_are_the_same_whatever_else_the_prompts_are_read_with() {
    let dir = tempfile::tempdir().unwrap();
    let base = base(dir.path(), "base", 300);
    let all = make(GateMode::HiddenLast, &base, &experts(), None)
        .gates
        .unwrap();
    let twice: Vec<Prompts> = experts().into_iter().rev().chain(experts()).collect();
    let more = make(GateMode::HiddenLast, &base, &twice, None)
        .gates
        .unwrap();
    for (all, more) in std::iter::zip(&all.layers, &more.layers) {
        let rows: Vec<&[f32]> = more.chunks(64).collect();
        assert_eq!(rows[3..].concat(), *all);
        assert_eq!([rows[2], rows[1], rows[0]].concat(), *all);
    }
    let hidden = make(GateMode::Hidden, &base, &experts(), None)
        .gates
        .unwrap();
    assert_eq!(hidden, all);
    for row in all.layers.iter().flat_map(|layer| layer.chunks(64)) {
        let length: f32 = row.iter().map(|v| v * v).sum();
        assert!((length - 1.0).abs() < 1e-5, "{length}");
    }
}

#[test]
fn a_base_that_does_not_fit_is_quantized_and_that_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let base = base(dir.path(), "base", 300);
    let mode = GateMode::HiddenAvg;
    let whole = make(mode, &base, &experts(), None).gates.unwrap();
    let made = make(mode, &base, &experts(), Some(1000));
    let gates = made.gates.unwrap();
    assert_ne!(gates, whole);
    let error = largest_error(&gates, &whole);
    assert!(error < 0.05, "{error}");
    let [note] = made.notes.as_slice() else {
        panic!("{:?}", made.notes)
    };
    assert!(
        note.starts_with("the base model takes ")
            && note.contains(" in BF16, and there are 1.00 kB of memory: its hidden states are computed from Q8_0, which takes ")
            && note.ends_with(", still more, so that it is read from disk again and again"),
        "{note}"
    );
    // Embeddings are read as they are.
    assert_eq!(
        make(GateMode::CheapEmbed, &base, &experts(), Some(1000)).notes,
        [""; 0]
    );
}

#[test]
fn what_cannot_be_made_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let base = base(dir.path(), "base", 300);
    let prompts = |positive: &str| Prompts {
        positive: vec![positive.to_owned()],
        negative: Vec::new(),
    };
    let long = "あ".repeat(2000);
    let cases = [
        (
            "a seed's mode",
            GateMode::Random,
            vec![prompts("a")],
            "`gate_mode` is `random`, which makes gates of a seed, expected one that makes them of prompts".to_owned(),
        ),
        (
            "no prompts",
            GateMode::CheapEmbed,
            vec![prompts("a"), Prompts::default()],
            "`experts[1]` has no `positive_prompts`, and `gate_mode: cheap_embed` makes gates of them: give it some, or write `gate_mode: random`".to_owned(),
        ),
        (
            "a long prompt",
            GateMode::HiddenAvg,
            vec![prompts("a"), prompts(&long)],
            format!(
                "the prompt `{}…` of `experts[1]` has 6004 tokens, expected at most the 4096 that the base model was trained on: shorten it",
                "あ".repeat(32)
            ),
        ),
    ];
    for (name, mode, experts, expected) in cases {
        let error = make(mode, &base, &experts, None).gates.unwrap_err();
        assert_eq!(error.to_string(), expected, "{name}");
    }
    let nowhere = dir.path().join("missing");
    for mode in MODES {
        let error = make(mode, &nowhere, &experts(), None).gates.unwrap_err();
        let expected = format!(
            "`{}` is not a checkpoint folder: there is no such folder",
            nowhere.display()
        );
        assert_eq!(error.to_string(), expected);
    }
}

/// Puts a NaN into the base's embedding of the byte `a`.
#[test]
fn a_damaged_base_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let base = base(dir.path(), "base", 300);
    let shard = base.join("model.safetensors");
    let tensors = Checkpoint::open(&base).unwrap().tensors;
    let row = 3 + usize::from(b'a');
    let at = tensors["model.embed_tokens.weight"].bytes.start as usize + row * 64 * 2;
    let mut bytes = fs::read(&shard).unwrap();
    bytes[at..at + 2].copy_from_slice(&0x7fc0u16.to_le_bytes());
    fs::write(&shard, bytes).unwrap();
    let experts = [Prompts {
        positive: vec!["a".to_owned()],
        negative: Vec::new(),
    }];
    let told = |mode| {
        make(mode, &base, &experts, None)
            .gates
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        told(GateMode::CheapEmbed),
        format!(
            "`{}`: tensor `model.embed_tokens.weight` has NaN in row {row}, expected finite numbers: the file is damaged, download it again",
            shard.display()
        )
    );
    assert_eq!(
        told(GateMode::Hidden),
        format!(
            "tensor `model.embed_tokens.weight` has NaN at index [{row}, 0], expected finite weights: the source is damaged"
        )
    );
}

#[test]
fn the_work_can_be_ended_and_tells_how_far_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let base = base(dir.path(), "base", 300);
    let source = CheckpointSource::Folder(base);
    let scratch = tempfile::tempdir().unwrap();
    for last in [1, 3, 8] {
        let cancel = AtomicBool::new(false);
        let seen = Mutex::new(Vec::new());
        let on = |progress: GateProgress<'_>| {
            if let GateProgress::Prompts { done, total } = progress {
                seen.lock().unwrap().push((done, total));
                cancel.store(done == last, Ordering::Relaxed);
            }
        };
        let options = PromptOptions {
            n_shared: 0,
            threads: NonZeroUsize::new(1),
            memory: None,
            pre: None,
            scratch: scratch.path(),
            cancel: &cancel,
            progress: &on,
        };
        let gates = from_prompts(
            GateMode::HiddenAvg,
            &source,
            &experts(),
            &options,
            &mut Vec::new(),
        );
        // Two, two and two, one and one prompts.
        let seen = seen.into_inner().unwrap();
        assert_eq!(seen, (1..=last).map(|done| (done, 8)).collect::<Vec<_>>());
        match last {
            8 => assert!(gates.is_ok()),
            _ => assert_eq!(
                gates.unwrap_err().to_string(),
                "interrupted: nothing was written"
            ),
        }
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);
    }
    let options = PromptOptions {
        n_shared: 0,
        threads: None,
        memory: None,
        pre: None,
        scratch: &dir.path().join("missing"),
        cancel: &AtomicBool::new(false),
        progress: &|_| {},
    };
    let gates = from_prompts(
        GateMode::CheapEmbed,
        &source,
        &experts(),
        &options,
        &mut Vec::new(),
    );
    let error = gates.unwrap_err().to_string();
    assert!(
        error.starts_with("cannot write `") && error.contains("missing`: "),
        "{error}"
    );
}
