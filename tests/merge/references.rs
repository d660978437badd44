//! How recipes name models: folders, the hub, and what is neither.

use std::fs;

use super::{RANDOM, dense, merge, parents, recipe};
use crate::support::{converted, swallow_gguf, text};

/// What is said of a recipe whose second expert is `reference`, with a hub that is not there.
fn said(dir: &std::path::Path, reference: &str) -> String {
    let yaml = RANDOM.replace("./two", &format!("'{reference}'"));
    let run = swallow_gguf()
        .args(["merge", "-q", "--dry-run"])
        .arg(recipe(dir, &yaml))
        .env("HF_HOME", dir.join("hf"))
        .env("HF_HUB_OFFLINE", "1")
        .env("HOME", dir.join("home"))
        .output()
        .unwrap();
    match run.status.success() {
        true => "merged".to_owned(),
        false => text(&run.stderr),
    }
}

#[test]
fn the_nearest_folder_is_named() {
    let dir = parents(dense);
    fs::create_dir(dir.path().join("models")).unwrap();
    fs::rename(dir.path().join("two"), dir.path().join("models/Expert-Two")).unwrap();
    let none = "expected a folder from the recipe's on, or `hf:ORG/NAME`";
    for (reference, hint) in [
        ("./models/expert-two", "did you mean `./models/Expert-Two`?"),
        (
            "./models/Expert_Two/",
            "did you mean `./models/Expert-Two`?",
        ),
        ("on", "did you mean `one`?"),
        ("thre", "did you mean `three`?"),
        ("models\\Expert-Two", "did you mean `models/Expert-Two`?"),
        ("C:\\models\\a", none),
        ("./nothing/like/it", none),
    ] {
        let folder = dir.path().join(reference.trim_start_matches("./"));
        assert_eq!(
            said(dir.path(), reference),
            format!(
                "error: parent `{reference}`: there is no folder `{}`, {hint}\n",
                folder.display()
            )
        );
    }
    assert_eq!(said(dir.path(), "models/Expert-Two"), "merged");
}

/// `ORG/NAME` is the hub's where there is no such folder, and both are told.
#[test]
fn what_is_neither_folder_nor_repository_tells_both() {
    let dir = parents(dense);
    fs::create_dir(dir.path().join("models")).unwrap();
    fs::rename(dir.path().join("two"), dir.path().join("models/two")).unwrap();
    for (reference, hint) in [
        ("models/tow", " (did you mean `models/two`?)"),
        ("mistralai/Mistral-7B-v0.1", ""),
    ] {
        let error = said(dir.path(), reference);
        let folder = dir.path().join(reference);
        let begins = format!(
            "error: parent `{reference}`: there is no folder `{}`{hint}, and the hub does not give it: ",
            folder.display()
        );
        assert!(error.starts_with(&begins), "{error}");
        assert!(error[begins.len()..].contains(reference), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
    let error = said(dir.path(), "hf:a/b/c/d");
    assert!(error.starts_with("error: parent `hf:a/b/c/d`: "), "{error}");
}

/// No shell puts the user's folder into a recipe.
#[cfg(unix)]
#[test]
fn a_tilde_is_the_users_folder() {
    let dir = parents(dense);
    fs::create_dir_all(dir.path().join("home/models")).unwrap();
    fs::rename(dir.path().join("two"), dir.path().join("home/models/two")).unwrap();
    assert_eq!(said(dir.path(), "~/models/two"), "merged");
    let error = said(dir.path(), "~/models/tow");
    let folder = dir.path().join("home/models/tow");
    assert_eq!(
        error,
        format!(
            "error: parent `~/models/tow`: there is no folder `{}`, did you mean `~/models/two`?\n",
            folder.display()
        )
    );
}

/// A file, a mixture, and the same model by several names.
#[test]
fn what_is_no_dense_checkpoint_is_told() {
    let dir = parents(dense);
    converted(&dir.path().join("two"), &dir.path().join("two.gguf"), &[]);
    for (reference, expected) in [
        (
            "./two.gguf",
            "is a GGUF file, expected the folder of a checkpoint with safetensors: of a GGUF nothing can be merged",
        ),
        (
            "./three/model-00001-of-00002.safetensors",
            "is a safetensors file, did you mean `./three`?",
        ),
        (
            "one/config.json",
            "is a file, expected the folder of a checkpoint with safetensors",
        ),
    ] {
        assert_eq!(
            said(dir.path(), reference),
            format!("error: parent `{reference}` {expected}\n")
        );
    }

    crate::support::checkpoint(dir.path(), "moe", &crate::support::small_moe());
    assert_eq!(
        said(dir.path(), "moe"),
        "error: parent `moe` is a Mixture of Experts itself, expected a dense model (Llama, Mistral, Qwen2 or Qwen3): name the models that it was made of\n"
    );

    let yaml = RANDOM.replace("./two", "../one/../one");
    fs::create_dir(dir.path().join("recipes")).unwrap();
    let yaml = yaml.replace("source_model: one", "source_model: ../one");
    let yaml = yaml.replace("base_model: ./one", "base_model: ../two/../one");
    let run = merge(
        &recipe(&dir.path().join("recipes"), &yaml),
        &["--dry-run", "--json"],
    );
    assert!(run.status.success(), "{}", text(&run.stderr));
}
