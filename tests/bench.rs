//! `swallow-gguf bench quantize`, from outside.

use swallow_quant::Isa;

use crate::support::{swallow_gguf, text};

fn bench(args: &[&str]) -> std::process::Output {
    swallow_gguf()
        .args(["bench", "quantize", "--seconds", "0"])
        .args(args)
        .output()
        .unwrap()
}

#[test]
fn the_table_has_a_line_for_ggml_and_each_instruction_set() {
    let run = bench(&["--types", "q8_0,Q4_K"]);
    assert!(run.status.success(), "{}", text(&run.stderr));
    assert_eq!(text(&run.stderr), "");
    let table = text(&run.stdout);
    let (machine, _) = table.split_once('\n').unwrap();
    assert!(machine.ends_with("built as expected"), "{machine}");
    for ty in ["Q8_0", "Q4_K"] {
        let lines = table.lines().filter(|line| line.starts_with(ty));
        let lines: Vec<&str> = lines.collect();
        assert_eq!(lines.len(), 1 + Isa::available().len(), "{table}");
        assert!(lines.iter().all(|line| line.ends_with("same")), "{table}");
    }
}

#[test]
fn with_an_importance_matrix_the_table_says_so() {
    let run = bench(&["--types", "Q4_K,Q5_0", "--imatrix"]);
    assert!(run.status.success(), "{}", text(&run.stderr));
    let table = text(&run.stdout);
    let said = table.lines().nth(1);
    assert_eq!(
        said,
        Some(
            "bf16 to f32 to blocks, with an importance matrix: ggml by its own functions, \
             the others by ours"
        )
    );
    for ty in ["Q4_K", "Q5_0"] {
        let lines = table.lines().filter(|line| line.starts_with(ty));
        let lines: Vec<&str> = lines.collect();
        assert_eq!(lines.len(), 1 + Isa::available().len(), "{table}");
        assert!(lines.iter().all(|line| line.ends_with("same")), "{table}");
    }
}

#[test]
fn json_has_the_machine_and_the_kernels() {
    for (imatrix, option) in [(false, None), (true, Some("--imatrix"))] {
        let mut args = vec!["--types", "Q6_K", "--json"];
        args.extend(option);
        let run = bench(&args);
        assert!(run.status.success(), "{}", text(&run.stderr));
        let report: serde_json::Value = serde_json::from_slice(&run.stdout).unwrap();
        assert_eq!(report["machine"]["ggml_built_as_expected"], true);
        assert_eq!(report["importance_matrix"], imatrix);
        let kernels = report["kernels"].as_array().unwrap();
        assert_eq!(kernels.len(), 1 + Isa::available().len());
        for kernel in kernels {
            assert_eq!(kernel["type"], "Q6_K");
            assert_eq!(kernel["same_bytes"], true);
            assert!(kernel["ns_per_weight"].as_f64().unwrap() > 0.0);
        }
    }
}

#[test]
fn a_type_that_is_not_written_is_refused_with_those_that_are() {
    let run = bench(&["--types", "IQ2_XS"]);
    assert_eq!(run.status.code(), Some(2));
    let message = text(&run.stderr);
    assert!(
        message.contains("IQ2_XS") && message.contains("expected one of F32"),
        "{message}"
    );
    assert_eq!(text(&run.stdout), "");
}

#[test]
fn the_better_search_has_a_line_for_ggml_and_each_instruction_set() {
    let run = bench(&["--search", "best"]);
    assert!(run.status.success(), "{}", text(&run.stderr));
    assert_eq!(text(&run.stderr), "");
    let table = text(&run.stdout);
    assert!(table.contains("Student-t"), "{table}");
    for ty in ["Q4_K", "Q5_K", "Q6_K"] {
        let lines = table.lines().filter(|line| line.starts_with(ty)).count();
        assert_eq!(lines, 1 + Isa::available().len(), "{table}");
    }
}

#[test]
fn the_better_search_with_an_importance_matrix_says_so() {
    let run = bench(&["--search", "best", "--types", "Q6_K", "--imatrix"]);
    assert!(run.status.success(), "{}", text(&run.stderr));
    let table = text(&run.stdout);
    let said = table.lines().nth(1);
    assert_eq!(
        said,
        Some(
            "f32 to blocks, with an importance matrix: ggml by its own search, \
             the others by the better one"
        )
    );
}

#[test]
fn the_better_search_as_json_has_its_gains() {
    for (imatrix, option) in [(false, None), (true, Some("--imatrix"))] {
        let mut args = vec!["--search", "best", "--types", "Q4_K", "--json"];
        args.extend(option);
        let run = bench(&args);
        assert!(run.status.success(), "{}", text(&run.stderr));
        let report: serde_json::Value = serde_json::from_slice(&run.stdout).unwrap();
        assert_eq!(report["importance_matrix"], imatrix);
        check_gains(&report);
    }
}

fn check_gains(report: &serde_json::Value) {
    let searches = report["searches"].as_array().unwrap();
    assert_eq!(searches.len(), 1 + Isa::available().len());
    assert_eq!(searches[0]["kernel"], "ggml");
    for search in &searches[1..] {
        assert_eq!(search["type"], "Q4_K");
        for data in ["gaussian", "student_t"] {
            assert!(
                search[data]["weighted"].as_f64().unwrap() >= 4.0,
                "{search}"
            );
        }
    }
}

#[test]
fn a_type_without_a_better_search_is_refused_with_those_that_have_one() {
    let run = bench(&["--search", "best", "--types", "Q4_K,Q8_0"]);
    assert_eq!(run.status.code(), Some(1));
    assert_eq!(
        text(&run.stderr),
        "error: there is no better search for Q8_0: `--search best` knows Q4_K, Q5_K and Q6_K\n"
    );
    assert_eq!(text(&run.stdout), "");
}
