//! Gates of prompts, from the recipe to the file.

use super::{dense, merge, merged, parents, recipe, require_same};
use crate::support::text;

const PROMPTS: &str = "base_model: ./one
gate_mode: MODE
dtype: bfloat16
experts:
  - source_model: one
    positive_prompts: [\"Once upon a time\", \"a cat\"]
    negative_prompts: [\"12 + 7 =\"]
  - source_model: ./two
    positive_prompts: [\"12345 + 678 =\"]
";

#[test]
fn every_mode_gives_the_same_merge_by_either_way_and_each_time() {
    let dir = parents(dense);
    let out = |name: &str| dir.path().join(name);
    let mut seen = Vec::new();
    for mode in ["cheap_embed", "hidden", "hidden_avg", "hidden_last"] {
        let path = recipe(dir.path(), &PROMPTS.replace("MODE", mode));
        require_same(&path, &["q8_0"], &["--threads", "1"]);

        let gates = out(&format!("{mode}.safetensors"));
        let gates = gates.to_str().unwrap();
        let made = merged(
            &path,
            &out("made.gguf"),
            &["--force", "--threads", "1", "--save-gates", gates],
        );
        let given = merged(&path, &out("given.gguf"), &["--force", "--gates", gates]);
        assert!(made == given, "{mode}");
        seen.push(made);
    }
    // `hidden` is another name of `hidden_last`, which the recipe in the file tells apart.
    assert!(seen[0] != seen[1] && seen[1] != seen[2]);
    // Nothing that was needed on the way is left.
    let left: Vec<String> = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with('.'))
        .collect();
    assert_eq!(left, [""; 0]);
}

#[test]
fn a_dry_run_makes_no_gates() {
    let dir = parents(dense);
    let path = recipe(dir.path(), &PROMPTS.replace("MODE", "hidden"));
    // With a base whose weights cannot be computed with.
    let shard = dir.path().join("one/model-00001-of-00002.safetensors");
    let mut bytes = std::fs::read(&shard).unwrap();
    let at = bytes.len() - 4000;
    bytes[at..at + 4].copy_from_slice(&[0xc0, 0x7f, 0xc0, 0x7f]);
    std::fs::write(&shard, bytes).unwrap();
    let run = merge(&path, &["--dry-run"]);
    assert!(run.status.success(), "{}", text(&run.stderr));
    assert!(text(&run.stdout).contains("blk.1.ffn_gate_inp.weight"));

    let run = merge(&path, &["-o", dir.path().join("x.gguf").to_str().unwrap()]);
    let said = text(&run.stderr);
    assert_eq!(run.status.code(), Some(1));
    assert!(said.contains("has NaN at index"), "{said}");
    assert!(!dir.path().join("x.gguf").exists());
}

#[test]
fn a_file_that_is_there_is_told_of_before_gates_are_made() {
    let dir = parents(dense);
    let path = recipe(dir.path(), &PROMPTS.replace("MODE", "hidden"));
    let output = dir.path().join("x.gguf");
    std::fs::write(&output, "precious").unwrap();
    let run = crate::support::swallow_gguf()
        .arg("merge")
        .arg(&path)
        .arg("-o")
        .arg(&output)
        .output()
        .unwrap();
    let said = text(&run.stderr);
    assert_eq!(run.status.code(), Some(1));
    assert!(
        said.starts_with("error: ") && said.contains("`--force`"),
        "{said}"
    );
    assert_eq!(std::fs::read(&output).unwrap(), b"precious");
}

#[test]
fn gates_that_hardly_differ_are_told() {
    let dir = parents(dense);
    let same = "base_model: ./one
gate_mode: cheap_embed
experts:
  - source_model: one
    positive_prompts: [\"Once upon a time there was a cat in a house\"]
  - source_model: ./two
    positive_prompts: [\"Once upon a time there was a cat in a home\"]
";
    let path = recipe(dir.path(), same);
    let output = dir.path().join("x.gguf");
    let run = crate::support::swallow_gguf()
        .arg("merge")
        .arg(&path)
        .arg("-o")
        .arg(&output)
        .output()
        .unwrap();
    let said = text(&run.stderr);
    assert!(run.status.success(), "{said}");
    assert!(
        said.contains("note: the gates of all layers are degenerate (condition number"),
        "{said}"
    );
}
