//! Files that are not what their names say, and encodings.

use std::fs;

use serde_json::{Value as Json, json};

use crate::edited::{Edited, SHARD};

const POINTER: &str = "version https://git-lfs.github.com/spec/v1\n\
    oid sha256:4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d\nsize 499723\n";

#[test]
fn a_pointer_is_called_that_in_every_file() {
    for (file, is_needed) in [
        ("config.json", true),
        ("model.safetensors.index.json", true),
        (SHARD, true),
        ("generation_config.json", false),
        ("README.md", false),
        ("mergekit_moe_config.yml", false),
    ] {
        let model = Edited::new();
        model.add_index(|_| {});
        fs::write(model.file(file), POINTER).unwrap();
        let what = "it is a git-lfs pointer to the file of 499723 bytes, not the file; fetch that with \
                    `git lfs pull`";
        if is_needed {
            let said = model.refused(&[]);
            assert_eq!(said, format!("`{}`: {what}", model.file(file).display()));
        } else {
            let (_, said) = model.converted(&[]);
            assert!(
                said.contains(&format!("note: {file} is ignored: {what}\n")),
                "{said}"
            );
        }
    }
    let model = Edited::new();
    let template = model.dir.path().join("mine.jinja");
    fs::write(&template, POINTER).unwrap();
    let said = model.refused(&["--chat-template", template.to_str().unwrap()]);
    assert!(
        said.contains("mine.jinja`: it is a git-lfs pointer"),
        "{said}"
    );
    let said = model.refused(&["--tensor-type-file", template.to_str().unwrap()]);
    assert!(
        said.contains("mine.jinja`: it is a git-lfs pointer"),
        "{said}"
    );
    let said = model.refused(&["--imatrix", template.to_str().unwrap()]);
    assert!(
        said.contains("it is a git-lfs pointer to the file of 499723 bytes"),
        "{said}"
    );
}

#[test]
fn other_kinds_of_files_are_told_in_the_place_of_shards_and_of_json() {
    for (bytes, what) in [
        (
            &b"<!DOCTYPE html><html><body>Sign in"[..],
            "it is a web page",
        ),
        (
            b"<?xml version=\"1.0\"?><Error><Code>AccessDenied",
            "it is an XML document",
        ),
        (
            b"PK\x03\x04aaaaaaaaaaaaaaaaaaaa",
            "it is a zip archive (PyTorch's",
        ),
        (b"\x1f\x8b\x08\0\0\0\0\0\0\0", "it is compressed with gzip"),
        (b"\x80\x02}q\x00(X\x05\0\0\0model", "it is a Python pickle"),
        (b"GGUF\x03\0\0\0\0\0\0\0\0\0\0\0", "it is a GGUF file"),
        (b"", "it is empty"),
        (&[0; 64], "it begins with zeros"),
    ] {
        for file in ["model.safetensors", "config.json"] {
            let model = Edited::new();
            fs::write(model.file(file), bytes).unwrap();
            let said = model.refused(&[]);
            let expected = format!("`{}`: {what}", model.file(file).display());
            assert!(said.starts_with(&expected), "{said}");
        }
    }
    let model = Edited::new();
    fs::write(model.file("config.json"), "Entry not found").unwrap();
    let said = model.refused(&[]);
    assert!(
        said.ends_with("config.json`: expected JSON, found `Entry not found`"),
        "{said}"
    );
    fs::write(
        model.file("config.json"),
        "{\"error\": \"Repository not found\"}",
    )
    .unwrap();
    let said = model.refused(&[]);
    assert!(
        said.ends_with("the file is the answer of a server: `Repository not found`"),
        "{said}"
    );
}

#[test]
fn a_byte_order_mark_is_passed_over_in_every_text() {
    let model = Edited::new();
    fs::write(model.file("generation_config.json"), "{\"top_k\": 7}").unwrap();
    fs::write(model.file("README.md"), "---\nlicense: mit\n---\n").unwrap();
    fs::write(model.file("mergekit_moe_config.yml"), "base_model: x\n").unwrap();
    let template = model.dir.path().join("mine.jinja");
    fs::write(&template, "{{ messages }}").unwrap();
    let args = ["--chat-template", template.to_str().unwrap()];
    let (expected, _) = model.converted(&args);
    for file in [
        model.file("config.json"),
        model.file("generation_config.json"),
        model.file("README.md"),
        model.file("mergekit_moe_config.yml"),
        template.clone(),
    ] {
        let bytes = fs::read(&file).unwrap();
        fs::write(&file, [b"\xef\xbb\xbf", &bytes[..]].concat()).unwrap();
    }
    assert!(model.converted(&args).0 == expected);

    model.add_index(|_| {});
    let index = model.file("model.safetensors.index.json");
    let bytes = fs::read(&index).unwrap();
    fs::write(&index, [b"\xef\xbb\xbf", &bytes[..]].concat()).unwrap();
    assert!(model.converted(&args).0 == expected);
}

#[test]
fn other_encodings_are_named() {
    let utf16 = |text: &str| -> Vec<u8> {
        let units = text.encode_utf16().flat_map(u16::to_le_bytes);
        [0xff, 0xfe].into_iter().chain(units).collect()
    };
    let model = Edited::new();
    let what = "it is text in UTF-16, expected UTF-8; save it as UTF-8";
    for file in [
        "README.md",
        "generation_config.json",
        "mergekit_moe_config.yml",
    ] {
        fs::write(model.file(file), utf16("{}")).unwrap();
        let (_, said) = model.converted(&[]);
        assert!(
            said.contains(&format!("note: {file} is ignored: {what}\n")),
            "{said}"
        );
        fs::remove_file(model.file(file)).unwrap();
    }
    let template = model.dir.path().join("mine.jinja");
    fs::write(&template, utf16("{{ messages }}")).unwrap();
    let said = model.refused(&["--chat-template", template.to_str().unwrap()]);
    assert!(said.ends_with(&format!("mine.jinja`: {what}")), "{said}");
    let config = fs::read_to_string(model.file("config.json")).unwrap();
    fs::write(model.file("config.json"), utf16(&config)).unwrap();
    let said = model.refused(&[]);
    assert!(said.ends_with(&format!("config.json`: {what}")), "{said}");
}

#[test]
fn numbers_that_only_python_writes_are_read_and_refused_where_they_matter() {
    let model = Edited::new();
    let (expected, _) = model.converted(&[]);
    let with = |key: &str, value: &str| {
        let config: Json =
            serde_json::from_slice(&fs::read(model.file("config.json")).unwrap()).unwrap();
        let mut config = config;
        config[key] = json!("PLACE");
        let text = config.to_string().replace("\"PLACE\"", value);
        fs::write(model.file("config.json"), &text).unwrap();
    };
    for value in [
        "NaN",
        "Infinity",
        "-Infinity",
        "1000000000000000019884624838656",
    ] {
        with("router_aux_loss_coef", value);
        assert!(model.converted(&[]).0 == expected, "{value}");
        // The next edit reads strict JSON.
        let text = fs::read_to_string(model.file("config.json")).unwrap();
        let strict = text.replace(&format!(":{value}"), ":null");
        fs::write(model.file("config.json"), strict).unwrap();
    }
    with("rope_theta", "Infinity");
    let said = model.refused(&[]);
    assert!(
        said.contains("`rope_theta` is \"Infinity\", expected a positive number"),
        "{said}"
    );
}
