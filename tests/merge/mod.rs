//! `swallow-gguf merge`: parents made here, recipes, and what becomes of them.

mod bases_values;
mod killed;
mod prompts;
mod recipe_files;
mod recipes;
mod references;
mod vocabularies;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Output,
};

use serde_json::{Value as Json, json};
use swallow_gguf::{
    gguf::{Gguf, Value},
    source::Dtype,
    synthetic::{Sizes, Spec},
};

use crate::support::{
    checkpoint, converted, fixtures, moe_from_gguf, small_moe, smollm2, swallow_gguf, text,
};

/// A small dense model.
fn dense(seed: u64) -> Spec {
    let moe = small_moe();
    Spec {
        sizes: Sizes {
            num_local_experts: 0,
            ..moe.sizes
        },
        seed,
        ..moe
    }
}

/// A folder with the parents `one`, `two` and `three`, all of the shape of `spec`.
fn parents(spec: impl Fn(u64) -> Spec) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (seed, name) in [(1, "one"), (2, "two"), (3, "three")] {
        checkpoint(dir.path(), name, &spec(seed));
    }
    dir
}

/// Writes `recipe` into the folder of the parents.
fn recipe(dir: &Path, recipe: &str) -> PathBuf {
    let path = dir.join("my-moe.yml");
    fs::write(&path, recipe).unwrap();
    path
}

/// Runs `swallow-gguf merge RECIPE -q` with further arguments.
fn merge(recipe: &Path, args: &[&str]) -> Output {
    swallow_gguf()
        .arg("merge")
        .arg(recipe)
        .arg("-q")
        .args(args)
        .output()
        .unwrap()
}

/// As [`merge`] to a GGUF, and it must succeed.
fn merged(recipe: &Path, output: &Path, args: &[&str]) -> Vec<u8> {
    let run = swallow_gguf()
        .arg("merge")
        .arg(recipe)
        .arg("-q")
        .arg("-o")
        .arg(output)
        .args(args)
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", text(&run.stderr));
    fs::read(output).unwrap()
}

/// Writes the checkpoint of `recipe` to `dir`.
fn write_checkpoint(recipe: &Path, dir: &Path, args: &[&str]) {
    let run = swallow_gguf()
        .arg("merge")
        .arg(recipe)
        .arg("-q")
        .arg("--write-safetensors")
        .arg(dir)
        .args(args)
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", text(&run.stderr));
}

/// Holds the merge of `recipe` against the conversion of the checkpoint that it writes, in both layouts
/// and each of `file_types`.
fn require_same(recipe: &Path, file_types: &[&str], args: &[&str]) {
    let out = tempfile::tempdir().unwrap();
    for layout in ["separate", "fused"] {
        let folder = out.path().join(layout);
        let mut of_checkpoint = vec!["--layout", layout, "--shard-size", "1M"];
        of_checkpoint.extend(args);
        write_checkpoint(recipe, &folder, &of_checkpoint);
        assert!(folder.join("model.safetensors.index.json").is_file());
        for file_type in file_types {
            let case = format!("{layout} to {file_type}");
            let mut of_merge = vec!["-t", file_type];
            of_merge.extend(args);
            let direct = out.path().join(format!("{layout}-{file_type}-direct.gguf"));
            let direct = merged(recipe, &direct, &of_merge);
            let by_folder = out.path().join(format!("{layout}-{file_type}.gguf"));
            let by_folder = converted(&folder, &by_folder, &["-t", file_type]);
            assert!(direct == by_folder, "{case}: {recipe:?}");
        }
    }
}

const RANDOM: &str = "base_model: ./one
gate_mode: random
dtype: bfloat16
experts:
  - source_model: one
  - source_model: ./two
";

#[test]
fn a_merge_is_the_conversion_of_the_checkpoint_it_writes() {
    let dir = parents(dense);
    let card = "---\nlicense: mit\nlanguage: ja\n---\n# A-Model\n";
    fs::write(dir.path().join("one/README.md"), card).unwrap();
    let cases: [(&str, &[&str], &[&str]); 5] = [
        (RANDOM, &["q4_k_m", "bf16", "f32", "q8_0"], &[]),
        (
            "base_model: three
experts: [{source_model: one}, {source_model: two}, {source_model: three}, {source_model: two}]
gate_mode: uniform_random
experts_per_token: 3
",
            &["q4_k_s", "f16"],
            &["--seed", "7", "--name", "Four-Experts-v2"],
        ),
        (
            "base_model: one
dtype: float16
gate_mode: random
experts:
  - {source_model: two, noise_scale: 0.01, residual_scale: 0.5}
  - {source_model: two, noise_scale: 0.01}
  - {source_model: two, residual_scale: -1}
",
            &["q6_k", "f16", "f32"],
            &["--seed", "3", "--experts-per-token", "1"],
        ),
        (
            "base_model: one
dtype: float32
gate_mode: random
experts: [{source_model: one, noise_scale: 0.1}, {source_model: one, noise_scale: 0.1}]
",
            &["f32", "bf16", "q5_k_m"],
            &[],
        ),
        (
            "base_model: one
gate_mode: random
experts: [{source_model: one}]
experts_per_token: 1
",
            &["q4_0"],
            &[],
        ),
    ];
    for (yaml, file_types, args) in cases {
        require_same(&recipe(dir.path(), yaml), file_types, args);
    }
}

/// Parents in other formats: what is rounded, what is not, and grouped heads that are put in order.
#[test]
fn every_format_of_the_parents_is_rounded_to_the_recipes() {
    for (of_parents, others) in [(Dtype::F32, Some(Dtype::Bf16)), (Dtype::F16, None)] {
        let dir = parents(|seed| Spec {
            dtype: of_parents,
            other_dtype: others,
            tied: true,
            ..dense(seed)
        });
        for dtype in ["bfloat16", "float16", "float32"] {
            let yaml = RANDOM.replace("bfloat16", dtype);
            require_same(&recipe(dir.path(), &yaml), &["q4_k_m", "f32"], &[]);
        }
    }
}

/// Mistral, the words of transformers 5, scaled positions, heads of their own width.
#[test]
fn configs_of_parents_come_through() {
    let llama3 = json!({
        "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 1024,
    });
    let cases = [
        (
            "mistral",
            json!({"architectures": ["MistralForCausalLM"], "sliding_window": 4096}),
        ),
        (
            "linear",
            json!({"rope_scaling": {"type": "linear", "factor": 4.0}}),
        ),
        ("llama3", json!({"rope_scaling": llama3})),
        (
            "transformers 5",
            json!({"rope_theta": null, "dtype": "bfloat16", "rope_parameters": {"rope_type": "default", "rope_theta": 5e5}}),
        ),
        (
            "head_dim",
            json!({"head_dim": 32, "rms_norm_eps": 1e-6, "pad_token_id": 0}),
        ),
    ];
    for (name, change) in cases {
        let dir = parents(dense);
        for parent in ["one", "two"] {
            let path = dir.path().join(parent).join("config.json");
            let mut config: Json = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
            for (key, value) in change.as_object().unwrap() {
                config[key] = value.clone();
            }
            fs::write(&path, config.to_string()).unwrap();
        }
        let path = recipe(dir.path(), RANDOM);
        require_same(&path, &["q4_k_m"], &[]);
        // What the runner reads is the base's.
        let [merged_path, base_path] = ["m.gguf", "b.gguf"].map(|name| dir.path().join(name));
        merged(&path, &merged_path, &[]);
        converted(&dir.path().join("one"), &base_path, &[]);
        let [merged, base] = [&merged_path, &base_path].map(|path| Gguf::open(path).unwrap());
        for (key, value) in &base.key_values {
            if key.starts_with("llama.") || key.starts_with("tokenizer.") {
                assert_eq!(merged.get(key), Some(value), "{name}: {key}");
            }
        }
        let [merged, base] =
            [&merged, &base].map(|gguf| gguf.tensor("rope_freqs.weight").is_some());
        assert_eq!(merged, base, "{name}");
    }
}

#[test]
fn metadata_tells_parents_recipe_and_seed() {
    let dir = parents(dense);
    let cards = [
        ("one", "---\nlicense: llama2\nlanguage: [ja, en]\n---\n"),
        ("two", "---\nlicense: mit\nlanguage: en\n---\n"),
    ];
    for (name, card) in cards {
        fs::write(dir.path().join(name).join("README.md"), card).unwrap();
    }
    let path = recipe(dir.path(), RANDOM);
    let output = dir.path().join("out.gguf");
    let run = swallow_gguf()
        .args(["merge", "--seed", "18446744073709551615", "-o"])
        .arg(&output)
        .arg(&path)
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", text(&run.stderr));
    assert!(
        text(&run.stderr).contains(
            "note: the parents' licences differ (`one` llama2; `two` mit): the merged model is bound by all of them"
        ),
        "{}",
        text(&run.stderr)
    );
    let gguf = Gguf::open(&output).unwrap();
    let of = |key: &str| gguf.get(key).unwrap().clone();
    assert_eq!(of("general.name"), "my-moe".into());
    assert_eq!(of("general.merge.recipe"), RANDOM.into());
    assert_eq!(of("general.merge.seed"), Value::U64(u64::MAX));
    assert_eq!(of("general.license"), "llama2,mit".into());
    assert_eq!(of("general.base_model.count"), 2.into());
    assert_eq!(of("general.base_model.1.name"), "Two".into());
    assert_eq!(of("llama.expert_count"), 2.into());
    let size = format!("{:?}", of("general.size_label"));
    assert!(size.contains("2x"), "{size}");
    let json = format!("{:?}", of("general.languages"));
    assert!(json.contains("ja") && json.contains("en"), "{json}");

    // What nobody drew at random has no seed.
    let yaml = "base_model: one\ngate_mode: random\nexperts: [{source_model: two}]\nexperts_per_token: 1\n";
    let run = merge(&recipe(dir.path(), yaml), &["--dry-run", "--json"]);
    let plan: Json = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!(plan["name"], "my-moe");
}

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
fn a_checkpoint_is_whole_or_not_there_and_replaces_nothing() {
    let dir = parents(dense);
    let path = recipe(dir.path(), RANDOM);
    let folder = dir.path().join("merged");
    fs::create_dir(&folder).unwrap();
    write_checkpoint(&path, &folder, &[]);
    let names = |dir: &Path| {
        let mut names: Vec<String> = fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    assert_eq!(
        names(&folder),
        [
            "README.md",
            "config.json",
            "mergekit_moe_config.yml",
            "model.safetensors",
            "tokenizer.model"
        ]
    );
    let config: Json =
        serde_json::from_slice(&fs::read(folder.join("config.json")).unwrap()).unwrap();
    assert_eq!(config["architectures"][0], "MixtralForCausalLM");
    assert_eq!(config["torch_dtype"], "bfloat16");
    assert_eq!(config["rope_theta"], 10000.0);

    let folder = folder.to_str().unwrap();
    let run = merge(&path, &["--write-safetensors", folder]);
    assert_eq!(
        text(&run.stderr),
        format!("error: `{folder}` exists: choose another name for the checkpoint's folder\n")
    );

    // A weight that is no number: nothing is left behind.
    let shard = dir.path().join("two/model-00002-of-00002.safetensors");
    let mut bytes = fs::read(&shard).unwrap();
    let end = bytes.len() - 400 * 256;
    bytes[end..].fill(0xff);
    fs::write(&shard, bytes).unwrap();
    let before = names(dir.path());
    let broken = dir.path().join("broken");
    for args in [
        ["--write-safetensors", broken.to_str().unwrap()],
        ["-o", broken.to_str().unwrap()],
    ] {
        let yaml = RANDOM.replace("base_model: ./one", "base_model: ./two");
        let run = merge(&recipe(dir.path(), &yaml), &args);
        let error = text(&run.stderr);
        assert!(error.contains("expected finite weights"), "{error}");
        assert_eq!(names(dir.path()), before);
    }

    // An input is never replaced.
    let shard = dir.path().join("one/config.json");
    let run = merge(&path, &["--force", "-o", shard.to_str().unwrap()]);
    assert!(text(&run.stderr).contains("is a file of the source itself"));
    let run = merge(&path, &["--force", "-o", path.to_str().unwrap()]);
    assert!(text(&run.stderr).contains("is a file of the source itself"));
}

/// Weights of float32 that no float16 holds.
#[test]
fn a_weight_beyond_the_recipes_format_is_named() {
    let dir = parents(|seed| Spec {
        dtype: Dtype::F32,
        shards: 1,
        ..dense(seed)
    });
    let shard = dir.path().join("two/model.safetensors");
    let mut bytes = fs::read(&shard).unwrap();
    let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let table: Json = serde_json::from_slice(&bytes[8..8 + header]).unwrap();
    let offsets = &table["model.layers.0.mlp.up_proj.weight"]["data_offsets"];
    let at = 8 + header + offsets[0].as_u64().unwrap() as usize + 4 * (256 + 3);
    bytes[at..at + 4].copy_from_slice(&1e6f32.to_le_bytes());
    fs::write(&shard, bytes).unwrap();
    let path = recipe(dir.path(), &RANDOM.replace("bfloat16", "float16"));
    let folder = dir.path().join("merged");
    for args in [
        ["-o", "out.gguf"],
        ["--write-safetensors", folder.to_str().unwrap()],
    ] {
        let run = merge(&path, &args);
        assert_eq!(
            text(&run.stderr),
            "error: tensor `model.layers.0.mlp.up_proj.weight` has 1e6 near index [1, 3], too large for F16: choose BF16 or F32\n"
        );
    }
}

/// Headers of two models of 13B parameters: the target's size, to the digit.
#[test]
fn the_target_takes_13_09_gb() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["Superswallow-13b-v0.2", "Swallow-13b-instruct-hf"] {
        let spec = Spec {
            sizes: Sizes {
                num_local_experts: 0,
                ..Sizes::target(40)
            },
            shards: 3,
            sparse: true,
            ..small_moe()
        };
        checkpoint(dir.path(), name, &spec);
    }
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/swallow-moe-2x13b.yml");
    let path = dir.path().join("swallow-moe-2x13b.yml");
    fs::copy(example, &path).unwrap();
    let run = merge(&path, &["--dry-run"]);
    let plan = text(&run.stdout);
    assert!(run.status.success(), "{}", text(&run.stderr));
    assert!(plan.contains("size    13.09 GB"), "{plan}");
    assert!(
        plan.contains("output  `swallow-moe-2x13B-Q4_K_M.gguf`"),
        "{plan}"
    );
    assert!(plan.contains("reads   43.25 GB, once"), "{plan}");
    let folder = dir.path().join("merged");
    let run = merge(
        &path,
        &["--dry-run", "--write-safetensors", folder.to_str().unwrap()],
    );
    let plan = text(&run.stdout);
    assert!(plan.contains("size    43.25 GB"), "{plan}");
    assert!(plan.contains("model-00001-of-00009.safetensors"), "{plan}");
    assert!(!folder.exists());
}

#[test]
fn smollm2_merged_with_itself_says_what_it_says() {
    let Some(model) = smollm2("smollm2_merged_with_itself_says_what_it_says") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let made = moe_from_gguf()
        .arg(&model)
        .arg(dir.path().join("one"))
        .arg("--dense")
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", text(&made.stderr));
    let answer = |path: &Path| {
        let run = swallow_gguf()
            .args(["run", "--temp", "0", "--threads", "1", "-n", "24"])
            .args(["-p", "What is the capital of Japan?", "-m"])
            .arg(path)
            .output()
            .unwrap();
        assert!(run.status.success(), "{}", text(&run.stderr));
        text(&run.stdout)
    };
    let [dense, moe] = ["dense.gguf", "moe.gguf"].map(|name| dir.path().join(name));
    converted(&dir.path().join("one"), &dense, &["-t", "f16"]);
    let yaml = RANDOM.replace("./two", "./one");
    merged(&recipe(dir.path(), &yaml), &moe, &["-t", "f16"]);
    let said = answer(&dense);
    assert!(said.contains("Tokyo"), "{said}");
    assert_eq!(answer(&moe), said);
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

/// What mergekit 0.1.5 itself wrote of a trained model of 260,000 parameters, twice, with gates that it
/// drew: the same recipe and its gates give the same checkpoint, byte for byte of every tensor.
#[test]
fn mergekits_own_checkpoint_comes_out_of_its_recipe_and_gates() {
    let Some(fixtures) = fixtures("mergekits_own_checkpoint_comes_out_of_its_recipe_and_gates")
    else {
        return;
    };
    let stories = fixtures.join("stories260K");
    let theirs = stories.join("mergekit-0.1.5-moe");
    let dir = tempfile::tempdir().unwrap();
    // The folders that the recipe names are beside the merged one's.
    let path = dir.path().join("recipe.yml");
    let yaml = fs::read_to_string(theirs.join("mergekit_moe_config.yml")).unwrap();
    let parent = stories.join("hf-dense-bf16");
    fs::write(
        &path,
        yaml.replace("./hf-dense-bf16", parent.to_str().unwrap()),
    )
    .unwrap();

    let ours = dir.path().join("ours");
    let gates = theirs.join("model.safetensors");
    write_checkpoint(
        &path,
        &ours,
        &["--layout", "fused", "--gates", gates.to_str().unwrap()],
    );
    let tensors = |dir: &Path| {
        let bytes = fs::read(dir.join("model.safetensors")).unwrap();
        let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let table: BTreeMap<String, Json> = serde_json::from_slice(&bytes[8..8 + header]).unwrap();
        let tensors = table.into_iter().filter(|(name, _)| name != "__metadata__");
        tensors
            .map(|(name, entry)| {
                let [begin, end] = [0, 1]
                    .map(|i| 8 + header + entry["data_offsets"][i].as_u64().unwrap() as usize);
                let (dtype, shape) = (entry["dtype"].clone(), entry["shape"].clone());
                (name, (dtype, shape, bytes[begin..end].to_vec()))
            })
            .collect::<BTreeMap<_, _>>()
    };
    let (a, b) = (tensors(&theirs), tensors(&ours));
    assert!(a.keys().eq(b.keys()), "{:?}\n{:?}", a.keys(), b.keys());
    for (name, tensor) in &a {
        assert!(b[name] == *tensor, "{name}");
    }
    let config = |dir: &Path| -> BTreeMap<String, Json> {
        serde_json::from_slice(&fs::read(dir.join("config.json")).unwrap()).unwrap()
    };
    let (a, b) = (config(&theirs), config(&ours));
    for (key, value) in &b {
        assert_eq!(a.get(key), Some(value), "{key}");
    }
    // What is left are keys of LlamaConfig that no Mixtral looks at, and a version.
    let rest: Vec<&str> = a
        .keys()
        .filter(|k| !b.contains_key(*k))
        .map(String::as_str)
        .collect();
    assert_eq!(
        rest,
        [
            "attention_bias",
            "mlp_bias",
            "pretraining_tp",
            "transformers_version"
        ]
    );
}
