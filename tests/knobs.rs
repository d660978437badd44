//! llama-quantize's options, whole files against llama.cpp's quantizer; and our own words.

use std::{
    fs,
    path::{Path, PathBuf},
};

use swallow_gguf::{
    file_type::FileType::{self, Q4_K_M, Q4_K_S, Q5_K_M},
    gguf::{Gguf, Value},
    synthetic::Spec,
};
use swallow_quant::GgmlType::{BF16, F16, F32, Q4_K, Q5_K, Q6_K, Q8_0};
use tempfile::TempDir;

use crate::{
    parity::assert_same_file,
    support::{
        LlamaKnobs, change_keys, checkpoint, convert, converted, llama_quantize, small_moe,
        swallow_gguf, text,
    },
};

/// A checkpoint, and its weights in a GGUF for llama.cpp to start from.
struct Model {
    dir: TempDir,
    source: PathBuf,
    plain: PathBuf,
}

impl Model {
    fn new(spec: &Spec) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let source = checkpoint(dir.path(), "Test-Model-v1.0", spec);
        let plain = dir.path().join("plain.gguf");
        converted(&source, &plain, &["-t", "bf16"]);
        Self { dir, source, plain }
    }

    /// Nine layers of two experts, so that the mixes treat them differently.
    fn moe() -> Self {
        let mut spec = small_moe();
        spec.sizes.num_hidden_layers = 9;
        Self::new(&spec)
    }

    fn tied() -> Self {
        let mut spec = small_moe();
        spec.sizes.num_local_experts = 0;
        spec.sizes.num_hidden_layers = 9;
        spec.tied = true;
        Self::new(&spec)
    }

    /// Converts with `args`, has llama.cpp quantize with `knobs`, and compares the files.
    fn compare(&self, file_type: FileType, args: &[&str], knobs: &LlamaKnobs<'_>) {
        let case = format!("{file_type} {}", args.join(" "));
        let theirs = self.dir.path().join("theirs.gguf");
        let done = llama_quantize(&self.plain, &theirs, file_type, knobs);
        assert!(done, "llama_model_quantize failed: {case}");
        let ours = self.convert(file_type, args);
        assert_same_file(&case, &ours, &fs::read(&theirs).unwrap());
    }

    fn convert(&self, file_type: FileType, args: &[&str]) -> Vec<u8> {
        let all = [&["--force", "-t", file_type.name()], args].concat();
        converted(&self.source, &self.dir.path().join("ours.gguf"), &all)
    }

    /// What is said on stderr by a dry run, which must end as `success` has it.
    fn messages(&self, args: &[&str], success: bool) -> String {
        let mut command = swallow_gguf();
        let run = command
            .arg("convert")
            .arg(&self.source)
            .arg("--dry-run")
            .args(args)
            .output()
            .unwrap();
        let stderr = text(&run.stderr);
        assert_eq!(run.status.success(), success, "{args:?}: {stderr}");
        stderr
    }
}

#[test]
fn tensor_types_by_pattern() {
    let model = Model::moe();
    let list = model.dir.path().join("types.txt");
    fs::write(&list, "attn_k=q6_k\tblk.[0-2].ffn_up=f32\n\nattn_q=bf16 ").unwrap();
    let list = list.to_str().unwrap();
    // The order of the command line, with the file's rules in the file's place.
    model.compare(
        Q4_K_S,
        &[
            "--tensor-type",
            r"BLK\.(1|2)\.ATTN_(v|k)=Q8_0",
            "--tensor-type-file",
            list,
            "--tensor-type",
            "attn_=f16",
            "--tensor-type=ffn_.*_exps\\.weight$=q5_k",
        ],
        &LlamaKnobs {
            tensor_types: &[
                (r"blk\.(1|2)\.attn_(v|k)", Q8_0),
                ("attn_k", Q6_K),
                ("blk.[0-2].ffn_up", F32),
                ("attn_q", BF16),
                ("attn_", F16),
                (r"ffn_.*_exps\.weight$", Q5_K),
            ],
            ..LlamaKnobs::default()
        },
    );
    // What llama.cpp's patterns can do beyond regular languages.
    model.compare(
        Q4_K_M,
        &["--tensor-type", r"blk\.(?!0|8)(\d)\.ffn_(up|down)=q8_0"],
        &LlamaKnobs {
            tensor_types: &[(r"blk\.(?!0|8)(\d)\.ffn_(up|down)", Q8_0)],
            ..LlamaKnobs::default()
        },
    );
    // Embedding and output by pattern; and no effect on a file type that is not quantized.
    let knobs = LlamaKnobs {
        tensor_types: &[("output|token_embd", Q4_K)],
        ..LlamaKnobs::default()
    };
    for file_type in [Q5_K_M, FileType::F16] {
        model.compare(
            file_type,
            &["--tensor-type", "output|token_embd=q4_k"],
            &knobs,
        );
    }
}

#[test]
fn patterns_take_tensors_from_the_count_of_dense_models() {
    let model = Model::tied();
    for file_type in [Q4_K_S, Q4_K_M] {
        model.compare(
            file_type,
            &["--tensor-type", "blk.[02].(attn_v|ffn_down)=q8_0"],
            &LlamaKnobs {
                tensor_types: &[("blk.[02].(attn_v|ffn_down)", Q8_0)],
                ..LlamaKnobs::default()
            },
        );
    }
}

#[test]
fn types_of_output_and_embedding() {
    let both = [
        "--output-tensor-type",
        "q5_k",
        "--token-embedding-type",
        "f16",
    ];
    let knobs = LlamaKnobs {
        output_type: Some(Q5_K),
        token_embedding_type: Some(F16),
        ..LlamaKnobs::default()
    };
    let only_output = LlamaKnobs {
        output_type: Some(Q5_K),
        ..LlamaKnobs::default()
    };
    for model in [Model::moe(), Model::tied()] {
        for file_type in [Q4_K_M, FileType::Q8_0, FileType::F16] {
            model.compare(file_type, &both, &knobs);
            model.compare(file_type, &both[..2], &only_output);
        }
    }
}

#[test]
fn the_output_stays() {
    for model in [Model::moe(), Model::tied()] {
        for file_type in [Q4_K_M, FileType::F16] {
            let knobs = LlamaKnobs {
                leave_output: true,
                ..LlamaKnobs::default()
            };
            model.compare(file_type, &["--leave-output-tensor"], &knobs);
            let args = ["--leave-output-tensor", "--output-tensor-type", "q8_0"];
            let knobs = LlamaKnobs {
                output_type: Some(Q8_0),
                ..knobs
            };
            model.compare(file_type, &args, &knobs);
        }
    }
}

#[test]
fn pure() {
    let mut odd = small_moe();
    odd.sizes.hidden_size = 160;
    odd.sizes.num_attention_heads = 5;
    odd.sizes.num_key_value_heads = 1;
    for model in [Model::moe(), Model::tied(), Model::new(&odd)] {
        for file_type in FileType::offered().filter(|t| t.name() != "Q2_K_S") {
            let knobs = LlamaKnobs {
                pure: true,
                ..LlamaKnobs::default()
            };
            model.compare(file_type, &["--pure"], &knobs);
        }
        model.compare(
            Q4_K_M,
            &[
                "--pure",
                "--output-tensor-type=q8_0",
                "--tensor-type=attn_v=q6_k",
            ],
            &LlamaKnobs {
                pure: true,
                output_type: Some(Q8_0),
                tensor_types: &[("attn_v", Q6_K)],
                ..LlamaKnobs::default()
            },
        );
    }
}

#[test]
fn overridden_keys() {
    let model = Model::moe();
    model.compare(
        Q4_K_M,
        &[
            "--override-kv",
            "llama.rope.freq_base=float:500000.5",
            "--override-kv=general.name=str:Another name: a=b",
            "--override-kv=tokenizer.ggml.add_bos_token=bool:false",
            "--override-kv=my.own.key=int:4294967295",
            "--override-kv=llama.expert_used_count=int:1",
            "--override-kv=my.own.key=int:7",
            "--override-kv=general.quantization_version=int:3",
        ],
        &LlamaKnobs {
            overrides: &[
                ("llama.rope.freq_base", Value::F32(500000.5)),
                ("general.name", "Another name: a=b".into()),
                ("tokenizer.ggml.add_bos_token", Value::Bool(false)),
                ("my.own.key", Value::U32(4294967295)),
                ("llama.expert_used_count", Value::U32(1)),
                ("my.own.key", Value::U32(7)),
                ("general.quantization_version", Value::U32(3)),
            ],
            ..LlamaKnobs::default()
        },
    );
}

#[test]
fn overrides_that_do_not_fit_the_file_are_refused() {
    let model = Model::moe();
    let quantize = |input: &Path, args: &[&str]| {
        let output = model.dir.path().join("out.gguf");
        let mut command = swallow_gguf();
        command.arg("quantize").arg(input).arg("--force").arg("-o");
        let run = command.arg(&output).args(args).output().unwrap();
        (run.status.success(), text(&run.stderr))
    };
    for (arg, message) in [
        (
            "llama.expert_used_count=int:3",
            "`llama.expert_used_count` is 3, expected 1 to 2 (`llama.expert_count`)",
        ),
        (
            "llama.expert_count=int:8",
            "`llama.expert_count` is 8, expected 2, the experts of `blk.0.ffn_down_exps.weight`",
        ),
        (
            "llama.block_count=int:10",
            "`llama.block_count` is 10, expected 9",
        ),
        (
            "llama.block_count=int:8",
            "`llama.block_count` is 8, expected at least 9: there is `blk.8.attn_k.weight`",
        ),
        (
            "llama.attention.head_count_kv=int:3",
            "`llama.attention.head_count_kv` is 3, expected a divisor of 8 \
             (`llama.attention.head_count`) (and 18 more)",
        ),
        (
            "llama.rope.dimension_count=int:16",
            "`llama.rope.dimension_count` is 16, expected 32",
        ),
        (
            "llama.context_length=float:4096",
            "`llama.context_length` is of type f32, expected u32",
        ),
        (
            "tokenizer.ggml.eos_token_id=int:300",
            "`tokenizer.ggml.eos_token_id` is 300, expected below 300, the number of \
             `tokenizer.ggml.tokens`",
        ),
        (
            "tokenizer.chat_template=str:{% for %}",
            "`tokenizer.chat_template` is no Jinja template, expected one (line 1: ",
        ),
        (
            "general.architecture=str:qwen3",
            "`qwen3.context_length` is missing, expected a number (and 3 more)",
        ),
    ] {
        let said =
            format!("error: `--override-kv` makes a file that does not fit itself: {message}");
        let arg = format!("--override-kv={arg}");
        let stderr = model.messages(&[&arg], false);
        assert!(stderr.contains(&said), "{arg}: {stderr}");
        let (success, stderr) = quantize(&model.plain, &[&arg]);
        assert!(!success && stderr.contains(&said), "{arg}: {stderr}");
    }
    // One that is odd already is no worse for another key.
    let odd = model.dir.path().join("odd.gguf");
    fs::copy(&model.plain, &odd).unwrap();
    change_keys(&odd, |keys| {
        keys.retain(|(key, _)| key != "llama.expert_used_count");
        keys.push(("llama.expert_used_count".into(), Value::U32(3)));
    });
    let (success, stderr) = quantize(&odd, &["--override-kv=general.name=str:x"]);
    assert!(success, "{stderr}");
    let (success, stderr) = quantize(&odd, &["--override-kv=llama.expert_used_count=int:4"]);
    assert!(
        !success && stderr.contains("is 4, expected 1 to 2"),
        "{stderr}"
    );
}

#[test]
fn experts_in_one_type_and_the_rest_in_another() {
    let model = Model::moe();
    let types = |file_type, args: &[&str]| {
        let bytes = model.convert(file_type, args);
        let gguf = Gguf::parse(&bytes, bytes.len() as u64).unwrap();
        [
            "blk.3.ffn_up_exps",
            "blk.3.ffn_down_exps",
            "blk.3.attn_v",
            "output",
            "blk.3.ffn_gate_inp",
        ]
        .map(|name| gguf.tensor(&format!("{name}.weight")).unwrap().ty)
    };
    assert_eq!(
        types(FileType::Q8_0, &["--experts-type", "q4_k"]),
        [Q4_K, Q4_K, Q8_0, Q8_0, F32]
    );
    assert_eq!(
        types(FileType::BF16, &["--experts-type=Q6_K", "--attn-type=q8_0"]),
        [Q6_K, Q6_K, Q8_0, BF16, F32]
    );
    assert_eq!(
        types(
            FileType::Q8_0,
            &["--experts-type=q4_k", "--tensor-type=down=f16"]
        ),
        [Q4_K, F16, Q8_0, Q8_0, F32]
    );
}

#[test]
fn the_plan_names_the_option_and_notes_tell_what_has_no_effect() {
    let model = Model::moe();
    let mut command = swallow_gguf();
    let run = command
        .arg("convert")
        .arg(&model.source)
        .args([
            "--dry-run",
            "--experts-type=q8_0",
            "--tensor-type=attn_V=f16",
        ])
        .args(["--tensor-type=nothing=q8_0", "--override-kv=my.key=int:1"])
        .output()
        .unwrap();
    let (plan, notes) = (text(&run.stdout), text(&run.stderr));
    for (tensor, reason) in [
        ("blk.0.ffn_up_exps.weight", "--experts-type Q8_0"),
        ("blk.0.attn_v.weight", "--tensor-type attn_v=F16"),
    ] {
        let line = plan.lines().find(|line| line.starts_with(tensor)).unwrap();
        assert!(line.ends_with(reason), "{line}");
    }
    let nothing =
        "note: `--tensor-type nothing=Q8_0` has no effect: no tensor has a name like this";
    assert!(notes.contains(nothing), "{notes}");
    assert!(
        notes.contains("note: `--override-kv` adds `my.key`, a new key"),
        "{notes}"
    );
    assert_eq!(notes.lines().count(), 2, "{notes}");
}

#[test]
fn bad_values_show_the_good_ones() {
    let model = Model::new(&small_moe());
    let list = model.dir.path().join("types.txt");
    fs::write(&list, "attn_k=q6_k\nattn_q\n").unwrap();
    let list = format!("--tensor-type-file={}", list.display());
    for (arg, message) in [
        (
            "--experts-type=q9",
            "`q9` is not a tensor type we write, expected one of F32, F16, ",
        ),
        (
            "--output-tensor-type=",
            "is not a tensor type we write, expected one of",
        ),
        (
            "--tensor-type=attn_v=q9",
            "`q9` is not a tensor type we write, expected one of",
        ),
        ("--tensor-type=attn_v", "expected REGEX=TYPE, for example"),
        (
            "--tensor-type=attn_(v=q8_0",
            "without closing parenthesis at byte 7",
        ),
        (
            list.as_str(),
            "types.txt`, line 2: `attn_q` is no rule, expected REGEX=TYPE",
        ),
        (
            "--tensor-type-file=no.txt",
            "`no.txt`: there is no such file",
        ),
        (
            "--override-kv=a=u8:1",
            "expected KEY=TYPE:VALUE with int, float, bool or str",
        ),
        ("--override-kv=a=int:x", "expected a whole number from 0 to"),
        (
            "--override-kv=tokenizer.ggml.tokens=int:1",
            "it holds an array of 300 values",
        ),
        (
            "--override-kv=general.alignment=int:64",
            "the file is laid out by it",
        ),
        ("--type=q4", "expected one of Q4_K_M"),
    ] {
        let stderr = model.messages(&[arg], false);
        assert!(stderr.contains(message), "{arg}: {stderr}");
    }
    // The two that ignore the row length lead to an error that names the tensor.
    let mut odd = small_moe();
    odd.sizes.hidden_size = 160;
    odd.sizes.num_attention_heads = 5;
    odd.sizes.num_key_value_heads = 1;
    let odd = Model::new(&odd);
    let output = odd.dir.path().join("odd.gguf");
    let run = convert(&odd.source, &output, &["--output-tensor-type=q4_k"]);
    let stderr = text(&run.stderr);
    let expected = "`output.weight` has rows of 160 weights, expected a multiple of 256 for Q4_K";
    assert!(
        !run.status.success() && stderr.contains(expected),
        "{stderr}"
    );
}
