//! Gates and noise of a seed, and gates in a file.

use std::fs;

use swallow_gguf::gguf::{Gguf, Value};

use super::{RANDOM, dense, merge, merged, parents, recipe, require_same};
use crate::support::{converted, text};

#[test]
fn gates_and_noise_repeat_by_their_seed() {
    let dir = parents(dense);
    let yaml = "base_model: one
gate_mode: random
experts: [{source_model: one, noise_scale: 0.01}, {source_model: two}]
";
    let path = recipe(dir.path(), yaml);
    let out = |name: &str, seed: &str, threads: &str| {
        let args = ["-t", "bf16", "--seed", seed, "--threads", threads];
        merged(&path, &dir.path().join(name), &args)
    };
    let first = out("a.gguf", "5", "1");
    assert!(first == out("b.gguf", "5", "2"), "threads matter");
    assert!(first != out("c.gguf", "6", "1"), "seeds do not matter");
    let default = merged(&path, &dir.path().join("d.gguf"), &["-t", "bf16"]);
    assert!(default == out("e.gguf", "0", "1"), "the default is another");

    // Attention is the base's, whatever the seed; the experts with noise are not their sources'.
    let tensor = |name: &str, tensor: &str| {
        let path = dir.path().join(name);
        let gguf = Gguf::open(&path).unwrap();
        let info = gguf.tensor(tensor).unwrap().clone();
        let begin = (gguf.data_offset + info.offset) as usize;
        fs::read(path).unwrap()[begin..begin + info.size() as usize].to_vec()
    };
    for same in ["blk.0.attn_q.weight", "token_embd.weight", "output.weight"] {
        assert!(tensor("a.gguf", same) == tensor("c.gguf", same), "{same}");
    }
    for name in ["blk.1.ffn_up_exps.weight", "blk.0.ffn_gate_inp.weight"] {
        assert!(tensor("a.gguf", name) != tensor("c.gguf", name), "{name}");
    }
    converted(
        &dir.path().join("two"),
        &dir.path().join("two.gguf"),
        &["-t", "bf16"],
    );
    let experts = tensor("a.gguf", "blk.1.ffn_down_exps.weight");
    let own = tensor("two.gguf", "blk.1.ffn_down.weight");
    assert!(
        experts[own.len()..] == own[..],
        "expert 1 is not its source"
    );
    assert!(experts[..own.len()] != own[..]);
}

#[test]
fn gates_are_saved_and_taken_again() {
    let dir = parents(dense);
    let path = recipe(dir.path(), RANDOM);
    let gates = dir.path().join("gates.safetensors");
    let gates = gates.to_str().unwrap();
    let out = |name: &str, args: &[&str]| {
        let mut all = vec!["-t", "q4_k_m"];
        all.extend(args);
        merged(&path, &dir.path().join(name), &all);
        Gguf::open(&dir.path().join(name)).unwrap()
    };
    let router = |gguf: &Gguf, name: &str| {
        let info = gguf.tensor("blk.1.ffn_gate_inp.weight").unwrap();
        let begin = (gguf.data_offset + info.offset) as usize;
        fs::read(dir.path().join(name)).unwrap()[begin..begin + info.size() as usize].to_vec()
    };
    let made = out("made.gguf", &["--seed", "9", "--save-gates", gates]);
    let given = out("given.gguf", &["--gates", gates]);
    assert!(router(&made, "made.gguf") == router(&given, "given.gguf"));
    assert_eq!(made.get("general.merge.seed"), Some(&Value::U64(9)));
    assert_eq!(given.get("general.merge.seed"), None);
    let other = out("other.gguf", &["--seed", "8"]);
    assert!(router(&made, "made.gguf") != router(&other, "other.gguf"));
    require_same(&path, &["q8_0"], &["--gates", gates]);

    let refused = |yaml: &str, args: &[&str], expected: &str| {
        let run = merge(&recipe(dir.path(), yaml), args);
        let error = text(&run.stderr);
        assert!(error.contains(expected), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    };
    let three = format!("{RANDOM}  - source_model: one\n");
    refused(
        &three,
        &["--gates", gates, "--dry-run"],
        "has gates of 2 layers, 2 experts and width 256, expected those of the recipe's models, 2 layers, 3 experts and width 256",
    );
    refused(
        RANDOM,
        &["--save-gates", gates],
        "exists: choose another name",
    );
    let input = dir.path().join("one/config.json");
    let before = fs::read(&input).unwrap();
    refused(
        RANDOM,
        &["--force", "--save-gates", input.to_str().unwrap()],
        "is a file of the merge itself, expected another place for the gates",
    );
    assert!(fs::read(&input).unwrap() == before);
    refused(
        RANDOM,
        &[
            "--gates",
            dir.path()
                .join("one/model-00001-of-00002.safetensors")
                .to_str()
                .unwrap(),
        ],
        "has no tensor `model.layers.0.block_sparse_moe.gate.weight`, and so no gates",
    );
}
