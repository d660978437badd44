//! Merges of Qwen2 and Qwen3 models, and of Llamas into a Qwen2MoE.

use std::{fs, path::Path};

use serde_json::{Value as Json, json};
use swallow_gguf::gguf::{Gguf, Value};

use super::{merge, merged, recipe, require_same, write_checkpoint};
use crate::{
    edited::Folder,
    families,
    support::{converted, swallow_gguf, text},
};

const QWEN2: &str = "base_model: ./one
gate_mode: random
experts:
  - source_model: ./one
  - source_model: ./two
    residual_scale: 0.5
shared_experts:
  - source_model: ./two
    residual_scale: -2
";

const QWEN3: &str = "base_model: ./one
gate_mode: random
experts:
  - source_model: ./one
  - source_model: ./two
    noise_scale: 0.01
  - source_model: ./one
    residual_scale: 0.5
";

/// A folder with the parents `one` and `two`, both of a recipe of the families.
fn parents(family: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (seed, name) in [(1, "one"), (2, "two")] {
        families::write_seeded(&dir.path().join(name), family, seed);
    }
    dir
}

fn configure(parent: &Path, change: impl FnOnce(&mut Json)) {
    let source = parent.to_owned();
    Folder { source }.edit_json("config.json", change);
}

#[test]
fn a_merge_of_qwens_is_the_conversion_of_the_checkpoint_it_writes() {
    let dir = parents("qwen2");
    require_same(&recipe(dir.path(), QWEN2), &["q4_k_m", "f32"], &[]);
    let with_noise = QWEN2.replace("-2", "0.5\n    noise_scale: 0.02");
    let path = recipe(dir.path(), &format!("{with_noise}dtype: float16\n"));
    require_same(&path, &["f16"], &["--seed", "4"]);
    for family in ["qwen3", "qwen3_untied"] {
        let dir = parents(family);
        require_same(&recipe(dir.path(), QWEN3), &["q4_k_m", "bf16"], &[]);
    }
}

/// The weights of a tensor as they are in the file, with its dimensions.
fn tensor(path: &Path, name: &str) -> (Vec<u64>, Vec<u8>) {
    let gguf = Gguf::open(path).unwrap();
    let info = gguf.tensor(name).unwrap_or_else(|| panic!("no {name}"));
    let begin = (gguf.data_offset + info.offset) as usize;
    let bytes = fs::read(path).unwrap()[begin..begin + info.size() as usize].to_vec();
    (info.dims.clone(), bytes)
}

/// Two experts and a shared one: each its source's, but for the down projections that are scaled.
#[test]
fn a_shared_expert_is_its_sources_and_has_a_gate_of_its_own() {
    let dir = parents("qwen2");
    let at = |name: &str| dir.path().join(name);
    let path = recipe(dir.path(), QWEN2);
    merged(&path, &at("moe.gguf"), &["-t", "bf16"]);
    for parent in ["one", "two"] {
        let output = at(&format!("{parent}.gguf"));
        converted(&at(parent), &output, &["-t", "bf16"]);
    }
    let [moe, one, two] = ["moe.gguf", "one.gguf", "two.gguf"].map(at);
    for matrix in ["gate", "up"] {
        let name = format!("blk.1.ffn_{matrix}");
        let own = |path: &Path| tensor(path, &format!("{name}.weight")).1;
        let experts = [own(&one), own(&two)].concat();
        assert!(
            tensor(&moe, &format!("{name}_exps.weight")).1 == experts,
            "{matrix}"
        );
        let shared = tensor(&moe, &format!("{name}_shexp.weight"));
        assert!(
            shared == tensor(&two, &format!("{name}.weight")),
            "{matrix}"
        );
    }
    // Twice as large with the other sign: the exponent counts one more.
    let doubled = |bytes: &[u8]| -> Vec<u8> {
        let numbers = bytes.chunks(2).map(|b| u16::from_le_bytes([b[0], b[1]]));
        let doubled = numbers.map(|x| {
            if x & 0x7f80 == 0 {
                x
            } else {
                (x + 0x80) ^ 0x8000
            }
        });
        doubled.flat_map(u16::to_le_bytes).collect()
    };
    let down = tensor(&two, "blk.1.ffn_down.weight").1;
    assert!(tensor(&moe, "blk.1.ffn_down_shexp.weight").1 == doubled(&down));
    for name in ["attn_q.weight", "attn_k.bias", "ffn_norm.weight"] {
        let name = format!("blk.1.{name}");
        assert!(tensor(&moe, &name) == tensor(&one, &name), "{name}");
    }
    assert_eq!(tensor(&moe, "blk.0.ffn_gate_inp.weight").0, [256, 2]);
    assert_eq!(tensor(&moe, "blk.0.ffn_gate_inp_shexp.weight").0, [256]);

    let gguf = Gguf::open(&moe).unwrap();
    let of = |key: &str| gguf.get(key).cloned();
    assert_eq!(of("general.architecture"), Some("qwen2moe".into()));
    assert_eq!(of("qwen2moe.expert_count"), Some(2.into()));
    assert_eq!(of("qwen2moe.expert_feed_forward_length"), Some(512.into()));
    assert_eq!(
        of("qwen2moe.expert_shared_feed_forward_length"),
        Some(512.into())
    );
    assert_eq!(of("general.merge.seed"), Some(Value::U64(0)));
    answers(&moe);
}

/// llama.cpp loads the file and writes something.
fn answers(model: &Path) -> String {
    let run = swallow_gguf()
        .env("XDG_STATE_HOME", model.parent().unwrap())
        .args([
            "run", "-t", "1", "-c", "128", "--raw", "--temp", "0", "-n", "8",
        ])
        .args(["-p", "The quick brown fox", "-m"])
        .arg(model)
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", text(&run.stderr));
    text(&run.stdout)
}

#[test]
fn experts_that_are_all_the_base_say_what_it_says() {
    let dir = parents("qwen3");
    let path = recipe(
        dir.path(),
        &QWEN3
            .replace("two", "one")
            .replace("0.01", "0")
            .replace("0.5", "1"),
    );
    let [moe, dense] = ["moe.gguf", "dense.gguf"].map(|name| dir.path().join(name));
    merged(&path, &moe, &["-t", "bf16"]);
    converted(&dir.path().join("one"), &dense, &["-t", "bf16"]);
    assert_eq!(answers(&moe), answers(&dense));
}

/// A Llama has no biases, a Qwen2MoE always: zeros.
#[test]
fn llamas_become_a_qwen2moe_where_a_shared_expert_has_prompts() {
    let dir = parents("qwen2");
    for parent in ["one", "two"] {
        configure(&dir.path().join(parent), |config| {
            config["architectures"] = json!(["LlamaForCausalLM"]);
            config["model_type"] = json!("llama");
        });
    }
    let skip = ["--skip-tensor", r"proj\.bias$"];
    let with_prompts = QWEN2.replace("    residual_scale: -2", "    positive_prompts: [fox]");
    let asked = format!("architecture: Qwen MoE\n{QWEN2}");
    for yaml in [&with_prompts, &asked] {
        let path = recipe(dir.path(), yaml);
        require_same(&path, &["q8_0"], &skip);
        let output = dir.path().join("moe.gguf");
        merged(&path, &output, &["-t", "bf16", "--force", skip[0], skip[1]]);
        let gguf = Gguf::open(&output).unwrap();
        assert_eq!(gguf.get("general.architecture"), Some(&"qwen2moe".into()));
        let bias = tensor(&output, "blk.1.attn_q.bias").1;
        assert!(bias.len() == 4 * 256 && bias.iter().all(|b| *b == 0));
        answers(&output);
    }
    // Without a shared expert, or by its name, a Mixtral.
    let yaml = QWEN3.replace("base_model", "architecture: mixtral\nbase_model");
    let output = dir.path().join("mixtral.gguf");
    merged(&recipe(dir.path(), &yaml), &output, &skip);
    let gguf = Gguf::open(&output).unwrap();
    assert_eq!(gguf.get("general.architecture"), Some(&"llama".into()));
}

/// In every mode that looks at prompts the shared expert's gate is made of its own.
#[test]
fn gates_of_prompts_are_those_of_qwens_too() {
    let prompts = |yaml: &str, mode: &str| {
        let mut n = 0;
        let lines = yaml.lines().map(|line| {
            n += 1;
            match line.contains("source_model") {
                true => format!("{line}\n    positive_prompts: [\"prompt {n}\", fox]\n"),
                false => format!("{line}\n"),
            }
        });
        let yaml: String = lines.collect();
        yaml.replace("gate_mode: random", &format!("gate_mode: {mode}"))
    };
    for (family, yaml, mode) in [
        ("qwen2", QWEN2, "hidden_avg"),
        ("qwen3", QWEN3, "hidden"),
        ("qwen2", QWEN2, "cheap_embed"),
    ] {
        let dir = parents(family);
        let path = recipe(dir.path(), &prompts(yaml, mode));
        let gates = dir.path().join("gates.safetensors");
        let gates = gates.to_str().unwrap();
        let [made, given] = ["made.gguf", "given.gguf"].map(|name| dir.path().join(name));
        let made = merged(&path, &made, &["--threads", "1", "--save-gates", gates]);
        let given = merged(&path, &given, &["--threads", "1", "--gates", gates]);
        assert!(made == given, "{family} {mode}");
    }
}

#[test]
fn a_file_of_gates_has_the_shared_experts() {
    let dir = parents("qwen2");
    let path = recipe(dir.path(), QWEN2);
    let gates = dir.path().join("gates.safetensors");
    let gates = gates.to_str().unwrap();
    let at = |name: &str| dir.path().join(name);
    let made = merged(
        &path,
        &at("a.gguf"),
        &["--seed", "3", "--save-gates", gates],
    );
    let given = merged(&path, &at("b.gguf"), &["--gates", gates]);
    let name = "blk.1.ffn_gate_inp_shexp.weight";
    assert!(tensor(&at("a.gguf"), name) == tensor(&at("b.gguf"), name));
    // The file differs in what it says of the seed.
    assert!(made != given);

    // Those of a merged checkpoint, and of one that has no shared expert.
    write_checkpoint(&path, &at("checkpoint"), &["--seed", "3"]);
    let checkpoint = at("checkpoint/model.safetensors");
    merged(
        &path,
        &at("c.gguf"),
        &["--gates", checkpoint.to_str().unwrap()],
    );
    assert!(tensor(&at("a.gguf"), name) == tensor(&at("c.gguf"), name));
    let qwen3 = parents("qwen3");
    let of_qwen3 = recipe(
        qwen3.path(),
        &QWEN3.replace("  - source_model: ./two\n    noise_scale: 0.01\n", ""),
    );
    let run = merge(
        &of_qwen3,
        &[
            "--force",
            "--save-gates",
            gates,
            "-o",
            at("d.gguf").to_str().unwrap(),
        ],
    );
    assert!(run.status.success(), "{}", text(&run.stderr));
    let run = merge(&path, &["--dry-run", "--gates", gates]);
    assert!(
        text(&run.stderr).contains("has no tensor `model.layers.0.mlp.shared_expert_gate.weight`, and so no gates of the shared expert"),
        "{}",
        text(&run.stderr)
    );
}

/// What is written is what transformers' classes read, in the words of both its versions.
#[test]
fn configs_are_those_of_the_classes() {
    for (family, yaml, class, count) in [
        ("qwen2", QWEN2, "Qwen2MoeForCausalLM", ["num_experts"; 2]),
        (
            "qwen3",
            QWEN3,
            "Qwen3MoeForCausalLM",
            ["num_experts", "num_local_experts"],
        ),
    ] {
        let dir = parents(family);
        let path = recipe(dir.path(), yaml);
        for (layout, count) in ["separate", "fused"].into_iter().zip(count) {
            let folder = dir.path().join(layout);
            write_checkpoint(&path, &folder, &["--layout", layout]);
            let config = fs::read(folder.join("config.json")).unwrap();
            let config: Json = serde_json::from_slice(&config).unwrap();
            assert_eq!(config["architectures"], json!([class]));
            assert_eq!(config[count], if family == "qwen2" { 2 } else { 3 });
            assert_eq!(config["moe_intermediate_size"], config["intermediate_size"]);
            assert_eq!(config["norm_topk_prob"], json!(true));
            assert_eq!(config.get("head_dim").is_some(), family == "qwen3");
        }
    }
}

#[test]
fn fewer_experts_than_there_are_is_noted_of_a_qwen2moe() {
    let dir = parents("qwen2");
    let path = recipe(dir.path(), QWEN2);
    let said = |args: &[&str]| {
        let run = swallow_gguf()
            .args(["merge", "--dry-run"])
            .arg(&path)
            .args(args)
            .output()
            .unwrap();
        assert!(run.status.success(), "{}", text(&run.stderr));
        text(&run.stderr)
    };
    let note = "llama.cpp does not scale their weights in a Qwen2MoE";
    assert!(said(&["--experts-per-token", "1"]).contains(note));
    assert!(!said(&[]).contains(note));
}

#[test]
fn what_cannot_be_made_of_such_parents_is_told() {
    let dir = parents("qwen2");
    families::write_seeded(&dir.path().join("three"), "qwen3", 3);
    let without_shared = QWEN2.split("shared_experts").next().unwrap();
    let two_shared = format!("{QWEN2}  - source_model: one\n");
    let of_qwen3 = QWEN2.replace("./one", "three").replace("./two", "three");
    let cases: [(&str, &[&str], &str); 8] = [
        (
            without_shared,
            &[],
            "a Qwen2MoE has one shared expert, which sees every token, and the recipe has none: write one under `shared_experts`",
        ),
        (&two_shared, &[], "and the recipe has 2: write one"),
        (
            &QWEN2.replace(
                "source_model: ./two\n    residual_scale: 0.5",
                "source_model: three",
            ),
            &[],
            "the base `./one` is a Qwen2 model and `three` a Qwen3 model, expected parents of one family",
        ),
        (
            &of_qwen3,
            &[],
            "a Qwen3MoE has no shared expert: take `shared_experts` out of the recipe, and name the model under `experts`\n",
        ),
        (
            QWEN2,
            &["--architecture", "mixtral"],
            "a Mixtral is made of Llama and Mistral models, and parent `./one` is a Qwen2 model: leave `architecture` out",
        ),
        (
            QWEN2,
            &["--architecture", "qwen3"],
            "a Qwen3MoE is made of Qwen3 models",
        ),
        (
            &QWEN2
                .replace("random", "hidden")
                .replace(
                    "source_model: ./one\n ",
                    "source_model: ./one\n    positive_prompts: [a]\n ",
                )
                .replace("    residual_scale: 0.5", "    positive_prompts: [b]"),
            &[],
            "`shared_experts[0].positive_prompts` is missing, expected prompts for this expert",
        ),
        (
            QWEN2,
            &["--architecture", "deepseek"],
            "expected `mixtral`, `qwen2` or `qwen3`",
        ),
    ];
    for (yaml, args, expected) in cases {
        let path = recipe(dir.path(), yaml);
        let mut all = vec!["--dry-run"];
        all.extend(args);
        let run = merge(&path, &all);
        let error = text(&run.stderr);
        assert!(
            !run.status.success() && error.contains(expected),
            "{expected}: {error}"
        );
    }
    // What is asked for on the command line counts.
    let path = recipe(dir.path(), &format!("architecture: mixtral\n{QWEN2}"));
    let run = merge(&path, &["--dry-run", "--architecture", "qwen"]);
    assert!(run.status.success(), "{}", text(&run.stderr));
}
