//! Errors of recipes.

use std::fs;

use swallow_gguf::merge::recipe::{Recipe, RecipeError};

use crate::errors::Section;

pub(super) fn errors(list: &mut Section) {
    let dir = list.dir().join("recipes");
    fs::create_dir_all(dir.join("merged")).unwrap();
    fs::write(dir.join("merged/mergekit_moe_config.yml"), "").unwrap();
    fs::create_dir(dir.join("several")).unwrap();
    for name in ["a.yml", "b.yaml"] {
        fs::write(dir.join("several").join(name), "").unwrap();
    }
    let read = |name: &str| Recipe::read(&dir.join(name)).unwrap_err();
    list.add("no such recipe", read("moe.yml"));
    fs::write(dir.join("beyonder-4x7b.yml"), "").unwrap();
    list.add("a slip in its name", read("beyonder-4x7B.yaml"));
    list.add("a folder with a recipe", read("merged"));
    list.add("a folder with several", read("several"));
    list.add("nothing in it", read("beyonder-4x7b.yml"));
    let of = |bytes: &[u8]| {
        fs::write(dir.join("moe.yml"), bytes).unwrap();
        read("moe.yml")
    };
    for (case, bytes) in [
        (
            "a pointer",
            &b"version https://git-lfs.github.com/spec/v1\noid sha256:4d\nsize 4217\n"[..],
        ),
        ("a web page", b"<!DOCTYPE html><html>"),
        ("a GGUF", b"GGUF\x03\0\0\0"),
        ("UTF-16", b"\xff\xfeb\0a\0s\0e\0"),
        ("Latin-1", b"# caf\xe9\n"),
        ("a tab", b"experts:\n\t- source_model: a\n"),
        ("a fence of Markdown", b"```yaml\nbase_model: a\n```\n"),
        ("two documents", b"a: 1\n---\nb: 2\n"),
        ("no YAML", b"base_model: [a\n"),
        ("a text", b"a merge of two models\n"),
        (
            "mergekit-yaml's",
            b"merge_method: slerp\nslices:\n- sources: []\ndtype: bfloat16\n",
        ),
    ] {
        list.add(case, of(bytes));
    }

    let with = |rest: &str| {
        let recipe = "base_model: a\nexperts: [{source_model: b}, {source_model: c}]\n";
        of(format!("{recipe}{rest}\n").as_bytes())
    };
    let expert = |expert: &str| {
        let recipe = "base_model: a\ngate_mode: random\nexperts:\n- source_model: b\n- ";
        of(format!("{recipe}{expert}\n").as_bytes())
    };
    let cases: [(&str, RecipeError); 21] = [
        ("a slip in a key", with("gate_mod: random")),
        ("an unknown key", with("zzz: 1")),
        ("a key of mergekit-yaml", with("merge_method: ties")),
        ("a key of config.json", with("num_experts_per_tok: 2")),
        ("an option", with("chat_template: chatml")),
        (
            "shared experts",
            with("gate_mode: random\nshared_experts: {source_model: b}"),
        ),
        ("an expert's slip", expert("source_mdoel: c")),
        ("an expert's other name", expert("model: c")),
        ("an expert that is none", expert("c")),
        ("no base", of(b"experts: [{source_model: b}]\n")),
        ("no experts", of(b"base_model: b\n")),
        (
            "an adapter",
            of(b"base_model: {model: a, lora: b}\nexperts: [{source_model: b}, {source_model: c}]\n"),
        ),
        ("a gate mode", with("gate_mode: cheap")),
        ("a dtype", with("gate_mode: random\ndtype: int8")),
        (
            "an architecture",
            with("gate_mode: random\narchitecture: gpt"),
        ),
        (
            "too many per token",
            with("gate_mode: random\nexperts_per_token: 3"),
        ),
        (
            "a tokenizer",
            with("gate_mode: random\ntokenizer_source: c"),
        ),
        ("no prompts", with("gate_mode: hidden")),
        (
            "a prompt with a colon",
            expert("source_model: c\n  positive_prompts: [{Q: A}]"),
        ),
        (
            "a scale of nothing",
            with("gate_mode: random\nresidual_scale: 0.1"),
        ),
        ("a noise", expert("source_model: c\n  noise_scale: -1")),
    ];
    for (case, error) in cases {
        list.add(case, error);
    }
    let one = of(b"base_model: a\ngate_mode: random\nexperts: [{source_model: b}]\n");
    list.add("one expert, two for each token", one);
    let same = "experts:\n- &e {source_model: b, positive_prompts: [a]}\n- *e\n";
    list.add(
        "the same prompts",
        of(format!("base_model: a\n{same}").as_bytes()),
    );
}
