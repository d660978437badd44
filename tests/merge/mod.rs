//! `swallow-gguf merge`: parents made here, recipes, and what becomes of them.

mod bases_values;
mod gates;
mod killed;
mod mergekit;
mod prompts;
mod qwen;
mod recipe_files;
mod recipes;
mod references;
mod same;
mod vocabularies;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
};

use serde_json::Value as Json;
use swallow_gguf::{
    gguf::{Gguf, Value},
    source::Dtype,
    synthetic::{Sizes, Spec},
};

use crate::support::{
    checkpoint, converted, moe_from_gguf, small_moe, smollm2, swallow_gguf, text,
};

/// A small dense model.
pub(crate) fn dense(seed: u64) -> Spec {
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
