//! `swallow-gguf quantize` from outside, and whole files against llama.cpp's quantizer.

mod architectures;
mod errors;
mod split;

use std::path::{Path, PathBuf};

use swallow_gguf::{
    file_type::FileType::{self, BF16, F16, F32, Q4_K_M, Q5_1, Q8_0},
    gguf::{Gguf, Value},
    source::Dtype,
};
use swallow_quant::GgmlType;
use tempfile::TempDir;

use crate::{
    parity::assert_same_file,
    support::{
        LlamaKnobs, checkpoint, converted, llama_quantize, quantize, quantized, small_moe,
        swallow_gguf, text,
    },
};

/// A folder with a generated model in a GGUF.
struct Model {
    dir: TempDir,
    plain: PathBuf,
}

impl Model {
    fn new(file_type: FileType) -> Self {
        Self::with(file_type, |_| {})
    }

    fn with(file_type: FileType, change: impl Fn(&mut swallow_gguf::synthetic::Spec)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut spec = small_moe();
        change(&mut spec);
        let source = checkpoint(dir.path(), "Test-Model-v1.0", &spec);
        let plain = dir.path().join(format!("plain-{file_type}.gguf"));
        converted(&source, &plain, &["-t", file_type.name()]);
        Self { dir, plain }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

/// Quantizes `input` with both programs and compares the files.
fn compare(case: &str, input: &Path, file_type: FileType, args: &[&str], knobs: &LlamaKnobs<'_>) {
    let dir = input.parent().unwrap();
    let case = format!("{case} as {file_type}");
    let theirs = dir.join("theirs.gguf");
    let done = llama_quantize(input, &theirs, file_type, knobs);
    let all = [&["--force", "-t", file_type.name()], args].concat();
    let run = quantize(input, &dir.join("ours.gguf"), &all);
    assert_eq!(run.status.success(), done, "{case}: {}", text(&run.stderr));
    if done {
        let ours = std::fs::read(dir.join("ours.gguf")).unwrap();
        assert_same_file(&case, &ours, &std::fs::read(&theirs).unwrap());
    }
}

#[test]
fn every_file_type_from_every_float_type() {
    for (from, dtype) in [(BF16, Dtype::Bf16), (F16, Dtype::F16), (F32, Dtype::F32)] {
        let model = Model::with(from, |spec| {
            spec.dtype = dtype;
            spec.sizes.num_hidden_layers = 3;
        });
        for file_type in FileType::offered() {
            let case = format!("from {from}");
            compare(&case, &model.plain, file_type, &[], &LlamaKnobs::default());
        }
    }
}

#[test]
fn eight_experts_tied_and_odd_rows() {
    let eight = Model::with(BF16, |spec| spec.sizes.num_local_experts = 8);
    let tied = Model::with(BF16, |spec| {
        spec.sizes.num_local_experts = 0;
        spec.tied = true;
    });
    let odd = Model::with(F16, |spec| {
        spec.sizes.hidden_size = 96;
        spec.sizes.num_attention_heads = 4;
        spec.sizes.intermediate_size = 100;
    });
    for (case, model) in [
        ("eight experts", &eight),
        ("tied", &tied),
        ("odd rows", &odd),
    ] {
        for file_type in FileType::offered() {
            compare(case, &model.plain, file_type, &[], &LlamaKnobs::default());
        }
    }
}

#[test]
fn every_quantized_type_is_read_where_that_is_allowed() {
    let model = Model::new(BF16);
    let knobs = LlamaKnobs {
        allow_requantize: true,
        ..LlamaKnobs::default()
    };
    for from in FileType::offered().filter(|t| *t != FileType::Q2_K_S) {
        let input = model.path("quantized.gguf");
        quantized(&model.plain, &input, &["--force", "-t", from.name()]);
        for to in [Q4_K_M, Q5_1, Q8_0, F16] {
            let case = format!("from {from}");
            compare(&case, &input, to, &["--allow-requantize"], &knobs);
        }
    }
}

#[test]
fn q8_0_needs_no_permission_and_what_is_of_its_type_is_copied() {
    let model = Model::new(Q8_0);
    let knobs = LlamaKnobs {
        allow_requantize: true,
        ..LlamaKnobs::default()
    };
    compare("from Q8_0", &model.plain, Q4_K_M, &[], &knobs);
    let again = quantized(&model.plain, &model.path("again.gguf"), &["-t", "q8_0"]);
    assert_same_file("copy", &again, &std::fs::read(&model.plain).unwrap());
}

#[test]
fn the_knobs_are_those_of_convert() {
    let model = Model::new(BF16);
    let args = [
        "--tensor-type",
        "attn_v=q8_0",
        "--token-embedding-type",
        "q4_0",
        "--output-tensor-type",
        "q5_k",
        "--override-kv",
        "general.name=str:Other",
        "--override-kv",
        "llama.expert_used_count=int:1",
    ];
    let knobs = LlamaKnobs {
        tensor_types: &[("attn_v", GgmlType::Q8_0)],
        token_embedding_type: Some(GgmlType::Q4_0),
        output_type: Some(GgmlType::Q5_K),
        overrides: &[
            ("general.name", "Other".into()),
            ("llama.expert_used_count", Value::U32(1)),
        ],
        ..LlamaKnobs::default()
    };
    compare("knobs", &model.plain, Q4_K_M, &args, &knobs);
    let pure = LlamaKnobs {
        pure: true,
        leave_output: true,
        ..LlamaKnobs::default()
    };
    compare(
        "pure",
        &model.plain,
        Q4_K_M,
        &["--pure", "--leave-output-tensor"],
        &pure,
    );
}

#[test]
fn one_pass_from_the_checkpoint_is_two_passes() {
    let dir = tempfile::tempdir().unwrap();
    let source = checkpoint(dir.path(), "Test-Model-v1.0", &small_moe());
    let once = converted(&source, &dir.path().join("once.gguf"), &["-t", "q4_k_m"]);
    converted(&source, &dir.path().join("Test-bf16.gguf"), &["-t", "bf16"]);
    // Named after the file, in the current folder.
    let run = swallow_gguf()
        .current_dir(dir.path())
        .args(["quantize", "Test-bf16.gguf"])
        .output()
        .unwrap();
    let said = text(&run.stderr);
    assert!(run.status.success(), "{said}");
    assert!(
        said.contains("next: swallow-gguf run Test-Q4_K_M.gguf"),
        "{said}"
    );
    let twice = std::fs::read(dir.path().join("Test-Q4_K_M.gguf")).unwrap();
    assert_same_file("two passes", &twice, &once);
}

#[test]
fn the_alignment_of_the_input_is_kept() {
    let model = Model::new(BF16);
    let plain = std::fs::read(&model.plain).unwrap();
    let gguf = Gguf::open(&model.plain).unwrap();
    let mut key_values = gguf.key_values.clone();
    key_values.insert(1, ("general.alignment".into(), Value::U32(128)));
    let mut infos = gguf.tensors.clone();
    let data_bytes = swallow_gguf::gguf::lay_out(&mut infos, 128).unwrap();
    let mut bytes = swallow_gguf::gguf::encode_header(&key_values, &infos, 128);
    let begin = bytes.len();
    bytes.resize(begin + data_bytes as usize, 0);
    for (old, new) in gguf.tensors.iter().zip(&infos) {
        let from = (gguf.data_offset + old.offset) as usize;
        let to = begin + new.offset as usize;
        let len = old.size() as usize;
        bytes[to..to + len].copy_from_slice(&plain[from..from + len]);
    }
    let aligned = model.path("aligned.gguf");
    std::fs::write(&aligned, bytes).unwrap();

    let (a, b) = (model.path("a.gguf"), model.path("b.gguf"));
    quantized(&model.plain, &a, &[]);
    quantized(&aligned, &b, &[]);
    assert_eq!(Gguf::open(&b).unwrap().alignment, 128);
    let run = swallow_gguf().arg("diff").args([&a, &b]).output().unwrap();
    let said = text(&run.stdout);
    assert!(said.contains("general.alignment"), "{said}");
    assert!(
        said.contains("0 tensors differ") || !said.contains("blocks"),
        "{said}"
    );
}
