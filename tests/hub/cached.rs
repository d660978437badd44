//! What the cache has whole is taken without the hub: caches written here as the library writes them,
//! and a hub that is gone.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Output,
    sync::Arc,
};

use swallow_gguf::gguf::Gguf;
use tempfile::TempDir;

use super::{
    REPO, program,
    server::{COMMIT, Content, Fault, File, Hub, On},
};
use crate::support::{checkpoint, converted, small_moe, text};

/// An address at which nobody listens.
const NOWHERE: &str = "http://127.0.0.1:9";

const OTHER_COMMIT: &str = "89abcdef0123456789abcdef0123456789abcdef";

const POINTER: &str = "version https://git-lfs.github.com/spec/v1\noid sha256:4d4d\nsize 499723\n";

/// A home with a cache, which has the model of `folder` as `org/model`.
struct Home {
    dir: TempDir,
    folder: PathBuf,
}

impl Home {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let folder = checkpoint(dir.path(), "model", &small_moe());
        fs::write(folder.join("README.md"), "---\nlicense: mit\n---\n").unwrap();
        let home = Self { dir, folder };
        home.cache(REPO, &home.folder);
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn repository(&self, repo: &str) -> PathBuf {
        let name = format!("models--{}", repo.replace('/', "--"));
        self.path("home/hub").join(name)
    }

    /// Where the files of `org/model` are.
    fn snapshot(&self) -> PathBuf {
        self.repository(REPO).join("snapshots").join(COMMIT)
    }

    fn refer(&self, repo: &str, revision: &str, to: &str) {
        let path = self.repository(repo).join("refs").join(revision);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, to).unwrap();
    }

    /// Puts the files of a folder into the cache, as `main` of `repo`.
    fn cache(&self, repo: &str, folder: &Path) {
        let repository = self.repository(repo);
        let snapshot = repository.join("snapshots").join(COMMIT);
        fs::create_dir_all(repository.join("blobs")).unwrap();
        fs::create_dir_all(&snapshot).unwrap();
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            let content = Content::Bytes(Arc::new(fs::read(&path).unwrap()));
            let digest = File::large_of(content).digest;
            fs::copy(&path, repository.join("blobs").join(&digest)).unwrap();
            symlink(format!("../../blobs/{digest}"), snapshot.join(name)).unwrap();
        }
        self.refer(repo, "main", COMMIT);
    }

    fn run(&self, endpoint: &str, vars: &[(&str, &str)], args: &[&str]) -> Output {
        program(endpoint, &self.path("home"))
            .current_dir(self.dir.path())
            .envs(vars.iter().copied())
            .args(args)
            .output()
            .unwrap()
    }

    fn offline(&self, args: &[&str]) -> Output {
        self.run(NOWHERE, &[("HF_HUB_OFFLINE", "1")], args)
    }

    /// What is said of a conversion that fails offline.
    fn refused(&self, source: &str) -> String {
        let run = self.offline(&["convert", source, "-o", "refused.gguf"]);
        let said = text(&run.stderr);
        assert_eq!(run.status.code(), Some(1), "{said}");
        assert!(!self.path("refused.gguf").exists());
        said.replace(&*self.dir.path().to_string_lossy(), "DIR")
            .trim_end()
            .trim_start_matches("error: ")
            .to_owned()
    }

    /// Every file of the cache, with when it was changed.
    fn state(&self) -> Vec<String> {
        let (mut left, mut all) = (vec![self.path("home")], Vec::new());
        while let Some(dir) = left.pop() {
            for entry in fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                let found = path.symlink_metadata().unwrap();
                all.push(format!(
                    "{} {:?}",
                    path.display(),
                    found.modified().unwrap()
                ));
                if found.is_dir() {
                    left.push(path);
                }
            }
        }
        all.sort();
        all
    }
}

fn remove(home: &Home, name: &str) {
    fs::remove_file(home.snapshot().join(name)).unwrap();
}

fn replace(home: &Home, name: &str, text: &str) {
    remove(home, name);
    fs::write(home.snapshot().join(name), text).unwrap();
}

fn dangle(home: &Home, name: &str) {
    remove(home, name);
    symlink("../../blobs/gone", home.snapshot().join(name)).unwrap();
}

/// Bytes of an output, which is removed.
fn take(path: &Path) -> Vec<u8> {
    let bytes = fs::read(path).unwrap();
    fs::remove_file(path).unwrap();
    bytes
}

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
            "`DIR/home/hub/models--org--model/refs/main` holds nothing, expected a commit of 40 digits",
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

#[test]
fn what_the_cache_has_in_part_is_completed_where_the_hub_can_be_reached() {
    let home = Home::new();
    let hub = Hub::start();
    hub.put_folder(REPO, &home.folder);
    let args = ["convert", "hf:org/model", "-t", "q8_0", "-o", "out.gguf"];
    let offline = home.offline(&args);
    assert!(offline.status.success(), "{}", text(&offline.stderr));
    let expected = take(&home.path("out.gguf"));
    let snapshot = home.snapshot();
    // No weights; links to nothing; a pointer in a file's place.
    for name in [
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
    ] {
        fs::remove_file(snapshot.join(name)).unwrap();
    }
    symlink(
        "../../blobs/gone",
        snapshot.join("model-00001-of-00002.safetensors"),
    )
    .unwrap();
    fs::write(snapshot.join("model-00002-of-00002.safetensors"), POINTER).unwrap();
    for name in ["config.json", "tokenizer.model"] {
        fs::remove_file(snapshot.join(name)).unwrap();
    }
    symlink("../../blobs/gone", snapshot.join("config.json")).unwrap();
    fs::write(snapshot.join("tokenizer.model"), POINTER).unwrap();
    let run = home.run(&hub.endpoint(), &[], &args);
    assert!(run.status.success(), "{}", text(&run.stderr));
    assert!(take(&home.path("out.gguf")) == expected);

    // At a commit a tokenizer is asked for, if the cache has none.
    let run = home.run(&hub.endpoint(), &[], &[&args[..], &["--download"]].concat());
    assert!(run.status.success(), "{}", text(&run.stderr));
    take(&home.path("out.gguf"));
    fs::remove_file(snapshot.join("tokenizer.model")).unwrap();
    let pinned = format!("hf:org/model@{COMMIT}");
    let run = home.run(
        &hub.endpoint(),
        &[],
        &["convert", &pinned, "-t", "q8_0", "-o", "out.gguf"],
    );
    assert!(run.status.success(), "{}", text(&run.stderr));
    assert!(take(&home.path("out.gguf")) == expected);
}

#[test]
fn a_card_that_the_cache_lacks_is_told_unless_there_is_none() {
    let home = Home::new();
    fs::remove_file(home.snapshot().join("README.md")).unwrap();
    let args = ["convert", "hf:org/model", "--dry-run"];
    let note = "note: the cache does not have `README.md` of hf:org/model, which may tell name, license and base models\n";
    assert_eq!(text(&home.offline(&args).stderr), note);
    let known = home.repository(REPO).join(".no_exist").join(COMMIT);
    fs::create_dir_all(&known).unwrap();
    fs::write(known.join("README.md"), "").unwrap();
    assert_eq!(text(&home.offline(&args).stderr), "");
}

#[test]
fn a_cache_of_copies_tells_the_commit() {
    let home = Home::new();
    for entry in fs::read_dir(home.snapshot()).unwrap() {
        let link = entry.unwrap().path();
        let bytes = fs::read(&link).unwrap();
        fs::remove_file(&link).unwrap();
        fs::write(&link, bytes).unwrap();
    }
    let run = home.offline(&["convert", "hf:org/model", "-t", "q8_0", "-o", "out.gguf"]);
    assert!(run.status.success(), "{}", text(&run.stderr));
    let gguf = Gguf::open(&home.path("out.gguf")).unwrap();
    assert_eq!(gguf.get_str("general.source.revision"), Some(COMMIT));
    assert!(gguf.get("general.source.etags").is_none());
}

#[test]
fn the_caches_place_has_several_names() {
    let home = Home::new();
    let hub = home.path("home/hub");
    let nowhere = home.path("nowhere");
    let cache = hub.to_str().unwrap();
    for name in [
        "HF_HUB_CACHE",
        "HUGGINGFACE_HUB_CACHE",
        "TRANSFORMERS_CACHE",
    ] {
        let vars = [
            ("HF_HOME", nowhere.to_str().unwrap()),
            ("HF_HUB_OFFLINE", "1"),
            (name, cache),
        ];
        let run = home.run(NOWHERE, &vars, &["convert", "hf:org/model", "--dry-run"]);
        assert!(run.status.success(), "{name}: {}", text(&run.stderr));
    }
}

#[test]
fn a_cache_that_may_only_be_read_serves_with_what_it_has() {
    let home = Home::new();
    let hub = Hub::start();
    hub.put_folder(REPO, &home.folder);
    let args = ["convert", "hf:org/model", "-t", "q8_0", "-o", "out.gguf"];
    // The hub has a file more, for which there is no place.
    fs::remove_file(home.snapshot().join("README.md")).unwrap();
    let offline = home.offline(&args);
    assert!(offline.status.success(), "{}", text(&offline.stderr));
    let expected = take(&home.path("out.gguf"));
    fs::write(home.path("home/hub/.locks"), "").unwrap();
    let before = home.state();
    let run = home.run(&hub.endpoint(), &[], &args);
    let said = text(&run.stderr);
    assert!(run.status.success(), "{said}");
    assert!(take(&home.path("out.gguf")) == expected);
    assert!(
        said.starts_with("note: hf:org/model is as the cache has it: cannot use `"),
        "{said}"
    );
    assert_eq!(home.state(), before);

    // Nothing is taken in the place of weights.
    remove(&home, "model-00002-of-00002.safetensors");
    let run = home.run(&hub.endpoint(), &[], &args);
    let said = text(&run.stderr);
    assert_eq!(run.status.code(), Some(1));
    assert!(said.starts_with("error: cannot use `"), "{said}");
    assert!(
        said.ends_with("HF_HUB_CACHE can name another folder for the cache\n"),
        "{said}"
    );
}
