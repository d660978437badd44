//! What the cache has whole is taken without the hub: caches written here as the library writes them,
//! and a hub that is gone.

mod missing;
mod whole;

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
    server::{COMMIT, Content, File, Hub},
};
use crate::support::{checkpoint, small_moe, text};

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
    for name in [
        "HF_HUB_CACHE",
        "HUGGINGFACE_HUB_CACHE",
        "TRANSFORMERS_CACHE",
    ] {
        let run = program(NOWHERE, &home.path("nowhere"))
            .env_remove("HF_HOME")
            .env("HF_HUB_OFFLINE", "1")
            .env(name, &hub)
            .args(["convert", "hf:org/model", "--dry-run"])
            .output()
            .unwrap();
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
