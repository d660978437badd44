//! `swallow-gguf run -m hf:…` from outside.

use std::{path::Path, process::Output};

use super::{
    REPO,
    server::{Content, Fault, File, Hub, On},
};
use crate::support::{checkpoint, converted, small_moe, swallow_gguf, text};

fn run(hub: &Hub, cache: &Path, model: &str, vars: &[(&str, &str)]) -> Output {
    let mut command = swallow_gguf();
    for name in [
        "HF_TOKEN",
        "HF_TOKEN_PATH",
        "HF_HUB_OFFLINE",
        "HF_HUB_CACHE",
        "TRANSFORMERS_OFFLINE",
    ] {
        command.env_remove(name);
    }
    command
        .args([
            "run", "-t", "1", "--raw", "--temp", "0", "-n", "4", "-p", "", "-m", model,
        ])
        .env("HF_ENDPOINT", hub.endpoint())
        .env("HF_HOME", cache)
        .envs(vars.iter().copied())
        .output()
        .unwrap()
}

#[test]
fn a_model_of_the_hub_is_fetched_once_and_run() {
    let dir = tempfile::tempdir().unwrap();
    let source = checkpoint(dir.path(), "source", &small_moe());
    let bytes = converted(&source, &dir.path().join("x.gguf"), &["-t", "q8_0"]);
    let hub = Hub::start();
    let size = bytes.len();
    hub.put(REPO, "x.gguf", File::large_of(Content::Bytes(bytes.into())));
    let local = run(
        &hub,
        dir.path(),
        dir.path().join("x.gguf").to_str().unwrap(),
        &[],
    );
    assert!(local.status.success(), "{}", text(&local.stderr));
    assert!(hub.seen().is_empty());

    let name = "hf:org/model:x.gguf";
    hub.fail(On::Cdn, 1, Fault::Short(100_000));
    let fetched = run(&hub, dir.path(), name, &[]);
    let stderr = text(&fetched.stderr);
    assert!(fetched.status.success(), "{stderr}");
    assert_eq!(fetched.stdout, local.stdout);
    assert!(stderr.starts_with("fetching `x.gguf`, "), "{stderr}");
    assert!(hub.is_done_failing());
    assert!(hub.sent() > size as u64);

    let before = hub.sent();
    let again = run(&hub, dir.path(), name, &[]);
    assert_eq!(
        (again.stdout, text(&again.stderr)),
        (local.stdout, String::new())
    );
    assert!(hub.sent() - before < 5000);
    let seen = hub.seen().len();
    assert!(
        run(&hub, dir.path(), name, &[("HF_HUB_OFFLINE", "1")])
            .status
            .success()
    );
    assert_eq!(hub.seen().len(), seen);

    drop(hub);
    let hub = Hub::start();
    hub.fail(On::Info, 99, Fault::Reset(None));
    let unreachable = run(&hub, dir.path(), name, &[]);
    assert!(unreachable.status.success());
    assert_eq!(
        text(&unreachable.stderr),
        "the hub cannot be reached, `x.gguf` is as the cache has it\n"
    );
}

#[test]
fn what_cannot_be_fetched() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Hub::start();
    hub.put(REPO, "x.gguf", File::small("no GGUF"));
    let end = hub.endpoint();
    type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], String);
    let cases: [Case<'_>; 5] = [
        (
            "hf:org/model",
            &[],
            "`hf:org/model`: expected `hf:ORG/NAME[@REVISION]:FILE`, found no `:FILE`".into(),
        ),
        (
            "hf:org/model:y.gguf",
            &[],
            "hf:org/model has no file `y.gguf`: it has `x.gguf`".into(),
        ),
        (
            "hf:org/none:x.gguf",
            &[("HF_TOKEN", "hf_secret")],
            format!(
                "the hub refuses hf:org/none: Repository not found (HTTP 401): look at {end}/org/none; where it is private, the token (HF_TOKEN or the token file) must belong to an account that may read it"
            ),
        ),
        (
            "hf:org/model:x.gguf",
            &[("HF_ENDPOINT", "nowhere")],
            "HF_ENDPOINT is `nowhere`, expected an address such as `https://huggingface.co`".into(),
        ),
        (
            "hf:org/model:x.gguf",
            &[("HF_HUB_OFFLINE", "1")],
            format!(
                "HF_HUB_OFFLINE is set, and the cache `{}` does not have `x.gguf` of hf:org/model: unset it to fetch from the hub",
                dir.path().join("hub").display()
            ),
        ),
    ];
    for (model, vars, expected) in cases {
        let run = run(&hub, dir.path(), model, vars);
        assert_eq!(
            text(&run.stderr),
            format!("error: {expected}\n"),
            "{model} {vars:?}"
        );
        assert_eq!(run.status.code(), Some(1));
        assert!(run.stdout.is_empty());
    }
    assert!(
        hub.seen()
            .iter()
            .any(|seen| seen.authorization.as_deref() == Some("Bearer hf_secret"))
    );
}
