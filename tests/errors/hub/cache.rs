//! What the cache does not have, alone and as it is told of a command.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use swallow_gguf::{
    hub::{Cache, Client, Config, HubError, Options, RepoFile},
    source::{Checkpoint, SourceError},
};

use super::{OTHER_COMMIT, Section, repo};
use crate::hub::server::{COMMIT, Fault, Hub, On};

/// A cache with a model that has a config, of two shards the first, and a GGUF.
struct Cached {
    root: PathBuf,
}

impl Cached {
    fn new(dir: &Path) -> Self {
        let root = dir.join("hub");
        let cached = Self { root };
        fs::create_dir_all(cached.snapshot()).unwrap();
        for name in [
            "config.json",
            "model-00001-of-00002.safetensors",
            "m-Q8_0.gguf",
        ] {
            cached.put(name, "{}");
        }
        cached.refer("main", COMMIT);
        cached.refer("v1", COMMIT);
        cached
    }

    fn repository(&self) -> PathBuf {
        self.root.join("models--org--model")
    }

    fn snapshot(&self) -> PathBuf {
        self.repository().join("snapshots").join(COMMIT)
    }

    fn put(&self, name: &str, text: &str) {
        fs::write(self.snapshot().join(name), text).unwrap();
    }

    fn refer(&self, revision: &str, to: &str) {
        fs::create_dir_all(self.repository().join("refs")).unwrap();
        fs::write(self.repository().join("refs").join(revision), to).unwrap();
    }

    fn open(&self, client: &Client) -> HubError {
        match Checkpoint::open_hub(client, &repo("hf:org/model")) {
            Err(SourceError::Hub(error)) => error,
            other => panic!("{other:?}"),
        }
    }
}

pub(super) fn errors(list: &mut Section, hub: &Hub) {
    let dir = list.dir().to_owned();
    let cached = Cached::new(&dir);
    let cache = Cache::new(&cached.root);
    let of = |name: &str| cache.snapshot(&repo(name));
    list.add("not in the cache", of("hf:other/thing").unwrap_err());
    list.add("nearly in the cache", of("hf:Org/model2").unwrap_err());
    list.add("at another revision", of("hf:org/model@v2").unwrap_err());
    list.add(
        "at another commit",
        of(&format!("hf:org/model@{OTHER_COMMIT}")).unwrap_err(),
    );
    for (case, text) in [
        ("an empty ref", ""),
        ("a ref that is none", "<html>"),
        ("a ref to what is not there", OTHER_COMMIT),
    ] {
        cached.refer("main", text);
        list.add(case, of("hf:org/model").unwrap_err());
    }
    cached.refer("main", COMMIT);

    let model = of("hf:org/model").unwrap();
    let file = |name: &str| model.file(name).unwrap_err();
    list.add("a file that is not there", file("tokenizer.model"));
    list.add("a GGUF by its tag", file("Q8_0"));
    fs::create_dir(cached.snapshot().join("sub.gguf")).unwrap();
    list.add("a folder", file("sub.gguf"));
    cached.put(
        "tokenizer.json",
        "version https://git-lfs.github.com/spec/v1\noid sha256:4d\nsize 7\n",
    );
    list.add("a pointer", file("tokenizer.json"));
    fs::remove_file(cached.snapshot().join("tokenizer.json")).unwrap();
    link_to_nothing(list, &cached, &model.dir.join("generation_config.json"));

    let settings = |offline| Config {
        cache: cached.root.clone(),
        offline,
        ..crate::hub::config(hub)
    };
    let client = |offline| Client::new(settings(offline), crate::hub::hasty(), Arc::default());
    for variable in ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"] {
        list.add(
            "a shard that is missing, offline",
            cached.open(&client(Some(variable))),
        );
    }
    hub.fail(On::Info, 99, Fault::Status(503, Vec::new()));
    list.add(
        "the same, with a hub that is out of order",
        cached.open(&client(None)),
    );
    hub.stop_failing();
    let gone = vec![("X-Error-Code", "RepoNotFound".to_owned())];
    hub.fail(On::Info, 1, Fault::Status(404, gone));
    let config = RepoFile::parse("hf:org/model:config.json").unwrap();
    let error = cache.fetch(&client(None), &config, &Options::default(), &|_| {});
    list.add(
        "a repository that is gone, and in the cache",
        error.unwrap_err(),
    );
    fs::remove_file(cached.snapshot().join("model-00001-of-00002.safetensors")).unwrap();
    fs::remove_file(cached.snapshot().join("m-Q8_0.gguf")).unwrap();
    fs::remove_dir(cached.snapshot().join("sub.gguf")).unwrap();
    list.add("no weights", model.without_weights());
    list.add(
        "the same, offline",
        cached.open(&client(Some("HF_HUB_OFFLINE"))),
    );
    list.add(
        "the hub asked all the same, offline",
        client(Some("HF_HUB_OFFLINE"))
            .snapshot(&repo("hf:org/model"))
            .unwrap_err(),
    );
}

#[cfg(unix)]
fn link_to_nothing(list: &mut Section, cached: &Cached, link: &Path) {
    std::os::unix::fs::symlink("../../blobs/4d4d", link).unwrap();
    let model = Cache::new(&cached.root).snapshot(&repo("hf:org/model"));
    list.add(
        "a link to nothing",
        model.unwrap().file("generation_config.json").unwrap_err(),
    );
    fs::remove_file(link).unwrap();
}

#[cfg(not(unix))]
fn link_to_nothing(list: &mut Section, _: &Cached, link: &Path) {
    let error = swallow_gguf::hub::NotCached::Link {
        path: link.into(),
        target: "../../blobs/4d4d".into(),
    };
    list.add("a link to nothing", error);
}
