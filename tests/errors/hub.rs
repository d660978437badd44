//! Errors of `src/hub`: those of a hub are asked of the tests' own, which is told what to get wrong.

mod cache;

use std::{
    path::Path,
    sync::{Arc, atomic::AtomicBool},
};

use swallow_gguf::{
    hub::{
        Cache, Client, Config, HubError, NotCached, Options, Repo, RepoFile, RetryPolicy, Snapshot,
        Token,
    },
    source::{Checkpoint, SourceError},
};

use super::{Section, variants};
use crate::hub::server::{Fault, File, Hub, On};

variants!(HubError {
    Name,
    Config,
    Offline,
    Refused,
    NoSuchFile,
    NotACheckpoint,
    Pointer,
    GaveUp,
    Changed,
    Malformed,
    TooLarge,
    Damaged,
    Io,
    NoSpace,
    Interrupted,
});

variants!(NotCached {
    Repository,
    Revision,
    Ref,
    Snapshot,
    File,
    Weights,
    Link,
    NotTheFile,
});

const OTHER_COMMIT: &str = "89abcdef0123456789abcdef0123456789abcdef";

pub(super) fn errors(list: &mut Section) {
    list.want::<HubError>();
    list.want::<NotCached>();
    names(list);
    settings(list);

    let hub = Hub::start();
    let endpoint = hub.endpoint();
    list.call(&endpoint, "https://HUB");
    list.call(endpoint.trim_start_matches("http://"), "HUB");
    fill(&hub);
    let cache = list.dir().join("cache");
    let client = client(&hub, &cache, None);
    refusals(list, &hub, &cache);
    other_things(list, &client);
    answers(list, &hub, &client);
    on_this_side(list, &hub, &client);
    cache::errors(list, &hub);
}

fn fill(hub: &Hub) {
    hub.put("org/model", "config.json", File::small("{}"));
    hub.put("org/model", "model.safetensors", File::large(2000, 7));
    hub.put("org/gated", "config.json", File::small("{}"));
    hub.guard("org/gated", "hf_secret", true);
    for name in ["m-Q4_K_M.gguf", "m-Q8_0.gguf"] {
        hub.put("org/ggufs", name, File::small("GGUF"));
    }
    let adapter = r#"{"peft_type": "LORA", "base_model_name_or_path": "org/model"}"#;
    hub.put("org/adapter", "adapter_config.json", File::small(adapter));
    hub.put("org/pickles", "config.json", File::small("{}"));
    hub.put("org/pickles", "pytorch_model.bin", File::small("x"));
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d\nsize 7\n";
    hub.put("org/pointer", "config.json", File::small(pointer));
    hub.put("org/pointer", "model.safetensors", File::large(2000, 7));
}

fn client(hub: &Hub, cache: &Path, token: Option<&str>) -> Client {
    let config = Config {
        token: token.and_then(|text| Token::new(text, "HF_TOKEN").unwrap()),
        cache: cache.into(),
        ..crate::hub::config(hub)
    };
    Client::new(config, crate::hub::hasty(), Arc::default())
}

fn repo(text: &str) -> Repo {
    Repo::parse(text, "https://huggingface.co").unwrap()
}

fn snapshot(client: &Client) -> Snapshot {
    client.snapshot(&repo("hf:org/model")).unwrap()
}

/// What a user writes.
fn names(list: &mut Section) {
    for (case, text) in [
        ("nothing behind `hf:`", "hf:"),
        ("a character that no name has", "hf:org/мodel"),
        ("a name that is a path", "hf:../model"),
        ("an ending of git's", "hf:org/model.git"),
        ("a revision that git would not take", "hf:org/model@v1..v2"),
        ("a file for a repository", "hf:org/model:model.gguf"),
        ("ollama's name for a repository", "hf.co/org/model:Q4_K_M"),
        (
            "the page of a file",
            "https://huggingface.co/org/model/blob/main/config.json",
        ),
        (
            "the page of a data set",
            "https://huggingface.co/datasets/org/data",
        ),
        (
            "the page of something else",
            "https://example.org/org/model",
        ),
    ] {
        list.add(
            case,
            Repo::parse(text, "https://huggingface.co").unwrap_err(),
        );
    }
    for (case, text) in [
        ("a repository for a file", "hf:org/model"),
        ("llama.cpp's name for a file", "org/model:Q4_K_M"),
        ("a file behind a slash", "hf:org/model/model.gguf"),
        (
            "a path that leaves the repository",
            "hf:org/model:../model.gguf",
        ),
        ("a file without a repository", "model.gguf"),
    ] {
        list.add(case, RepoFile::parse(text).unwrap_err());
    }
}

/// What the environment says.
fn settings(list: &mut Section) {
    let home = list.dir().to_owned();
    std::fs::write(home.join("token"), "two words").unwrap();
    let of = |name: &str, value: &str, home: Option<&Path>| {
        let var = |asked: &str| (asked == name).then(|| value.to_owned());
        Config::from_vars(&var, home).unwrap_err()
    };
    list.add(
        "an address without a scheme",
        of("HF_ENDPOINT", "hub.example", Some(&home)),
    );
    list.add(
        "a token of two lines",
        of("HF_TOKEN", "hf_a\nhf_b", Some(&home)),
    );
    list.add(
        "a token file with something else",
        of("HF_HOME", &home.to_string_lossy(), None),
    );
    list.add(
        "a token file that is a folder",
        of("HF_TOKEN_PATH", &home.to_string_lossy(), Some(&home)),
    );
    list.add("no home", of("", "", None));
}

/// The hub's no.
fn refusals(list: &mut Section, hub: &Hub, cache: &Path) {
    let ask = |token: Option<&str>, name: &str| {
        let error = client(hub, cache, token).snapshot(&repo(name));
        error.unwrap_err()
    };
    list.add("a repository that is not there", ask(None, "hf:org/none"));
    list.add(
        "the same, with a token",
        ask(Some("hf_other"), "hf:org/none"),
    );
    list.add("a gated repository", ask(None, "hf:org/gated"));
    list.add(
        "the same, with a token of someone else",
        ask(Some("hf_other"), "hf:org/gated"),
    );
    list.add("a branch that is not there", ask(None, "hf:org/model@v9"));
    for (case, status, headers) in [
        (
            "a token that has expired",
            401,
            vec![(
                "X-Error-Message",
                "Invalid credentials in Authorization header",
            )],
        ),
        ("no, without a word", 418, vec![]),
    ] {
        let headers = headers
            .into_iter()
            .map(|(name, value)| (name, value.to_owned()));
        hub.fail(On::Info, 1, Fault::Status(status, headers.collect()));
        list.add(case, ask(Some("hf_other"), "hf:org/model"));
    }
    let client = client(hub, cache, None);
    let snapshot = snapshot(&client);
    let gone = vec![("X-Error-Code", "EntryNotFound".to_owned())];
    hub.fail(On::Head, 1, Fault::Status(404, gone));
    let error = client.open(&snapshot, "model.safetensors");
    list.add("a file that is gone", error.unwrap_err());
}

/// Repositories that hold something else than what is asked for.
fn other_things(list: &mut Section, client: &Client) {
    let open = |name: &str| match Checkpoint::open_hub(client, &repo(name)) {
        Err(SourceError::Hub(error)) => error,
        other => panic!("{name}: {other:?}"),
    };
    for (case, name) in [
        ("a repository of GGUF files", "hf:org/ggufs"),
        ("an adapter", "hf:org/adapter"),
        ("pickles", "hf:org/pickles"),
        ("a pointer on the hub", "hf:org/pointer"),
    ] {
        list.add(case, open(name));
    }
    let ggufs = client.snapshot(&repo("hf:org/ggufs")).unwrap();
    let missing = |path: &str| ggufs.file(path).unwrap_err();
    list.add("a file by its tag", missing("Q4_K_M"));
    list.add("a file by nearly its name", missing("m-q8_0.gguf"));
    list.add("a file of another kind", missing("config.json"));
}

/// Answers that cannot be believed, or do not come.
fn answers(list: &mut Section, hub: &Hub, client: &Client) {
    let open = |fault: Fault| {
        hub.fail(On::Head, 1, fault);
        client
            .open(&snapshot(client), "model.safetensors")
            .unwrap_err()
    };
    list.add("another commit", open(Fault::Commit(OTHER_COMMIT)));
    list.add("another file", open(Fault::LinkedEtag("abc")));
    list.add(
        "an answer of some other server",
        open(Fault::Status(200, vec![("ETag", "\"abc\"".into())])),
    );
    hub.fail(On::Info, 1, Fault::Status(200, Vec::new()));
    let error = client.snapshot(&repo("hf:org/model"));
    list.add("an empty answer", error.unwrap_err());
    hub.fail(On::Info, 99, Fault::Status(503, Vec::new()));
    let error = client.snapshot(&repo("hf:org/other"));
    list.add("a hub that is out of order", error.unwrap_err());
    hub.stop_failing();
    let wait = vec![("Retry-After", "3600".to_owned())];
    hub.fail(On::Info, 1, Fault::Status(429, wait));
    let error = client.snapshot(&repo("hf:org/other"));
    list.add("a hub that asks to wait for an hour", error.unwrap_err());

    let fetch = |limit: u64| client.fetch(&snapshot(client), "model.safetensors", limit);
    hub.fail(On::Cdn, 1, Fault::Flipped);
    list.add("a flipped bit", fetch(2000).unwrap_err());
    list.add("a file too large to be read whole", fetch(100).unwrap_err());
}

/// What goes wrong here.
fn on_this_side(list: &mut Section, hub: &Hub, client: &Client) {
    let stopped = Client::new(
        client.config().clone(),
        RetryPolicy::default(),
        Arc::new(AtomicBool::new(true)),
    );
    let error = stopped.snapshot(&repo("hf:org/model"));
    list.add("Ctrl-C", error.unwrap_err());

    let taken = list.dir().join("taken");
    std::fs::write(&taken, "a file").unwrap();
    let error = Cache::new(&taken).download(
        &self::client(hub, &taken, None),
        &snapshot(client),
        &["config.json"],
        &Options::default(),
        &|_| {},
    );
    list.add("a cache that is a file", error.unwrap_err());
    // No disk of a test is full.
    list.add(
        "a full disk",
        HubError::NoSpace {
            dir: list.dir().join("cache/models--org--model"),
            needed: 13_090_000_000,
            available: 2_100_000_000,
        },
    );
}
