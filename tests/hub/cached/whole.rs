//! What is taken from the cache, and when.

use std::{fs, os::unix::fs::symlink};

use swallow_gguf::gguf::Gguf;

use super::{Home, NOWHERE, take};
use crate::{
    hub::{
        REPO,
        server::{COMMIT, Fault, Hub, On},
    },
    support::{checkpoint, converted, small_moe, text},
};

#[test]
fn at_every_revision_offline_or_with_a_hub_out_of_reach() {
    let home = Home::new();
    home.refer(REPO, "v1", COMMIT);
    home.refer(REPO, "feature/long-context", COMMIT);
    home.refer(REPO, "refs/pr/1", &format!("{COMMIT}\n"));
    let output = home.path("out.gguf");
    let expected = converted(&home.snapshot(), &output, &["-t", "q8_0"]);
    let gguf = Gguf::open(&output).unwrap();
    assert_eq!(gguf.get_str("general.source.revision"), Some(COMMIT));
    assert!(gguf.get("general.source.etags").is_some());
    fs::remove_file(&output).unwrap();

    let before = home.state();
    let upper = COMMIT.to_uppercase();
    for revision in [
        "",
        "@v1",
        "@feature/long-context",
        "@refs/pr/1",
        &format!("@{upper}"),
    ] {
        let source = format!("hf:{REPO}{revision}");
        let args = ["convert", source.as_str(), "-t", "q8_0", "-o", "out.gguf"];
        let is_pinned = revision.len() > 40;
        for (vars, is_offline) in [
            (&[("HF_HUB_OFFLINE", "1")][..], true),
            (&[("TRANSFORMERS_OFFLINE", "YES")][..], true),
            (&[("HF_DATASETS_OFFLINE", "1")][..], false),
        ] {
            let downloads = [&[][..], &["--download"][..]];
            // A hub that is not there takes a second to be given up.
            let n = if is_offline || is_pinned { 2 } else { 1 };
            for more in &downloads[..n] {
                let run = home.run(NOWHERE, vars, &[&args[..], *more].concat());
                let said = text(&run.stderr);
                assert!(run.status.success(), "{source} {vars:?}: {said}");
                assert!(take(&output) == expected, "{source} {vars:?} {more:?}");
                let noted = said.contains(&format!(
                    "the hub cannot be reached, {} is as the cache has it, of commit {COMMIT:.12}: 127.0.0.1:9: ",
                    source
                ));
                assert_eq!(
                    noted,
                    !is_offline && !is_pinned,
                    "{source} {vars:?}: {said}"
                );
            }
        }
    }
    // A cache that may not be written serves as well.
    assert_eq!(home.state(), before);

    // A commit needs no ref.
    fs::remove_dir_all(home.repository(REPO).join("refs")).unwrap();
    let pinned = format!("hf:{REPO}@{COMMIT}");
    let args = ["convert", &pinned, "-t", "q8_0", "-o", "out.gguf"];
    let run = home.run(NOWHERE, &[], &args);
    assert!(run.status.success(), "{}", text(&run.stderr));
    assert!(take(&output) == expected);
}

#[test]
fn the_bytes_are_those_of_a_conversion_from_the_hub() {
    let home = Home::new();
    let hub = Hub::start();
    hub.put_folder(REPO, &home.folder);
    let args = ["convert", "hf:org/model", "-t", "q8_0", "-o", "out.gguf"];
    fs::remove_dir_all(home.path("home")).unwrap();
    let run = home.run(&hub.endpoint(), &[], &args);
    assert!(run.status.success(), "{}", text(&run.stderr));
    let of_hub = take(&home.path("out.gguf"));
    // So far the cache has the small files, which is not all.
    let said = home.refused("hf:org/model");
    assert_eq!(
        said,
        "the cache `DIR/home/hub` does not have `model-00001-of-00002.safetensors` of hf:org/model, and HF_HUB_OFFLINE is set: unset it to fetch from the hub"
    );
    let download = home.run(&hub.endpoint(), &[], &[&args[..], &["--download"]].concat());
    let said = text(&download.stderr);
    assert!(download.status.success(), "{said}");
    for shard in ["00001", "00002"] {
        let line = format!("fetching `model-{shard}-of-00002.safetensors`, ");
        assert!(said.contains(&line), "{said}");
    }
    assert!(take(&home.path("out.gguf")) == of_hub);

    // At a commit nobody asks the hub, which cannot have anything else.
    let asked = hub.seen().len();
    let pinned = format!("hf:org/model@{COMMIT}");
    let run = home.run(
        &hub.endpoint(),
        &[],
        &["convert", &pinned, "-t", "q8_0", "-o", "out.gguf"],
    );
    assert!(run.status.success(), "{}", text(&run.stderr));
    assert!(take(&home.path("out.gguf")) == of_hub);
    assert_eq!(hub.seen().len(), asked);

    let endpoint = hub.endpoint();
    drop(hub);
    let run = home.run(&endpoint, &[], &args);
    let said = text(&run.stderr);
    assert!(run.status.success(), "{said}");
    assert!(said.contains("the hub cannot be reached"), "{said}");
    assert!(take(&home.path("out.gguf")) == of_hub);
}

#[test]
fn a_hub_that_asks_to_wait_is_not_waited_for() {
    let home = Home::new();
    let hub = Hub::start();
    let wait = vec![("Retry-After", "60".to_owned())];
    hub.fail(On::Info, 99, Fault::Status(429, wait));
    let args = ["convert", "hf:org/model", "--dry-run", "-t", "q8_0"];
    let run = home.run(&hub.endpoint(), &[], &args);
    assert!(run.status.success(), "{}", text(&run.stderr));
    assert!(text(&run.stderr).contains("answers HTTP 429, to be asked again in 60 s"));
    assert_eq!(hub.seen().len(), 1);
}

#[test]
fn a_hub_that_says_no_is_heard_and_the_cache_named() {
    let home = Home::new();
    let hub = Hub::start();
    let run = home.run(&hub.endpoint(), &[], &["convert", "hf:org/model"]);
    let said = text(&run.stderr);
    assert_eq!(run.status.code(), Some(1));
    assert!(said.contains("the hub refuses hf:org/model"), "{said}");
    assert!(
        said.ends_with(
            "; the cache has it as of commit 0123456789ab, which is taken with HF_HUB_OFFLINE=1\n"
        ),
        "{said}"
    );
}

#[test]
fn parents_of_a_merge_are_taken_from_the_cache() {
    let home = Home::new();
    for (seed, name) in [(1, "one"), (2, "two")] {
        let mut spec = small_moe();
        (spec.sizes.num_local_experts, spec.seed) = (0, seed);
        let folder = checkpoint(home.dir.path(), name, &spec);
        let card = format!("---\nname: org/{name}\n---\n");
        fs::write(folder.join("README.md"), card).unwrap();
        home.cache(&format!("org/{name}"), &folder);
    }
    let merge = |one: &str, two: &str, vars: &[(&str, &str)]| {
        let yaml = format!(
            "base_model: {one}\ngate_mode: cheap_embed\nexperts:\n- {{source_model: {two}, positive_prompts: [a]}}\n- {{source_model: {one}, positive_prompts: [b]}}\n"
        );
        fs::write(home.path("recipe.yml"), yaml).unwrap();
        let args = ["merge", "recipe.yml", "-t", "q8_0", "-o", "out.gguf"];
        let overrides = ["--override-kv", "general.merge.recipe=str:x"];
        let run = home.run(NOWHERE, vars, &[&args[..], &overrides].concat());
        let said = text(&run.stderr);
        assert!(run.status.success(), "{said}");
        (take(&home.path("out.gguf")), said)
    };
    let offline = [("HF_HUB_OFFLINE", "1")];
    let (expected, _) = merge("./one", "./two", &offline);
    let (bytes, said) = merge("org/one", "hf:org/two", &offline);
    assert!(bytes == expected);
    assert!(!said.contains("reached"), "{said}");
    let (bytes, said) = merge("hf:org/one", "org/two", &[]);
    assert!(bytes == expected);
    for name in ["one", "two"] {
        let note = format!("the hub cannot be reached, hf:org/{name} is as the cache has it");
        assert!(said.contains(&note), "{said}");
    }

    fs::remove_file(home.repository("org/two").join("refs/main")).unwrap();
    let run = home.offline(&["merge", "recipe.yml", "-o", "out.gguf"]);
    let said = text(&run.stderr);
    assert!(said.contains("parent `org/two`"), "{said}");
    assert!(
        said.contains(&format!(
            "hf:org/two@main, only its `{COMMIT}`, and HF_HUB_OFFLINE is set"
        )),
        "{said}"
    );
}

#[test]
fn a_file_is_held_against_all_weights_of_the_cache() {
    let home = Home::new();
    converted(&home.folder, &home.path("x.gguf"), &["-t", "q8_0"]);
    let args = ["verify", "x.gguf", "--against", "hf:org/model", "--json"];
    for (vars, notes) in [(&[("HF_HUB_OFFLINE", "1")][..], 0), (&[], 1)] {
        let run = home.run(NOWHERE, vars, &args);
        let said = text(&run.stderr);
        assert_eq!(run.status.code(), Some(0), "{said}");
        assert_eq!(said.lines().count(), notes, "{said}");
        let found: serde_json::Value = serde_json::from_slice(&run.stdout).unwrap();
        assert_eq!(found["against"]["compared"], found["against"]["weights"]);
    }
}

#[test]
fn a_gguf_in_parts_is_taken_and_a_part_that_is_missing_named() {
    let home = Home::new();
    let split = home.path("split");
    fs::create_dir(&split).unwrap();
    let args = ["-t", "f16", "--split-max-size", "1M"];
    let run = crate::support::convert(&home.folder, &split.join("x.gguf"), &args);
    assert!(run.status.success(), "{}", text(&run.stderr));
    let mut names: Vec<String> = fs::read_dir(&split)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert!(names.len() > 2, "{names:?}");
    home.cache("org/gguf", &split);

    let first = format!("hf:org/gguf:{}", names[0]);
    let quantize = ["quantize", first.as_str(), "-t", "q8_0", "-o", "out.gguf"];
    let run = home.offline(&quantize);
    assert!(run.status.success(), "{}", text(&run.stderr));
    let expected = take(&home.path("out.gguf"));
    let run = home.run(NOWHERE, &[], &quantize);
    let said = text(&run.stderr);
    assert!(take(&home.path("out.gguf")) == expected);
    assert_eq!(said.matches("cannot be reached").count(), 1, "{said}");
    for args in [
        &["inspect", &first][..],
        &["verify", &first],
        &["diff", &first, &first],
        &["run", "--raw", "-t", "1", "-n", "1", "-p", "", "-m", &first],
    ] {
        let run = home.offline(args);
        assert!(run.status.success(), "{args:?}: {}", text(&run.stderr));
    }

    let snapshot = home.repository("org/gguf").join("snapshots").join(COMMIT);
    let link = snapshot.join(&names[1]);
    fs::remove_file(&link).unwrap();
    let said = text(&home.offline(&quantize).stderr);
    assert!(
        said.contains(&format!("does not have `{}` of hf:org/gguf", names[1])),
        "{said}"
    );
    symlink("../../blobs/none", &link).unwrap();
    let said = text(&home.offline(&quantize).stderr);
    assert!(
        said.contains(&format!(
            "{}` is a link to `../../blobs/none`, which is not there",
            names[1]
        )),
        "{said}"
    );
}
