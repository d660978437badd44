//! What `quantize` refuses, and how it says so.

use std::fs;

use swallow_gguf::{
    file_type::FileType::{BF16, F16, Q4_K_M, Q6_K},
    gguf::{Gguf, encode_header},
};
use swallow_quant::GgmlType;

use super::Model;
use crate::support::{quantize, quantized, swallow_gguf, text, write_imatrix};

#[test]
fn a_second_quantization_wants_permission() {
    let model = Model::new(Q6_K);
    let run = quantize(&model.plain, &model.path("out.gguf"), &["-t", "q4_0"]);
    let said = text(&run.stderr);
    assert_eq!(run.status.code(), Some(1));
    assert!(
        said.starts_with("error: tensor `token_embd.weight` is quantized already, to Q6_K, and would become Q4_0: "),
        "{said}"
    );
    assert!(said.contains("`--allow-requantize`"), "{said}");
    assert!(!model.path("out.gguf").exists());
}

#[test]
fn a_type_that_is_not_read_is_named() {
    let model = Model::new(Q4_K_M);
    // The same blocks under another name.
    let gguf = Gguf::open(&model.plain).unwrap();
    let mut tensors = gguf.tensors.clone();
    let at = tensors.iter().position(|t| t.ty == GgmlType::Q4_K).unwrap();
    let name = tensors[at].name.clone();
    let dims = tensors[at].dims.clone();
    let offset = tensors[at].offset;
    let mut fake =
        swallow_gguf::gguf::TensorInfo::new(name.clone(), dims, GgmlType::IQ1_S).unwrap();
    fake.offset = offset;
    tensors[at] = fake;
    let mut bytes = encode_header(&gguf.key_values, &tensors, 32);
    bytes.extend(&fs::read(&model.plain).unwrap()[gguf.data_offset as usize..]);
    let input = model.path("iq1.gguf");
    fs::write(&input, bytes).unwrap();
    let run = quantize(
        &input,
        &model.path("out.gguf"),
        &["-t", "q8_0", "--allow-requantize"],
    );
    let said = text(&run.stderr);
    let expected =
        format!("error: tensor `{name}` is IQ1_S, which we cannot read to make Q8_0 of it");
    assert!(said.starts_with(&expected), "{said}");
}

#[test]
fn a_weight_that_is_no_number_is_found() {
    let model = Model::new(BF16);
    let gguf = Gguf::open(&model.plain).unwrap();
    let info = gguf.tensor("blk.1.ffn_down_exps.weight").unwrap();
    let mut bytes = fs::read(&model.plain).unwrap();
    // Expert 1, row 3, column 7.
    let index = (256 + 3) * 512 + 7;
    let at = (gguf.data_offset + info.offset) as usize + 2 * index;
    bytes[at..at + 2].copy_from_slice(&0x7fc0u16.to_le_bytes());
    fs::write(&model.plain, bytes).unwrap();
    for file_type in [Q4_K_M, F16, BF16] {
        let args = ["-t", file_type.name()];
        let run = quantize(&model.plain, &model.path("out.gguf"), &args);
        let said = text(&run.stderr);
        assert!(
            said.contains("tensor `blk.1.ffn_down_exps.weight` has NaN at index [1, 3, 7]"),
            "{said}"
        );
        assert!(!model.path("out.gguf").exists());
    }
}

#[test]
fn what_is_no_gguf_is_told() {
    let model = Model::new(BF16);
    let folder = model.path("Test-Model-v1.0");
    let shard = folder.join("model-00001-of-00002.safetensors");
    for (input, expected) in [
        (folder, "is a folder, expected a GGUF file"),
        (
            shard,
            "it is a safetensors file; give its folder to `swallow-gguf convert`",
        ),
        (model.path("nothing.gguf"), "there is no file"),
    ] {
        let run = quantize(&input, &model.path("out.gguf"), &[]);
        let said = text(&run.stderr);
        assert_eq!(run.status.code(), Some(1));
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn an_importance_matrix_that_is_none_or_another_models_is_told() {
    let model = Model::new(BF16);
    let other = Model::with(BF16, |spec| spec.sizes.intermediate_size = 256);
    let (other_matrix, matrix) = (model.path("other.gguf"), model.path("matrix.dat"));
    write_imatrix(&other.plain, &other_matrix, false);
    write_imatrix(&model.plain, &matrix, true);
    fs::write(model.path("empty"), "").unwrap();
    let given = |path: &std::path::Path| path.to_str().unwrap().to_owned();
    for (args, expected) in [
        (
            vec![given(&model.plain)],
            "is a model (llama), not an importance matrix",
        ),
        (vec![given(&model.path("nothing"))], "there is no file"),
        (vec![given(&model.path("empty"))], "empty"),
        (vec![given(&other_matrix)], "it was made for another model"),
        // Nothing is left of it for the tensors that need it.
        (
            vec![given(&matrix), "--exclude-weights".into(), "ffn_up".into()],
            "needs an importance matrix in a Q2_K_S file, and the one given has no entry for it",
        ),
    ] {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let all = [&["-t", "q2_k_s", "--imatrix"], &args[..]].concat();
        let run = quantize(&model.plain, &model.path("out.gguf"), &all);
        let said = text(&run.stderr);
        assert_eq!(run.status.code(), Some(1), "{said}");
        assert!(said.contains(expected), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(!model.path("out.gguf").exists());
    }
    let run = swallow_gguf()
        .arg("quantize")
        .arg(&model.plain)
        .args(["-t", "iq4_xs", "-o"])
        .arg(model.path("out.gguf"))
        .arg("--imatrix")
        .arg(&matrix)
        .output()
        .unwrap();
    let said = text(&run.stderr);
    assert!(run.status.success(), "{said}");
    assert!(
        said.contains("note: no token has reached these experts"),
        "{said}"
    );
    assert!(said.contains("blk.0.ffn_up_exps.weight (1)"), "{said}");
    let gguf = Gguf::open(&model.path("out.gguf")).unwrap();
    assert_eq!(gguf.get_str("quantize.imatrix.file"), matrix.to_str());
}

#[test]
fn the_input_is_never_replaced() {
    let model = Model::new(BF16);
    let before = fs::read(&model.plain).unwrap();
    let run = quantize(&model.plain, &model.plain, &["--force"]);
    assert!(text(&run.stderr).contains("is a file of the source itself"));
    assert!(fs::read(&model.plain).unwrap() == before);
}

#[test]
fn a_dry_run_reads_headers_and_writes_nothing() {
    let model = Model::new(BF16);
    let args = [
        "--dry-run",
        "-t",
        "q4_k_m",
        "--split-max-size",
        "500000",
        "--json",
    ];
    let run = swallow_gguf()
        .current_dir(model.dir.path())
        .arg("quantize")
        .arg(&model.plain)
        .args(args)
        .output()
        .unwrap();
    let plan: serde_json::Value = serde_json::from_slice(&run.stdout).unwrap();
    let out = quantized(&model.plain, &model.path("out.gguf"), &[]);
    let files = plan["files"].as_array().unwrap();
    assert!(files.len() > 1);
    assert!(
        plan["output"]
            .as_str()
            .unwrap()
            .starts_with("plain-Q4_K_M-00001-of-")
    );
    let total: u64 = files
        .iter()
        .map(|file| file["bytes"].as_u64().unwrap())
        .sum();
    assert_eq!(Some(total), plan["file_bytes"].as_u64());
    let data = |bytes: u64| bytes / 100_000;
    assert_eq!(data(total), data(out.len() as u64));
    assert_eq!(plan["tensors"][0]["source"][0]["type"], "BF16");
    assert!(!model.path("plain-Q4_K_M-00001-of-00002.gguf").exists());
}
