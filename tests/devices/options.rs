//! The options of `run` for memory and devices, and `swallow-gguf devices`.

use serde_json::Value;

use super::{fail, succeed};
use crate::support::{checkpoint, converted, small_moe, smollm2, swallow_gguf, text};

const QUESTION: &[&str] = &["-p", "Name a colour.", "-n", "8"];

#[test]
fn where_and_how_it_is_computed_changes_nothing_in_the_text() {
    let Some(model) = smollm2("where_and_how_it_is_computed_changes_nothing_in_the_text") else {
        return;
    };
    let with = |args: &[&str]| succeed(&model, &[QUESTION, &["-v"], args].concat());
    let (expected, log) = with(&[]);
    assert!(log.contains("CPU_Mapped model buffer size"), "{log}");
    let same: &[(&[&str], &str)] = &[
        (&["--no-mmap", "--repack", "off"], "  CPU model buffer size"),
        (&["-ub", "16", "-b", "64"], "n_ubatch              = 16"),
        (
            &["-fa", "on", "-tb", "2"],
            "flash_attn            = enabled",
        ),
        (
            &["-ot", "ffn=CPU", "--device", "none"],
            "offloaded 0/31 layers",
        ),
        (
            &["--rope-freq-base", "100000"],
            "freq_base             = 100000.0",
        ),
    ];
    for (args, said) in same {
        let (answer, log) = with(args);
        assert!(log.contains(said), "{args:?}: {log}");
        assert_eq!(answer, expected, "{args:?}");
    }
    // Computed with other roundings.
    for (args, said) in [
        (["-fa", "off"], "flash_attn            = disabled"),
        (["--kv-type", "f32"], "K (f32)"),
    ] {
        let (_, log) = with(&args);
        assert!(log.contains(said), "{args:?}: {log}");
    }
    // And what does change it.
    for args in [["--rope-freq-base", "100"], ["--rope-freq-scale", "0.1"]] {
        assert_ne!(with(&args).0, expected, "{args:?}");
    }
}

#[test]
fn what_cannot_be_is_refused_before_anything_is_loaded() {
    let dir = tempfile::tempdir().unwrap();
    let source = checkpoint(dir.path(), "source", &small_moe());
    let model = dir.path().join("m.gguf");
    converted(&source, &model, &["-t", "q8_0"]);
    let fail = |args: &[&str]| fail(&model, &[&["--raw", "-p", "a", "-n", "1"], args].concat());

    let error = fail(&["-c", "16777216", "-ub", "4096", "--kv-type", "f32"]);
    assert!(error.contains("m.gguf` does not fit: "), "{error}");
    assert!(error.contains(" of keys and values"), "{error}");
    assert!(error.contains("`-c "), "{error}");
    assert!(
        error.ends_with("; `--force` loads it all the same"),
        "{error}"
    );

    assert_eq!(
        fail(&["--device", "Vulkan0"]),
        "there is no device `Vulkan0`: this build finds none here that takes layers"
    );
    assert_eq!(
        fail(&["-ot", "exps=CPY"]),
        "there is no device `CPY`; `CPU` was probably meant, of CPU"
    );
    let error = fail(&["-fa", "off", "-ctv", "q8_0"]);
    assert!(
        error.starts_with("values cannot be kept as q8_0: without flash attention"),
        "{error}"
    );
}

#[test]
fn what_has_no_effect_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let source = checkpoint(dir.path(), "source", &small_moe());
    let model = dir.path().join("m.gguf");
    converted(&source, &model, &["-t", "q8_0"]);
    let notes =
        |args: &[&str]| succeed(&model, &[&["--raw", "-p", "a", "-n", "1"], args].concat()).1;
    assert_eq!(notes(&["--cpu-moe", "-ot", "ffn_.*exps=CPU"]), "");
    let said = notes(&["-ot", "nothing=CPU"]);
    assert!(
        said.starts_with("`--override-tensor nothing=…` has no effect"),
        "{said}"
    );
    let said = notes(&["--gpu-layers", "auto"]);
    assert!(
        said.contains("one of the features `cuda`, `vulkan`, `metal`, `rocm`"),
        "{said}"
    );
    assert_eq!(notes(&["-ngl", "0"]), "");
    let said = notes(&["--stats"]);
    assert!(
        said.contains("memory: ") && said.contains("resident: "),
        "{said}"
    );
}

#[test]
fn devices_are_listed() {
    let list = |args: &[&str]| {
        let output = swallow_gguf().arg("devices").args(args).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        (text(&output.stdout), text(&output.stderr))
    };
    let (table, said) = list(&[]);
    let mut lines = table.lines();
    let head: Vec<&str> = lines.next().unwrap().split_whitespace().collect();
    assert_eq!(
        head,
        ["NAME", "DESCRIPTION", "TYPE", "FREE", "TOTAL", "BACKEND"]
    );
    assert!(
        lines.any(|line| line.trim_start().starts_with("CPU ")),
        "{table}"
    );
    assert!(said.contains("no GPU"), "{said}");

    let (json, _) = list(&["--json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    let cpu = json
        .as_array()
        .unwrap()
        .iter()
        .find(|d| d["type"] == "CPU")
        .unwrap();
    assert!(cpu["total"].as_u64().unwrap() > 0, "{cpu}");
    assert_eq!(cpu["backend"], "CPU");
}
