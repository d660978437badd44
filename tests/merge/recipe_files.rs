//! Files and folders that are given as a recipe.

use std::{fs, path::Path};

#[cfg(unix)]
use swallow_gguf::gguf::Gguf;

use super::{RANDOM, dense, merge, merged, parents, recipe};
use crate::support::{converted, text};

/// What is said of `path` as a recipe, its folder called `DIR`.
fn said(dir: &Path, path: &Path) -> String {
    let run = merge(path, &["--dry-run"]);
    let error = text(&run.stderr).replace(&*dir.to_string_lossy(), "DIR");
    assert_eq!(run.status.code(), Some(1), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
    error.trim_end().to_owned()
}

#[test]
fn files_that_are_no_recipe_are_told_what_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let utf16: Vec<u8> = format!("\u{feff}{RANDOM}")
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let cases: [(&str, &[u8], &str); 9] = [
        (
            "a pointer",
            b"version https://git-lfs.github.com/spec/v1\noid sha256:4d\nsize 4217\n",
            "cannot read the recipe `DIR/x.yml`: it is a git-lfs pointer to the file of 4217 bytes, not the file; fetch that with `git lfs pull`",
        ),
        (
            "a web page",
            b"<!DOCTYPE html>\n<html><body>experts:</body></html>",
            "cannot read the recipe `DIR/x.yml`: it is a web page; ",
        ),
        (
            "UTF-16",
            &utf16,
            "cannot read the recipe `DIR/x.yml`: it is text in UTF-16, expected UTF-8; save it as UTF-8",
        ),
        (
            "Latin-1",
            b"# caf\xe9\nbase_model: one\n",
            "cannot read the recipe `DIR/x.yml`: it is not UTF-8 at byte 5; save it as UTF-8",
        ),
        (
            "nothing",
            b"",
            "the recipe `DIR/x.yml` is empty, expected `base_model` and `experts`",
        ),
        (
            "tabs",
            b"base_model: one\nexperts:\n\t- source_model: one\n",
            "the recipe `DIR/x.yml` is no YAML: ",
        ),
        (
            "Markdown",
            b"```yaml\nbase_model: one\n```\n",
            "the recipe `DIR/x.yml` is no YAML: ",
        ),
        (
            "two documents",
            b"base_model: one\n---\nbase_model: two\n",
            "the recipe `DIR/x.yml` is no YAML: ",
        ),
        (
            "a prompt with a colon",
            b"base_model: one\nexperts: [{source_model: one, positive_prompts: [\"a\": b: c]}]\n",
            "the recipe `DIR/x.yml` is no YAML: ",
        ),
    ];
    let path = dir.path().join("x.yml");
    let mut told = Vec::new();
    for (name, bytes, expected) in cases {
        fs::write(&path, bytes).unwrap();
        let error = said(dir.path(), &path);
        assert!(
            error.starts_with(&format!("error: {expected}")),
            "{name}: {error}"
        );
        told.push(error);
    }
    for (error, hint) in std::iter::zip(
        &told[5..],
        [
            "; it is indented with a tab there, write spaces",
            "; line 1 is a fence of Markdown, take such lines out",
            "; a line of `---` begins another, expected one recipe",
        ],
    ) {
        assert!(error.ends_with(hint), "{error}");
    }

    fs::write(&path, vec![b'#'; (1 << 20) + 1]).unwrap();
    assert_eq!(
        said(dir.path(), &path),
        "error: cannot read the recipe `DIR/x.yml`: it has 1048577 bytes, expected at most 1048576, expected mergekit-moe's YAML"
    );
}

#[test]
fn a_byte_order_mark_is_passed_over() {
    let dir = parents(dense);
    let out = |name: &str, yaml: &str| {
        let path = recipe(dir.path(), yaml);
        merged(&path, &dir.path().join(name), &["-t", "q8_0"])
    };
    // The recipe is among the metadata, without the mark.
    let plain = out("a.gguf", RANDOM);
    assert!(plain == out("b.gguf", &format!("\u{feff}{RANDOM}")));
}

#[test]
fn what_is_given_in_place_of_a_recipe_names_what_is_there() {
    let dir = parents(dense);
    let at = |name: &str| dir.path().join(name);
    let folder = |name: &str, files: &[&str]| {
        fs::create_dir(at(name)).unwrap();
        for file in files {
            fs::write(at(name).join(file), RANDOM).unwrap();
        }
    };
    folder(
        "merged",
        &["mergekit_moe_config.yml", "config.json", "a.yml"],
    );
    folder("recipes", &["b.yml", "a.yaml"]);
    folder("one-recipe", &["a.yml", "notes.txt"]);
    folder("empty", &[]);
    fs::write(at("swallow-moe.yml"), RANDOM).unwrap();
    converted(&at("one"), &at("one.gguf"), &[]);
    for (given, expected) in [
        (
            "merged",
            "`DIR/merged` is a folder, expected a recipe, did you mean `DIR/merged/mergekit_moe_config.yml`?",
        ),
        (
            "recipes",
            "`DIR/recipes` is a folder, expected a recipe: it has `DIR/recipes/a.yaml`, `DIR/recipes/b.yml`",
        ),
        (
            "one-recipe",
            "`DIR/one-recipe` is a folder, expected a recipe, did you mean `DIR/one-recipe/a.yml`?",
        ),
        ("empty", "`DIR/empty` is a folder, expected a recipe"),
        (
            "one",
            "`DIR/one` is a folder, expected a recipe: it is a model, which `convert` takes",
        ),
        (
            "swallow-moe",
            "there is no recipe `DIR/swallow-moe`, did you mean `DIR/swallow-moe.yml`?",
        ),
        (
            "swallow-moe.yaml",
            "there is no recipe `DIR/swallow-moe.yaml`, did you mean `DIR/swallow-moe.yml`?",
        ),
        (
            "swalow-moe.yml",
            "there is no recipe `DIR/swalow-moe.yml`, did you mean `DIR/swallow-moe.yml`?",
        ),
        (
            "nothing-of-that-kind",
            "there is no recipe `DIR/nothing-of-that-kind`",
        ),
        (
            "one.gguf",
            "cannot read the recipe `DIR/one.gguf`: it is a GGUF file, expected mergekit-moe's YAML",
        ),
    ] {
        assert_eq!(
            said(dir.path(), &at(given)),
            format!("error: {expected}"),
            "{given}"
        );
    }
    assert_eq!(
        said(dir.path(), Path::new("hf:org/model")),
        "error: there is no recipe `hf:org/model`, which is to be a file here: download it"
    );
}

/// As in `merge <(sed … recipe.yml)`, which names its models by whole paths.
#[cfg(unix)]
#[test]
fn a_recipe_may_come_from_a_pipe() {
    let dir = parents(dense);
    let whole = |name: &str| dir.path().join(name).display().to_string();
    let text = format!(
        "base_model: {one}\ngate_mode: random\nexperts: [{{source_model: {one}}}, {{source_model: {two}}}]\n",
        one = whole("one"),
        two = whole("two")
    );
    let pipe = dir.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let output = dir.path().join("out.gguf");
    // Not waited for: where nobody reads, this writes for ever.
    let written = (pipe.clone(), text.clone());
    std::thread::spawn(move || fs::write(written.0, written.1));
    merged(&pipe, &output, &["-t", "q8_0"]);
    let gguf = Gguf::open(&output).unwrap();
    assert_eq!(gguf.get_str("general.merge.recipe"), Some(text.as_str()));
}
