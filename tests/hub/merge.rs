//! Merges of models on the hub.

use std::fs;

use super::server::Hub;
use crate::support::{checkpoint, small_moe, swallow_gguf, text};

#[test]
fn parents_of_the_hub_are_merged_as_those_in_folders() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Hub::start();
    for (seed, name) in [(1, "one"), (2, "two")] {
        let mut spec = small_moe();
        (spec.sizes.num_local_experts, spec.seed) = (0, seed);
        let folder = checkpoint(dir.path(), name, &spec);
        // So that both ways know the same name.
        fs::write(
            folder.join("README.md"),
            format!("---\nname: org/{name}\n---\n"),
        )
        .unwrap();
        hub.put_folder(&format!("org/{name}"), &folder);
    }
    let merged = |one: &str, two: &str, name: &str| {
        let path = dir.path().join("recipe.yml");
        // The recipe is part of the file.
        let yaml = format!(
            "base_model: {one}\ngate_mode: random\nexperts: [{{source_model: {two}}}, {{source_model: {one}}}]\n"
        );
        fs::write(&path, yaml).unwrap();
        let output = dir.path().join(name);
        let run = swallow_gguf()
            .args([
                "merge",
                "-q",
                "-t",
                "q4_k_m",
                "--override-kv",
                "general.merge.recipe=str:x",
            ])
            .arg("-o")
            .arg(&output)
            .arg(&path)
            .env("HF_ENDPOINT", hub.endpoint())
            .env("HF_HOME", dir.path().join("home"))
            .env_remove("HF_TOKEN")
            .env_remove("HF_HUB_CACHE")
            .env_remove("HF_HUB_OFFLINE")
            .output()
            .unwrap();
        assert!(run.status.success(), "{}", text(&run.stderr));
        fs::read(output).unwrap()
    };
    let in_folders = merged("one", "two", "folders.gguf");
    assert!(in_folders == merged("hf:org/one", "hf:org/two", "hub.gguf"));
    // As mergekit names them; and one of each.
    assert!(in_folders == merged("org/one", "./two", "mixed.gguf"));
}
