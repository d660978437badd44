//! A checkpoint on the hub.

use std::{fs, time::Duration};

use super::{Home, stamp};
use crate::{
    hub::server::{Content, Fault, File, Hub, On},
    support::converted,
};

/// A commit after the first.
const NEXT: &str = "abcdef0123456789abcdef0123456789abcdef01";

/// A hub with a checkpoint, and a home.
fn hub() -> (Hub, Home) {
    let hub = Hub::start();
    let home = Home::new(&hub.endpoint());
    hub.put_folder("org/moe", &home.checkpoint("Moe"));
    (hub, home)
}

#[test]
fn it_is_converted_once_and_runs_without_the_hub() {
    let (hub, mut home) = hub();
    let first = home.run("hf:org/moe", &[]);
    assert_eq!(first.code, Some(0), "{first:?}");
    assert!(first.stderr.contains("converting "), "{first:?}");
    let file = home.file();
    let before = (stamp(&file), hub.seen().len());
    let name = home.names().remove(0);
    let here = format!("`{name}` is in the store, and fits\n");

    // One question, and no more.
    assert_eq!(home.runs("hf:org/moe", &[]), here);
    let asked = hub.seen().split_off(before.1);
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert!(
        asked[0]
            .target
            .starts_with("/api/models/org/moe/revision/main")
    );
    // The page of a browser is the same.
    let page = format!("{}/org/moe", hub.endpoint());
    assert_eq!(home.runs(&page, &[]), here);

    let seen = hub.seen().len();
    let mut offline = home.run_command("hf:org/moe", &[]);
    let offline = offline.env("HF_HUB_OFFLINE", "1").output().unwrap();
    assert!(offline.status.success());
    assert_eq!(crate::support::text(&offline.stderr), here);
    assert_eq!(hub.seen().len(), seen);
    assert_eq!(home.runs(&name, &[]), "");
    assert_eq!(hub.seen().len(), seen);

    home.endpoint = "http://127.0.0.1:9".into();
    let said = home.runs("hf:org/moe", &[]);
    assert!(
        said.starts_with("the hub does not tell whether hf:org/moe has changed, what the store has is taken: 127.0.0.1:9"),
        "{said}"
    );
    assert_eq!(said.lines().count(), 2, "{said}");
    assert_eq!(stamp(&file), before.0);
}

#[test]
fn a_hub_that_is_silent_is_not_waited_for() {
    let (hub, home) = hub();
    home.runs("hf:org/moe", &[]);
    hub.set_latency(Duration::from_secs(600));
    let said = home.runs("hf:org/moe", &[]);
    assert!(said.contains("what the store has is taken: "), "{said}");
    hub.set_latency(Duration::ZERO);
    hub.fail(On::Info, 9, Fault::Status(401, Vec::new()));
    let said = home.runs("hf:org/moe", &[]);
    assert!(
        said.contains("what the store has is taken: the hub refuses"),
        "{said}"
    );
}

#[test]
fn another_commit_is_converted_anew() {
    let (hub, home) = hub();
    home.runs("hf:org/moe", &["--type", "q4_k_m"]);
    let old = fs::read(home.file()).unwrap();
    hub.move_to(NEXT);
    let said = home.runs("hf:org/moe", &["--type", "q4_k_m"]);
    assert!(
        said.contains(
            "`hf:org/moe` from commit 0123456789ab to abcdef012345 has changed: converting it anew"
        ),
        "{said}"
    );
    assert_eq!(home.names().len(), 1);
    // The same weights, of which nothing tells the commit.
    assert_eq!(fs::read(home.file()).unwrap().len(), old.len());
    assert_eq!(home.runs("hf:org/moe", &["--type", "q4_k_m"]), "");
    // At its commit it never changes, and is another source.
    let pinned = format!("hf:org/moe@{NEXT}");
    home.runs(&pinned, &["--type", "q4_k_m"]);
    let seen = hub.seen().len();
    assert_eq!(home.runs(&pinned, &["--type", "q4_k_m"]), "");
    assert_eq!(hub.seen().len(), seen);
}

#[test]
fn a_type_behind_the_name_is_a_gguf_where_there_is_one() {
    let (hub, home) = hub();
    let gguf = converted(&home.path("Moe"), &home.path("x.gguf"), &["-t", "q4_k_m"]);
    hub.put(
        "org/moe",
        "Moe-Q4_K_M.gguf",
        File::large_of(Content::Bytes(gguf.into())),
    );
    let said = home.runs("hf:org/moe:q4_k_m", &[]);
    assert!(said.starts_with("fetching `Moe-Q4_K_M.gguf`"), "{said}");
    assert!(home.names().is_empty());
    let said = home.runs("hf:org/moe:Q6_K", &[]);
    assert!(said.contains("(Q6_K, "), "{said}");
    // Without one the checkpoint is meant.
    assert!(
        home.runs("hf:org/moe", &[])
            .contains("-Q6_K` is in the store")
    );
    assert_eq!(
        home.fails("hf:org/moe:Q6_K", &["--type", "q8_0"]),
        "`hf:org/moe:Q6_K` asks for Q6_K, and `--type` for Q8_0: expected one of them"
    );
    assert_eq!(
        home.fails("hf:org/moe:Q9", &[]),
        "`hf:org/moe:Q9`: it has no GGUF file of that type: it has `Moe-Q4_K_M.gguf`"
    );
}
