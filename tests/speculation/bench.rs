//! `bench run` and `bench speculate`.

use serde_json::Value;

use crate::support::{checkpoint, converted, small_moe, smollm2, swallow_gguf, text};

fn bench(args: &[&str]) -> (String, String, bool) {
    let output = swallow_gguf().arg("bench").args(args).output().unwrap();
    (
        text(&output.stdout),
        text(&output.stderr),
        output.status.success(),
    )
}

#[test]
fn a_run_has_llama_benchs_tests() {
    let dir = tempfile::tempdir().unwrap();
    let model = dir.path().join("small.gguf");
    let source = checkpoint(dir.path(), "source", &small_moe());
    converted(&source, &model, &["-t", "f16"]);
    let model = model.to_str().unwrap();
    let sizes = ["-p", "8,16", "-n", "4", "-d", "0,32", "-r", "2", "-t", "1"];

    let (table, stderr, success) = bench(&[&["run", "-m", model], &sizes[..]].concat());
    assert!(success, "{stderr}");
    let tests: Vec<&str> = table
        .lines()
        .skip(2)
        .map(|line| line.split('|').nth(6).unwrap().trim())
        .collect();
    let expected = ["pp8", "pp16", "tg4", "pp8 @ d32", "pp16 @ d32", "tg4 @ d32"];
    assert_eq!(tests, expected, "{table}");
    assert!(table.lines().skip(2).all(|line| line.contains(" ± ")));

    let (json, stderr, success) = bench(&[&["run", "--json", "-m", model], &sizes[..]].concat());
    assert!(success, "{stderr}");
    let lines: Value = serde_json::from_str(&json).unwrap();
    let lines = lines.as_array().unwrap();
    assert_eq!(lines.len(), expected.len());
    for line in lines {
        assert_eq!(line["n_threads"], 1);
        assert_eq!(line["samples_ts"].as_array().unwrap().len(), 2);
        assert!(line["avg_ts"].as_f64().unwrap() > 0.0, "{line}");
    }
    assert_eq!(lines[5]["n_depth"], 32);
}

#[test]
fn a_run_of_nothing_or_without_room_is_refused() {
    let (_, stderr, success) = bench(&["run", "-m", "x.gguf", "-p", "0", "-n", "0"]);
    assert!(
        !success && stderr.contains("nothing to measure"),
        "{stderr}"
    );
    let args = ["run", "-m", "x.gguf", "-p", "512", "-c", "256"];
    let (_, stderr, success) = bench(&args);
    assert!(
        !success && stderr.contains("has no room for 512"),
        "{stderr}"
    );
}

#[test]
fn speculation_is_told_by_prompt_and_in_the_mean() {
    let Some(model) = smollm2("speculation_is_told_by_prompt_and_in_the_mean") else {
        return;
    };
    let model = model.to_str().unwrap();
    let short = [
        "-n", "6", "-r", "1", "-t", "1", "--only", "chat-fox", "-m", model,
    ];
    let (table, stderr, success) = bench(&[&["speculate"], &short[..]].concat());
    assert!(success, "{stderr}");
    let line = table.lines().nth(1).unwrap();
    assert!(
        line.starts_with("chat-fox") && line.ends_with("same"),
        "{table}"
    );
    assert!(table.contains("free chat: "), "{table}");
    let (json, _, success) = bench(&[&["speculate", "--json"], &short[..]].concat());
    assert!(success);
    let report: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(report["prompts"][0]["tokens"], 6);
    assert_eq!(report["prompts"][0]["same_text"], true);
    assert_eq!(report["work_ratio"], Value::Null);
    let (_, stderr, success) = bench(&["speculate", "-m", model, "--only", "nothing"]);
    let told = "no prompt has `nothing` in its name: there are summarise-harbour, ";
    assert!(!success && stderr.contains(told), "{stderr}");
}
