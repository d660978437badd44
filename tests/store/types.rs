//! A repository of GGUF files, from which one is chosen.

use std::fs;

use super::Home;
use crate::{
    hub::server::{Content, File, Hub},
    support::{convert, converted, text},
};

/// A hub with a model at several types, one of them in parts.
fn hub() -> (Hub, Home) {
    let hub = Hub::start();
    let home = Home::new(&hub.endpoint());
    let source = home.checkpoint("Moe");
    let put = |name: &str, bytes: Vec<u8>| {
        hub.put(
            "org/ggufs",
            name,
            File::large_of(Content::Bytes(bytes.into())),
        );
    };
    for ty in ["Q4_K_M", "Q4_K_S", "Q5_K_M", "BF16"] {
        let bytes = converted(&source, &home.path("x.gguf"), &["-t", ty, "-f"]);
        put(&format!("m-{ty}.gguf"), bytes);
    }
    let other = ["-t", "q4_k_s", "--attn-type", "q8_0", "-f"];
    put(
        "m-UD-Q4_K_XL.gguf",
        converted(&source, &home.path("x.gguf"), &other),
    );
    let args = ["-t", "q6_k", "--split-max-size", "1M"];
    let split = convert(&source, &home.path("m-Q6_K.gguf"), &args);
    assert!(split.status.success(), "{}", text(&split.stderr));
    for entry in fs::read_dir(home.dir.path()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.starts_with("m-Q6_K-") {
            put(&format!("Q6_K/{name}"), fs::read(home.path(&name)).unwrap());
        }
    }
    (hub, home)
}

#[test]
fn one_is_picked_by_its_type() {
    let (hub, home) = hub();
    let said = home.runs("hf:org/ggufs:q4_k_m", &[]);
    assert!(said.starts_with("fetching `m-Q4_K_M.gguf`"), "{said}");
    assert_eq!(home.runs("hf:org/ggufs:Q4_K_M", &[]), "");
    assert_eq!(home.runs("hf:org/ggufs", &["--type", "Q4_K_M"]), "");
    let said = home.runs("hf:org/ggufs:UD-Q4_K_XL", &[]);
    assert!(said.starts_with("fetching `m-UD-Q4_K_XL.gguf`"), "{said}");
    // All parts of it.
    let said = home.runs("hf:org/ggufs:Q6_K", &[]);
    assert!(said.lines().count() > 1, "{said}");
    assert!(
        said.lines()
            .all(|line| line.starts_with("fetching `Q6_K/m-Q6_K-000")),
        "{said}"
    );
    // As everything that takes a GGUF has it.
    let inspect = home
        .command(&["inspect", "hf:org/ggufs:q4_k_m"])
        .output()
        .unwrap();
    assert!(inspect.status.success(), "{}", text(&inspect.stderr));
    assert!(text(&inspect.stdout).contains("Q4_K_M"));
    drop(hub);
    let mut offline = home.run_command("hf:org/ggufs:Q6_K", &[]);
    let offline = offline.env("HF_HUB_OFFLINE", "1").output().unwrap();
    assert!(offline.status.success(), "{}", text(&offline.stderr));
}

#[test]
fn what_cannot_be_picked() {
    let (hub, home) = hub();
    hub.put("org/ggufs", "other-Q4_K_M.gguf", File::large(1000, 1));
    hub.put("org/nothing", "README.md", File::small("x"));
    for (model, args, expected) in [
        (
            "hf:org/ggufs:Q4_K_M",
            &[][..],
            "`hf:org/ggufs:Q4_K_M`: several files are of that type, name one of them: `m-Q4_K_M.gguf`, `other-Q4_K_M.gguf`",
        ),
        (
            "hf:org/ggufs:Q2_K",
            &[],
            "`hf:org/ggufs:Q2_K`: it has no GGUF file of that type: it has `Q6_K/m-Q6_K-00001-of-00002.gguf`, `m-BF16.gguf`, `m-Q4_K_M.gguf`, `m-Q4_K_S.gguf` and 3 more",
        ),
        (
            "hf:org/ggufs",
            &["--type", "q2_k"],
            "`hf:org/ggufs:Q2_K`: it has no GGUF file of that type: it has `Q6_K/m-Q6_K-00001-of-00002.gguf`, `m-BF16.gguf`, `m-Q4_K_M.gguf`, `m-Q4_K_S.gguf` and 3 more",
        ),
        (
            "hf:org/ggufs",
            &["--search", "best"],
            "`--search` is for what is converted, and `hf:org/ggufs` holds GGUF files",
        ),
        (
            "hf:org/nothing",
            &[],
            "hf:org/nothing has no file `config.json`: it has 1 file, none of them `.json`",
        ),
        (
            "hf:org/nothing:Q8_0",
            &[],
            "`hf:org/nothing:Q8_0`: it has no GGUF file",
        ),
    ] {
        assert_eq!(home.fails(model, args), expected, "{model} {args:?}");
    }
}

#[test]
fn the_largest_that_fits_is_taken_and_then_the_one_that_is_here() {
    let (hub, home) = hub();
    let said = home.runs("hf:org/ggufs", &[]);
    assert!(
        said.starts_with(
            "Q6_K/m-Q6_K-00001-of-00002.gguf is the largest file that fits: it takes "
        ),
        "{said}"
    );
    assert_eq!(
        home.runs("hf:org/ggufs", &[]),
        "`Q6_K/m-Q6_K-00001-of-00002.gguf` is here, and fits\n"
    );
    let mut offline = home.run_command("hf:org/ggufs", &[]);
    drop(hub);
    let offline = offline.env("HF_HUB_OFFLINE", "1").output().unwrap();
    assert!(offline.status.success(), "{}", text(&offline.stderr));
    assert!(home.names().is_empty());
}
