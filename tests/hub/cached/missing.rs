//! What the cache lacks is named: by the file, and where there is something else, by that.

use std::fs;

use super::{Home, NOWHERE, OTHER_COMMIT, POINTER, dangle, remove, replace};
use crate::{
    hub::{REPO, server::COMMIT},
    support::text,
};

#[test]
fn what_is_missing_in_the_cache_is_named() {
    const INDEX: &str = "model.safetensors.index.json";
    const SECOND: &str = "model-00002-of-00002.safetensors";
    type Damage = fn(&Home);
    let cases: &[(&str, Damage, &str)] = &[
        (
            "config",
            |home| remove(home, "config.json"),
            "the cache `DIR/home/hub` does not have `config.json` of hf:org/model",
        ),
        (
            "a shard of the index",
            |home| remove(home, SECOND),
            "does not have `model-00002-of-00002.safetensors` of hf:org/model, it has `model-00001-of-00002.safetensors`",
        ),
        (
            "a shard that numbers itself",
            |home| {
                remove(home, INDEX);
                remove(home, SECOND);
            },
            "does not have `model-00002-of-00002.safetensors` of hf:org/model",
        ),
        (
            "all weights",
            |home| {
                for name in [INDEX, SECOND, "model-00001-of-00002.safetensors"] {
                    remove(home, name);
                }
            },
            "does not have the weights of hf:org/model, neither `model.safetensors` nor",
        ),
        (
            "a blob of the config",
            |home| dangle(home, "config.json"),
            "SNAPSHOT/config.json` is a link to `../../blobs/gone`, which is not there",
        ),
        (
            "a blob of the tokenizer",
            |home| dangle(home, "tokenizer.model"),
            "SNAPSHOT/tokenizer.model` is a link to `../../blobs/gone`",
        ),
        (
            "a blob of the index",
            |home| dangle(home, INDEX),
            "SNAPSHOT/model.safetensors.index.json` is a link to",
        ),
        (
            "a blob of a shard",
            |home| dangle(home, SECOND),
            "SNAPSHOT/model-00002-of-00002.safetensors` is a link to",
        ),
        (
            "a pointer",
            |home| replace(home, "tokenizer.model", POINTER),
            "SNAPSHOT/tokenizer.model` is a git-lfs pointer to the file, expected the file",
        ),
        (
            "an older pointer",
            |home| {
                replace(
                    home,
                    SECOND,
                    "version https://hawser.github.com/spec/v1\noid sha256:4d\nsize 7\n",
                )
            },
            "SNAPSHOT/model-00002-of-00002.safetensors` is a git-lfs pointer",
        ),
        (
            "a pointer of git-xet",
            |home| {
                replace(
                    home,
                    "config.json",
                    "# xet version 0\nfilesize = 7\nhash = '4d'\n",
                )
            },
            "SNAPSHOT/config.json` is a git-xet pointer",
        ),
        (
            "a folder in a file's place",
            |home| {
                remove(home, SECOND);
                fs::create_dir(home.snapshot().join(SECOND)).unwrap();
            },
            "SNAPSHOT/model-00002-of-00002.safetensors` is a folder, expected the file",
        ),
        (
            "an empty ref",
            |home| home.refer(REPO, "main", ""),
            "`DIR/home/hub/models--org--model/refs/main` holds nothing, expected a commit of 40 digits in it",
        ),
        (
            "a ref that is none",
            |home| home.refer(REPO, "main", "ref: refs/heads/\u{1b}main"),
            r"refs/main` holds `ref: refs/heads/\u{1b}main`, expected a commit",
        ),
        (
            "another commit",
            |home| home.refer(REPO, "main", OTHER_COMMIT),
            "refs/main` names the commit 89abcdef0123456789abcdef0123456789abcdef, which the folder `snapshots` beside it does not have",
        ),
        (
            "no ref",
            |home| fs::remove_dir_all(home.repository(REPO).join("refs")).unwrap(),
            "does not have hf:org/model@main, only its `0123456789abcdef0123456789abcdef01234567`",
        ),
        (
            "no snapshots",
            |home| fs::remove_dir_all(home.repository(REPO).join("snapshots")).unwrap(),
            "refs/main` names the commit 0123456789abcdef0123456789abcdef01234567, which",
        ),
        (
            "nothing",
            |home| fs::remove_dir_all(home.path("home/hub")).unwrap(),
            "the cache `DIR/home/hub` does not have hf:org/model",
        ),
    ];
    for (name, damage, expected) in cases {
        let home = Home::new();
        damage(&home);
        let said = home.refused("hf:org/model");
        let expected = expected.replace(
            "SNAPSHOT",
            &format!("`DIR/home/hub/models--org--model/snapshots/{COMMIT}"),
        );
        assert!(said.contains(&expected), "{name}: {said}");
        assert!(
            said.ends_with(", and HF_HUB_OFFLINE is set: unset it to fetch from the hub"),
            "{name}: {said}"
        );
    }
}

#[test]
fn what_is_missing_is_named_beside_a_hub_out_of_reach() {
    let home = Home::new();
    let said = |home: &Home, source: &str| {
        let run = home.run(NOWHERE, &[], &["convert", source, "-o", "x.gguf"]);
        assert_eq!(run.status.code(), Some(1));
        text(&run.stderr).replace(&*home.dir.path().to_string_lossy(), "DIR")
    };
    remove(&home, "model-00002-of-00002.safetensors");
    let partial = said(&home, "hf:org/model");
    assert!(
        partial.starts_with("error: cannot fetch hf:org/model: 127.0.0.1:9: "),
        "{partial}"
    );
    assert!(
        partial.ends_with(
            " without progress, and the cache `DIR/home/hub` does not have `model-00002-of-00002.safetensors` of hf:org/model, it has `model-00001-of-00002.safetensors`: run the same command again when the connection is better\n"
        ),
        "{partial}"
    );
    // Of what it has nothing of at all there is nothing to say.
    assert!(!said(&home, "hf:org/none").contains("cache"));
}

#[test]
fn what_is_broken_in_the_cache_is_told_as_in_any_folder() {
    let home = Home::new();
    fs::remove_file(home.snapshot().join("config.json")).unwrap();
    fs::write(home.snapshot().join("config.json"), "{").unwrap();
    let said = home.refused("hf:org/model");
    assert!(said.contains("config.json`: "), "{said}");
    assert!(!said.contains("HF_HUB_OFFLINE"), "{said}");
}

#[test]
fn what_is_no_checkpoint_in_the_cache_is_told_as_what_it_is() {
    let home = Home::new();
    for (name, file, content, expected) in [
        (
            "gguf",
            "m-Q8_0.gguf",
            "GGUF",
            "it holds a GGUF, `m-Q8_0.gguf`",
        ),
        (
            "adapter",
            "adapter_config.json",
            r#"{"base_model_name_or_path": "org/base"}"#,
            "it is an adapter (LORA) of `org/base`",
        ),
    ] {
        let folder = home.path(name);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join(file), content).unwrap();
        home.cache(&format!("org/{name}"), &folder);
        let said = home.refused(&format!("hf:org/{name}"));
        assert!(said.contains(expected), "{said}");
        assert!(!said.contains("HF_HUB_OFFLINE"), "{said}");
    }
}
