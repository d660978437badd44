//! Whole files against llama.cpp's quantizer: names, order, types, offsets, metadata and bytes.

use std::path::Path;

use swallow_gguf::{
    file_type::FileType,
    gguf::Gguf,
    imatrix::Imatrix,
    source::Dtype,
    synthetic::{Layout, Sizes, Spec},
};

use crate::support::{
    LlamaKnobs, checkpoint, convert, converted, fixtures, llama_quantize, small_moe, text,
    write_imatrix,
};

/// Fails with what differs: a key-value, a tensor's entry, or the first bytes of a tensor.
pub(crate) fn assert_same_file(case: &str, ours: &[u8], theirs: &[u8]) {
    if ours == theirs {
        return;
    }
    let parse = |bytes: &[u8]| Gguf::parse(bytes, bytes.len() as u64).unwrap();
    let (a, b) = (parse(ours), parse(theirs));
    for (x, y) in a.key_values.iter().zip(&b.key_values) {
        assert_eq!(x, y, "{case}: key-values differ (ours left)");
    }
    assert_eq!(
        a.key_values.len(),
        b.key_values.len(),
        "{case}: number of key-values"
    );
    for (x, y) in a.tensors.iter().zip(&b.tensors) {
        assert_eq!(x, y, "{case}: tensors differ (ours left)");
        let range = |g: &Gguf| {
            let start = (g.data_offset + x.offset) as usize;
            start..start + x.size() as usize
        };
        let (x_bytes, y_bytes) = (&ours[range(&a)], &theirs[range(&b)]);
        let block = x.ty.block_bytes();
        let differing: Vec<usize> = (0..x_bytes.len() / block)
            .filter(|i| x_bytes[i * block..(i + 1) * block] != y_bytes[i * block..(i + 1) * block])
            .collect();
        if let Some(&first) = differing.first() {
            let at = first * block..(first + 1) * block;
            panic!(
                "{case}: {} ({}): {} of {} blocks differ, the first is block {first}:\nours   {:02x?}\ntheirs {:02x?}",
                x.name,
                x.ty,
                differing.len(),
                x_bytes.len() / block,
                &x_bytes[at.clone()],
                &y_bytes[at]
            );
        }
    }
    panic!(
        "{case}: files of {} and {} bytes differ outside of tensors",
        ours.len(),
        theirs.len()
    );
}

/// Converts to every file type, and has llama.cpp quantize the checkpoint's own float type.
fn every_file_type_equals(case: &str, spec: &Spec) {
    let dir = tempfile::tempdir().unwrap();
    let source = checkpoint(dir.path(), "Test-Model-v1.0", spec);
    every_file_type_of_folder_equals(case, &source, dir.path(), spec.dtype);
}

fn every_file_type_of_folder_equals(case: &str, source: &Path, dir: &Path, dtype: Dtype) {
    let plain = dir.join("plain.gguf");
    let own_type = match dtype {
        Dtype::Bf16 => "bf16",
        Dtype::F16 => "f16",
        Dtype::F32 => "f32",
    };
    converted(source, &plain, &["-t", own_type]);
    // One matrix in each of the two formats, with an expert that no token has reached.
    let matrices = [("gguf", false), ("dat", true)].map(|(ending, legacy)| {
        let path = dir.join(format!("imatrix.{ending}"));
        write_imatrix(&plain, &path, legacy);
        Imatrix::open(&path).unwrap()
    });
    for (i, file_type) in FileType::offered().enumerate() {
        for imatrix in [None, Some(&matrices[i % 2])] {
            let (ours, theirs) = (dir.join("ours.gguf"), dir.join("theirs.gguf"));
            let knobs = LlamaKnobs {
                imatrix,
                ..LlamaKnobs::default()
            };
            let done = llama_quantize(&plain, &theirs, file_type, &knobs);
            let mut args = vec!["-t", file_type.name(), "--force"];
            if let Some(imatrix) = imatrix {
                args.extend(["--imatrix", imatrix.file.to_str().unwrap()]);
            }
            let run = convert(source, &ours, &args);
            let with = imatrix.map_or("without importance", |_| "with importance");
            let case = format!("{case} as {file_type} {with}");
            assert_eq!(run.status.success(), done, "{case}: {}", text(&run.stderr));
            if done {
                let [ours, theirs] = [ours, theirs].map(|path| std::fs::read(path).unwrap());
                assert_same_file(&case, &ours, &theirs);
            } else {
                let why = text(&run.stderr);
                assert!(
                    why.contains("needs an importance matrix in a Q2_K_S file, and none is given"),
                    "{why}"
                );
            }
        }
    }
}

#[test]
fn two_experts_with_grouped_queries() {
    let mut spec = small_moe();
    // Nine layers, so that the mixes treat first, middle and last ones differently.
    spec.sizes.num_hidden_layers = 9;
    every_file_type_equals("two experts", &spec);
}

#[test]
fn eight_experts() {
    let mut spec = small_moe();
    spec.sizes.num_local_experts = 8;
    spec.sizes.num_hidden_layers = 3;
    every_file_type_equals("eight experts", &spec);
}

#[test]
fn dense_and_tied() {
    let mut spec = small_moe();
    spec.sizes.num_local_experts = 0;
    spec.sizes.num_hidden_layers = 9;
    spec.tied = true;
    every_file_type_equals("dense and tied", &spec);
}

#[test]
fn rows_that_divide_by_32_only_and_f32_weights() {
    let mut spec = small_moe();
    spec.sizes.hidden_size = 160;
    spec.sizes.num_attention_heads = 5;
    spec.sizes.num_key_value_heads = 1;
    spec.sizes.intermediate_size = 288;
    spec.dtype = Dtype::F32;
    every_file_type_equals("rows of 32·n", &spec);
}

#[test]
fn odd_rows_and_f16_weights() {
    let mut spec = small_moe();
    spec.sizes.hidden_size = 72;
    spec.sizes.num_attention_heads = 4;
    spec.sizes.intermediate_size = 100;
    spec.dtype = Dtype::F16;
    every_file_type_equals("odd rows", &spec);
}

#[test]
fn eighty_layers_with_grouped_queries_are_a_70b() {
    let mut spec = small_moe();
    spec.sizes = Sizes {
        num_hidden_layers: 80,
        hidden_size: 256,
        intermediate_size: 256,
        num_attention_heads: 4,
        num_key_value_heads: 1,
        vocab_size: 300,
        num_local_experts: 0,
    };
    every_file_type_equals("eighty layers", &spec);
}

#[test]
fn weights_of_several_formats_in_one_checkpoint() {
    let mut spec = small_moe();
    spec.other_dtype = Some(Dtype::F16);
    // The reference holds every number of the source as it is only in F32.
    let dir = tempfile::tempdir().unwrap();
    let source = checkpoint(dir.path(), "Mixed-Model-v1.0", &spec);
    every_file_type_of_folder_equals("mixed", &source, dir.path(), Dtype::F32);
}

#[test]
fn real_weights() {
    let Some(fixtures) = fixtures("real_weights") else {
        return;
    };
    for name in [
        "hf-dense-bf16",
        "hf-mixtral2-same-bf16",
        "mergekit-0.1.5-moe",
    ] {
        let dir = tempfile::tempdir().unwrap();
        let source = fixtures.join("stories260K").join(name);
        every_file_type_of_folder_equals(name, &source, dir.path(), Dtype::Bf16);
    }
}

#[test]
fn both_layouts_give_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let separate = checkpoint(&dir.path().join("a"), "Moe-2x1M-v1", &small_moe());
    let fused = Spec {
        layout: Layout::Fused,
        shards: 1,
        ..small_moe()
    };
    let fused = checkpoint(&dir.path().join("b"), "Moe-2x1M-v1", &fused);
    let a = converted(&separate, &dir.path().join("a.gguf"), &[]);
    let b = converted(&fused, &dir.path().join("b.gguf"), &[]);
    assert_same_file("fused layout", &b, &a);
}

#[test]
fn bytes_do_not_depend_on_the_number_of_threads() {
    let dir = tempfile::tempdir().unwrap();
    // More than one chunk and many tasks in each.
    let mut spec = small_moe();
    spec.sizes.hidden_size = 1024;
    spec.sizes.intermediate_size = 2304;
    let source = checkpoint(dir.path(), "Moe", &spec);
    let run = |threads: &str| {
        let output = dir.path().join(format!("{threads}.gguf"));
        converted(&source, &output, &["--threads", threads])
    };
    let one = run("1");
    for threads in ["2", "3", "7"] {
        assert_same_file(&format!("{threads} threads"), &run(threads), &one);
    }
}

/// Independent of llama.cpp: what is not quantized is the checkpoint's own bytes, with the rows of
/// queries and keys in llama.cpp's order.
#[test]
fn a_bf16_file_holds_the_checkpoints_own_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let spec = Spec {
        shards: 1,
        ..small_moe()
    };
    let source = checkpoint(dir.path(), "Moe", &spec);
    let shard = std::fs::read(source.join("model.safetensors")).unwrap();
    let header_len = u64::from_le_bytes(shard[..8].try_into().unwrap()) as usize;
    let header: serde_json::Value = serde_json::from_slice(&shard[8..8 + header_len]).unwrap();
    let tensor = |name: &str| {
        let offsets = &header[name]["data_offsets"];
        let at = |i: usize| 8 + header_len + offsets[i].as_u64().unwrap() as usize;
        &shard[at(0)..at(1)]
    };

    let output = converted(&source, &dir.path().join("out.gguf"), &["-t", "bf16"]);
    let gguf = Gguf::parse(&output, output.len() as u64).unwrap();
    let written = |name: &str| {
        let info = gguf.tensor(name).unwrap();
        let start = (gguf.data_offset + info.offset) as usize;
        &output[start..start + info.size() as usize]
    };

    let layer = "model.layers.1";
    for (ours, theirs) in [
        ("output.weight", "lm_head.weight".to_owned()),
        ("token_embd.weight", "model.embed_tokens.weight".to_owned()),
        (
            "blk.1.attn_v.weight",
            format!("{layer}.self_attn.v_proj.weight"),
        ),
        (
            "blk.1.attn_output.weight",
            format!("{layer}.self_attn.o_proj.weight"),
        ),
    ] {
        assert!(written(ours) == tensor(&theirs), "{ours}");
    }
    for (ours, weight) in [
        ("ffn_gate_exps", "w1"),
        ("ffn_down_exps", "w2"),
        ("ffn_up_exps", "w3"),
    ] {
        let experts: Vec<u8> = (0..2)
            .flat_map(|e| {
                tensor(&format!(
                    "{layer}.block_sparse_moe.experts.{e}.{weight}.weight"
                ))
                .to_vec()
            })
            .collect();
        assert!(
            written(&format!("blk.1.{ours}.weight")) == experts,
            "{ours}"
        );
    }
    let row_bytes = 256 * 2;
    let head_rows = 32;
    for (ours, theirs, rows) in [("attn_q", "q_proj", 256), ("attn_k", "k_proj", 64)] {
        let theirs = tensor(&format!("{layer}.self_attn.{theirs}.weight"));
        let mut expected: Vec<u8> = Vec::new();
        for head in 0..rows / head_rows {
            for pair in 0..head_rows / 2 {
                for half in 0..2 {
                    let row = head * head_rows + half * head_rows / 2 + pair;
                    expected.extend(&theirs[row * row_bytes..(row + 1) * row_bytes]);
                }
            }
        }
        assert!(
            written(&format!("blk.1.{ours}.weight")) == expected,
            "{ours}"
        );
    }
}
