//! Names of the hub as other programs have them, and things in the wrong place: told with what to
//! write.

use std::{fs, path::Path, process::Output};

use tempfile::TempDir;

use super::{
    program,
    server::{File, Hub},
};
use crate::support::{checkpoint, converted, small_moe, text};

struct Place {
    dir: TempDir,
    endpoint: String,
}

impl Place {
    fn new(endpoint: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("x.gguf"), "no GGUF").unwrap();
        Self {
            dir,
            endpoint: endpoint.into(),
        }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn run(&self, args: &[&str]) -> Output {
        program(&self.endpoint, &self.path().join("home"))
            .current_dir(self.path())
            .args(args)
            .output()
            .unwrap()
    }

    /// What is said of what cannot be.
    fn refused(&self, args: &[&str]) -> String {
        let run = self.run(args);
        let said = text(&run.stderr);
        assert!(!run.status.success(), "{args:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{args:?}: {said}");
        assert!(run.stdout.is_empty());
        said.trim_end().trim_start_matches("error: ").to_owned()
    }
}

/// An address that is not asked: what is meant is told by the name alone.
const NOWHERE: &str = "http://127.0.0.1:9";

#[test]
fn a_repository_is_meant_where_a_checkpoint_is_wanted() {
    let place = Place::new(NOWHERE);
    let gguf = ", for `run` and `quantize`";
    for (given, prefix, hint) in [
        (
            "org/m",
            "there is no such folder, ",
            "did you mean `hf:org/m`?".to_owned(),
        ),
        (
            "org/m-7b@v1",
            "there is no such folder, ",
            "did you mean `hf:org/m-7b@v1`?".into(),
        ),
        (
            "org/m:Q4_K_M",
            "there is no such folder, ",
            format!(
                "did you mean the checkpoint `hf:org/m`? A GGUF of it is `hf:org/m:Q4_K_M`{gguf}"
            ),
        ),
        (
            "hf.co/org/m:Q4_K_M",
            "",
            format!(
                "did you mean the checkpoint `hf:org/m`? A GGUF of it is `hf:org/m:Q4_K_M`{gguf}"
            ),
        ),
        (
            "huggingface.co/org/m",
            "",
            "did you mean `hf:org/m`?".into(),
        ),
        ("hf://org/m", "", "did you mean `hf:org/m`?".into()),
        (
            "https://huggingface.co/org/m/blob/main/config.json",
            "",
            "did you mean `hf:org/m`?".into(),
        ),
        (
            "https://hf.co/org/m/resolve/v2/m.gguf?download=true",
            "",
            format!(
                "did you mean the checkpoint `hf:org/m@v2`? A GGUF of it is `hf:org/m@v2:m.gguf`{gguf}"
            ),
        ),
        (
            "hf:org/m:m.gguf",
            "",
            format!(
                "did you mean the checkpoint `hf:org/m`? A GGUF of it is `hf:org/m:m.gguf`{gguf}"
            ),
        ),
    ] {
        let expected = format!("`{given}`: {prefix}{hint}");
        assert_eq!(place.refused(&["convert", given]), expected);
        assert_eq!(place.refused(&["convert", given, "--download"]), expected);
        assert_eq!(
            place.refused(&["verify", "x.gguf", "--against", given]),
            expected
        );
        // A parent may be named as mergekit does.
        if !given.starts_with("org/m") || given.contains(':') {
            let yaml = format!(
                "base_model: \"{given}\"\ngate_mode: random\nexperts: [{{source_model: \"{given}\"}}, {{source_model: \"{given}\"}}]\n"
            );
            fs::write(place.path().join("recipe.yml"), yaml).unwrap();
            let said = place.refused(&["merge", "recipe.yml"]);
            assert!(said.starts_with(&format!("parent `{given}`: ")), "{said}");
            assert!(said.ends_with(&hint), "{given}: {said}");
        }
    }
}

#[test]
fn a_file_is_meant_where_a_gguf_is_wanted() {
    let place = Place::new(NOWHERE);
    for (given, hint) in [
        (
            "org/m",
            "there is no such file, did you mean a file of `hf:org/m`? It is named `hf:org/m:FILE`",
        ),
        (
            "hf:org/m",
            "did you mean a file of `hf:org/m`? It is named `hf:org/m:FILE`",
        ),
        (
            "org/m:Q4_K_M",
            "there is no such file, did you mean `hf:org/m:Q4_K_M`?",
        ),
        (
            "hf.co/org/m:latest",
            "there is no such file, did you mean `hf:org/m:latest`?",
        ),
        (
            "org/m/m.gguf",
            "there is no such file, did you mean `hf:org/m:m.gguf`?",
        ),
        ("hf:org/m/m.gguf", "did you mean `hf:org/m:m.gguf`?"),
        (
            "https://huggingface.co/org/m/blob/v1/sub/m.gguf",
            "there is no such file, did you mean `hf:org/m@v1:sub/m.gguf`?",
        ),
    ] {
        let expected = format!("`{given}`: {hint}");
        for args in [
            &["quantize", given][..],
            &["inspect", given],
            &["verify", given],
            &["diff", "x.gguf", given],
            &["diff", given, "x.gguf"],
        ] {
            assert_eq!(place.refused(args), expected, "{args:?}");
        }
        // A repository is as good there.
        if given != "hf:org/m" {
            let whole = "did you mean a file of `hf:org/m`? It is named `hf:org/m:FILE`";
            let hint = hint.replace(whole, "did you mean `hf:org/m`?");
            let hint = hint.trim_start_matches("there is no such file, ");
            let said = place.refused(&["run", "-p", "x", given]);
            assert!(
                said.starts_with(&format!("`{given}`: ")) && said.ends_with(hint),
                "{said}"
            );
        }
    }
}

#[test]
fn a_path_stays_one() {
    let place = Place::new(NOWHERE);
    fs::create_dir(place.path().join("models")).unwrap();
    for given in [
        "models/m",
        "./org/m",
        "../org/m",
        "m",
        "models/x.gguf",
        "org/x.gguf",
    ] {
        for args in [
            &["convert", given][..],
            &["quantize", given],
            &["verify", "x.gguf", "--against", given],
        ] {
            let said = text(&place.run(args).stderr) + &text(&place.run(args).stdout);
            assert!(!said.contains("hf:"), "{args:?}: {said}");
        }
    }
}

#[test]
fn a_folder_in_the_place_of_a_gguf() {
    let place = Place::new(NOWHERE);
    checkpoint(place.path(), "checkpoint", &small_moe());
    fs::create_dir(place.path().join("ggufs")).unwrap();
    for name in ["a.gguf", "b.gguf"] {
        fs::write(place.path().join("ggufs").join(name), "").unwrap();
    }
    for (given, expected) in [
        (
            "checkpoint",
            "`checkpoint` is a folder, expected a GGUF file: it is a checkpoint, of which `swallow-gguf convert` makes one",
        ),
        (
            "ggufs",
            "`ggufs` is a folder, expected a GGUF file, such as `ggufs/a.gguf`",
        ),
    ] {
        for args in [
            &["quantize", given][..],
            &["inspect", given],
            &["verify", given],
            &["diff", given, "x.gguf"],
        ] {
            let said = place.refused(args);
            assert_eq!(said, expected, "{args:?}");
        }
    }
}

#[test]
fn a_gguf_in_the_place_of_a_checkpoint() {
    let place = Place::new(NOWHERE);
    let source = checkpoint(place.path(), "checkpoint", &small_moe());
    converted(&source, &place.path().join("m.gguf"), &["-t", "q8_0"]);
    for args in [
        &["convert", "m.gguf"][..],
        &["verify", "m.gguf", "--against", "m.gguf"],
    ] {
        let said = place.refused(args);
        assert!(said.contains("GGUF") && said.contains("quantize"), "{said}");
    }
}

#[test]
fn what_a_repository_holds_instead_of_a_checkpoint() {
    let hub = Hub::start();
    let place = Place::new(&hub.endpoint());
    let gguf = || File::small("GGUF");
    for name in [
        "m-Q4_K_M.gguf",
        "m-Q8_0-00001-of-00002.gguf",
        "m-Q8_0-00002-of-00002.gguf",
        "README.md",
    ] {
        hub.put("org/ggufs", name, gguf());
    }
    // As some have beside their GGUF files.
    hub.put("org/ggufs-with-config", "config.json", File::small("{}"));
    hub.put("org/ggufs-with-config", "m.gguf", gguf());
    let adapter = r#"{"peft_type": "LORA", "base_model_name_or_path": "meta-llama/Llama-2-7b-hf"}"#;
    hub.put("org/adapter", "adapter_config.json", File::small(adapter));
    hub.put(
        "org/adapter",
        "adapter_model.safetensors",
        File::large(10_000, 1),
    );
    hub.put(
        "org/broken-adapter",
        "adapter_config.json",
        File::small("{"),
    );
    hub.put("org/pickles", "config.json", File::small("{}"));
    hub.put("org/pickles", "pytorch_model.bin", File::small("x"));
    hub.put("org/incomplete", "config.json", File::small("{}"));
    hub.put(
        "org/incomplete",
        "model-00001-of-00002.safetensors",
        File::large(10_000, 1),
    );
    hub.put("org/card", "README.md", File::small("# Card"));
    for (repo, expected) in [
        (
            "hf:org/ggufs",
            "hf:org/ggufs is not a checkpoint: it holds GGUF files, `m-Q4_K_M.gguf`, `m-Q8_0-00001-of-00002.gguf`: `quantize` and `run` take one as `hf:org/ggufs:m-Q4_K_M.gguf`",
        ),
        (
            "hf:org/ggufs-with-config",
            "hf:org/ggufs-with-config is not a checkpoint: it holds GGUF files, `m.gguf`: `quantize` and",
        ),
        (
            "hf:org/adapter",
            "hf:org/adapter is not a checkpoint: it is an adapter (LORA) of `meta-llama/Llama-2-7b-hf`",
        ),
        (
            "hf:org/broken-adapter",
            "hf:org/broken-adapter is not a checkpoint: it is an adapter (LORA) of another model",
        ),
        (
            "hf:org/pickles",
            "hf:org/pickles is not a checkpoint: the weights are PyTorch pickles",
        ),
        (
            "hf:org/incomplete",
            "hf:org/incomplete is not a checkpoint: 1 of 2 shards are missing, `model-00002-of-00002.safetensors`",
        ),
        (
            "hf:org/card",
            "hf:org/card has no file `config.json`: it has 1 file, none of them `.json`",
        ),
    ] {
        for args in [&["convert", repo][..], &["convert", repo, "--download"]] {
            let said = place.refused(args);
            assert!(said.starts_with(expected), "{repo}: {said}");
        }
    }
    // A tag, or nothing, where a file is wanted.
    for (given, expected) in [
        (
            "hf:org/ggufs",
            "`hf:org/ggufs`: expected a file of it, such as `hf:org/ggufs:m-Q4_K_M.gguf`: it has `m-Q4_K_M.gguf`, `m-Q8_0-00001-of-00002.gguf`",
        ),
        (
            "hf:org/pickles",
            "`hf:org/pickles`: it has no GGUF file; `convert hf:org/pickles` makes one of a checkpoint",
        ),
        (
            "hf:org/ggufs:m-q4_k_m.gguf",
            "hf:org/ggufs has no file `m-q4_k_m.gguf`: it has `m-Q4_K_M.gguf`",
        ),
        (
            "hf:org/ggufs:Q2_K",
            "`hf:org/ggufs:Q2_K`: it has no GGUF file of that type: it has `m-Q4_K_M.gguf`, `m-Q8_0-00001-of-00002.gguf`",
        ),
    ] {
        let said = place.refused(&["quantize", given]);
        assert!(said.starts_with(expected), "{given}: {said}");
    }
}

#[test]
fn a_pointer_that_the_hub_has_in_a_files_place() {
    let hub = Hub::start();
    let place = Place::new(&hub.endpoint());
    let source = checkpoint(place.path(), "checkpoint", &small_moe());
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d4d\nsize 499723\n";
    for name in [
        "tokenizer.model",
        "model-00002-of-00002.safetensors",
        "config.json",
    ] {
        let repo = format!("org/{}", name.split('.').next().unwrap());
        hub.put_folder(&repo, &source);
        hub.put(&repo, name, File::small(pointer));
        let expected =
            format!("`{name}` of hf:{repo} is a git-lfs pointer on the hub itself, not the file");
        for more in [&[][..], &["--download"][..]] {
            let source = format!("hf:{repo}");
            let said = place.refused(&[&["convert", source.as_str()][..], more].concat());
            assert!(said.starts_with(&expected), "{said}");
        }
    }
    hub.put("org/gguf", "x.gguf", File::small(pointer));
    let run = place.run(&["quantize", "hf:org/gguf:x.gguf"]);
    let said = text(&run.stderr);
    assert!(
        said.contains("error: `x.gguf` of hf:org/gguf is a git-lfs pointer on the hub itself"),
        "{said}"
    );
}
