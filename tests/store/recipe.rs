//! A merge by a recipe.

use std::{
    fs,
    time::{Duration, SystemTime},
};

use super::{Home, NOWHERE, stamp};
use crate::{
    hub::server::{COMMIT, Hub},
    support::{checkpoint, small_moe},
};

/// A commit after the first.
const NEXT: &str = "abcdef0123456789abcdef0123456789abcdef01";

fn dense(home: &Home, name: &str, seed: u64) -> std::path::PathBuf {
    let mut spec = small_moe();
    (spec.sizes.num_local_experts, spec.seed) = (0, seed);
    checkpoint(home.dir.path(), name, &spec)
}

#[test]
fn it_is_merged_once_and_again_when_a_parent_or_the_recipe_changes() {
    let home = Home::new(NOWHERE);
    let one = dense(&home, "one", 1);
    dense(&home, "two", 2);
    let recipe = |experts: &str| {
        let yaml = format!("base_model: one\ngate_mode: random\nexperts: [{experts}]\n");
        fs::write(home.path("both.yml"), yaml).unwrap();
    };
    recipe("{source_model: one}, {source_model: two}");
    let said = home.runs("both.yml", &["--type", "q4_k_m"]);
    assert!(said.contains("converting both ("), "{said}");
    let before = stamp(&home.file());
    assert_eq!(home.runs("both.yml", &["--type", "q4_k_m"]), "");
    assert_eq!(stamp(&home.file()), before);

    let config = fs::File::options()
        .write(true)
        .open(one.join("config.json"));
    let later = SystemTime::now() + Duration::from_secs(10);
    config.unwrap().set_modified(later).unwrap();
    let said = home.runs("both.yml", &["--type", "q4_k_m"]);
    assert!(
        said.contains("one` has changed: converting it anew"),
        "{said}"
    );
    recipe("{source_model: two}, {source_model: one}");
    let said = home.runs("both.yml", &["--type", "q4_k_m"]);
    assert!(
        said.contains("`recipe` has changed: converting it anew"),
        "{said}"
    );
    assert_ne!(stamp(&home.file()), before);
    assert_eq!(home.runs("both.yml", &["--type", "q4_k_m"]), "");
}

#[test]
fn parents_of_the_hub_are_known_by_their_commits() {
    let hub = Hub::start();
    let home = Home::new(&hub.endpoint());
    hub.put_folder("org/one", &dense(&home, "one", 1));
    dense(&home, "two", 2);
    let yaml = "base_model: hf:org/one\ngate_mode: random\nexperts: [{source_model: two}, {source_model: org/one}]\n";
    fs::write(home.path("both.yml"), yaml).unwrap();
    home.runs("both.yml", &["--type", "q4_k_m"]);
    let made_of = home.listed()[0]["made_of"].clone();
    assert_eq!(
        (&made_of[1]["of"], &made_of[1]["is"]),
        (&"hf:org/one".into(), &COMMIT.into())
    );
    assert_eq!(home.runs("both.yml", &["--type", "q4_k_m"]), "");
    hub.move_to(NEXT);
    let said = home.runs("both.yml", &["--type", "q4_k_m"]);
    assert!(
        said.contains("`hf:org/one` from commit 0123456789ab to abcdef012345 has changed"),
        "{said}"
    );
}
