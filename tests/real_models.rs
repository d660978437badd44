//! Real models from end to end: what a Mixture-of-Experts of equal experts says is what its dense
//! parent says.

use std::{fs, path::Path};

use serde_json::Value as Json;

use crate::support::{converted, fixtures, moe_from_gguf, smollm2, swallow_gguf, text};

/// The greedy answer of the model at `path`.
fn greedy(path: &Path, args: &[&str]) -> String {
    let run = swallow_gguf()
        .args(["run", "--temp", "0", "--threads", "1", "-m"])
        .arg(path)
        .args(args)
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", text(&run.stderr));
    text(&run.stdout)
}

/// A trained model of 260,000 parameters: the dense one, itself twice in the 2024 layout, and what
/// mergekit makes of it today, with nothing but a tokenizer.json. All write the same story.
#[test]
fn stories_are_the_same_from_every_checkpoint() {
    let Some(fixtures) = fixtures("stories_are_the_same_from_every_checkpoint") else {
        return;
    };
    let stories = fixtures.join("stories260K");
    let expected = fs::read(stories.join("hf-dense-bf16/expected_greedy.json")).unwrap();
    let expected: Json = serde_json::from_slice(&expected).unwrap();
    let expected = expected["text"].as_str().unwrap();

    let dir = tempfile::tempdir().unwrap();
    for name in [
        "hf-dense-bf16",
        "hf-mixtral2-same-bf16",
        "mergekit-0.1.5-moe",
    ] {
        for file_type in ["f16", "bf16", "f32"] {
            let path = dir.path().join(format!("{name}-{file_type}.gguf"));
            converted(&stories.join(name), &path, &["-t", file_type]);
            let story = greedy(&path, &["--raw", "-p", "", "-n", "100"]);
            let story = story.trim();
            assert!(story.len() > 250, "{name} as {file_type}: {story}");
            assert!(
                expected.starts_with(story),
                "{name} as {file_type}: {story}"
            );
        }
    }
}

#[test]
fn two_equal_experts_of_an_instruct_model_answer_as_the_dense_one() {
    let Some(model) = smollm2("two_equal_experts_of_an_instruct_model_answer_as_the_dense_one")
    else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let answer = |name: &str, args: &[&str]| {
        let checkpoint = dir.path().join(name);
        let made = moe_from_gguf()
            .arg(&model)
            .arg(&checkpoint)
            .args(args)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", text(&made.stderr));
        let path = dir.path().join(format!("{name}.gguf"));
        converted(&checkpoint, &path, &["-t", "f16"]);
        greedy(&path, &["-p", "What is the capital of Japan?", "-n", "24"])
    };
    let dense = answer("dense", &["--dense"]);
    assert!(dense.contains("Tokyo"), "{dense}");
    assert_eq!(answer("moe", &["--experts", "2", "--shards", "2"]), dense);
}
