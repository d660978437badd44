//! Our GGUF against llama.cpp's own reader, writer and tables, in the same process.

#![allow(
    clippy::unnecessary_cast,
    reason = "C's enums are unsigned on Unix, signed on Windows"
)]

mod ggml;

use std::ffi::CStr;

use llama_cpp_sys_2 as sys;
use swallow_gguf::gguf::{
    Array, Gguf, KeyValues, TensorInfo, Value, encode_header, file_type_name, lay_out,
};
use swallow_quant::GgmlType;

use ggml::Context;

fn strings(list: &[&str]) -> Value {
    Array::String(list.iter().map(|s| (*s).into()).collect()).into()
}

/// Key-values of every type that llama.cpp's writer can be given.
fn key_values(alignment: Option<u32>) -> KeyValues {
    let mut key_values: KeyValues = vec![
        ("general.architecture".into(), "llama".into()),
        ("general.name".into(), "東京 🦢".into()),
        ("general.empty".into(), "".into()),
        ("a.u8".into(), Value::U8(255)),
        ("a.i8".into(), Value::I8(-128)),
        ("a.u16".into(), Value::U16(65_535)),
        ("a.i16".into(), Value::I16(-32_768)),
        ("a.u32".into(), Value::U32(u32::MAX)),
        ("a.i32".into(), Value::I32(i32::MIN)),
        ("a.f32".into(), Value::F32(1e-5)),
        ("a.yes".into(), Value::Bool(true)),
        ("a.no".into(), Value::Bool(false)),
        ("a.u64".into(), Value::U64(u64::MAX)),
        ("a.i64".into(), Value::I64(i64::MIN)),
        ("a.f64".into(), Value::F64(0.1)),
        (
            "tokenizer.ggml.tokens".into(),
            strings(&["<unk>", "", "▁日本", "\n"]),
        ),
        (
            "tokenizer.ggml.scores".into(),
            Array::F32(vec![0.0, -1.5, f32::MIN]).into(),
        ),
        (
            "tokenizer.ggml.token_type".into(),
            Array::I32(vec![2, 3, -1]).into(),
        ),
        ("b.u8".into(), Array::U8(vec![0, 255]).into()),
        ("b.i8".into(), Array::I8(vec![-1, 1]).into()),
        ("b.u16".into(), Array::U16(vec![1, 2, 3]).into()),
        ("b.i16".into(), Array::I16(vec![-1]).into()),
        ("b.u32".into(), Array::U32(vec![7]).into()),
        ("b.bool".into(), Array::Bool(vec![true, false, true]).into()),
        ("b.u64".into(), Array::U64(vec![1 << 63]).into()),
        ("b.i64".into(), Array::I64(vec![]).into()),
        ("b.f64".into(), Array::F64(vec![0.25, -0.0]).into()),
        ("b.none".into(), strings(&[])),
    ];
    key_values.extend(alignment.map(|n| ("general.alignment".to_owned(), n.into())));
    key_values
}

/// Tensors with block formats, one to four dimensions, and dimensions of 1 in every place.
fn tensors(alignment: u64) -> Vec<TensorInfo> {
    let shapes: &[(&str, &[u64], GgmlType)] = &[
        ("output_norm.weight", &[5], GgmlType::F32),
        ("token_embd.weight", &[256, 3], GgmlType::Q4_K),
        ("one_row", &[32, 1], GgmlType::Q8_0),
        ("one_weight", &[1], GgmlType::F32),
        ("blk.0.ffn_up_exps.weight", &[64, 3, 2], GgmlType::Q5_0),
        ("one_expert", &[64, 3, 1], GgmlType::BF16),
        ("one_inside", &[64, 1, 2], GgmlType::F16),
        ("four", &[256, 2, 1, 2], GgmlType::Q6_K),
    ];
    let mut tensors: Vec<_> = shapes
        .iter()
        .map(|(name, dims, ty)| TensorInfo::new((*name).into(), dims.to_vec(), *ty).unwrap())
        .collect();
    lay_out(&mut tensors, alignment).unwrap();
    tensors
}

/// A whole file of ours: the header, and for each tensor its number, repeated.
fn our_file(key_values: &KeyValues, tensors: &[TensorInfo], alignment: u64) -> Vec<u8> {
    let mut file = encode_header(key_values, tensors, alignment);
    for (number, tensor) in tensors.iter().enumerate() {
        file.resize(file.len() + tensor.size() as usize, number as u8 + 1);
        file.resize((file.len() as u64).next_multiple_of(alignment) as usize, 0);
    }
    file
}

#[test]
fn our_bytes_are_those_of_llama_cpps_writer() {
    let dir = tempfile::tempdir().unwrap();
    // llama.cpp's writer takes another alignment only from a file it has read.
    let alignment = 32;
    for key in [None, Some(32)] {
        let (key_values, tensors) = (key_values(key), tensors(alignment));
        let theirs = dir.path().join("theirs.gguf");
        let mut context = Context::empty();
        for (key, value) in &key_values {
            context.set(key, value);
        }
        for (number, tensor) in tensors.iter().enumerate() {
            context.add_tensor(tensor, number as u8 + 1);
        }
        context.write(&theirs);
        let theirs = std::fs::read(&theirs).unwrap();
        let ours = our_file(&key_values, &tensors, alignment);
        let first = theirs.iter().zip(&ours).position(|(a, b)| a != b);
        assert_eq!(first, None, "first different byte");
        assert_eq!(ours.len(), theirs.len());
    }
}

#[test]
fn both_readers_see_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ours.gguf");
    for (alignment, key) in [(32, None), (128, Some(128))] {
        let (key_values, tensors) = (key_values(key), tensors(alignment));
        std::fs::write(&path, our_file(&key_values, &tensors, alignment)).unwrap();
        let ours = Gguf::open(&path).unwrap();
        let theirs = Context::open(&path);
        assert_eq!(theirs.version(), ours.version);
        assert_eq!(theirs.alignment(), ours.alignment);
        assert_eq!(theirs.data_offset(), ours.data_offset);
        assert_eq!(theirs.key_values(), ours.key_values);
        let shown: Vec<_> = ours
            .tensors
            .iter()
            .map(|t| {
                let mut ne = [1; 4];
                ne[..t.dims.len()].copy_from_slice(&t.dims);
                (t.name.clone(), ne, t.ty as u32, t.offset, t.size())
            })
            .collect();
        assert_eq!(theirs.tensors(), shown);
    }
}

#[test]
fn our_types_are_ggmls() {
    for id in 0..=sys::GGML_TYPE_COUNT as u32 {
        let ours = GgmlType::from_id(id).map(|t| (t.block_len() as i64, t.block_bytes()));
        // SAFETY: both only look into a table that has an entry for each type below the count.
        let theirs = (id < sys::GGML_TYPE_COUNT as u32)
            .then(|| unsafe { (sys::ggml_blck_size(id as _), sys::ggml_type_size(id as _)) })
            // The types that were withdrawn have no block length.
            .filter(|(block_len, _)| *block_len != 0);
        assert_eq!(ours, theirs, "type {id}");
    }
}

#[test]
fn our_file_types_are_llama_cpps() {
    for id in 0..64u32 {
        // SAFETY: takes any number and returns a static string.
        let name = unsafe { CStr::from_ptr(sys::llama_ftype_name(id as _)) }
            .to_str()
            .unwrap();
        // "Q4_K - Medium" is the print of what the command line calls Q4_K_M.
        let (base, detail) = name.split_once(" - ").unwrap_or((name, ""));
        let theirs = match (base, detail) {
            ("unknown, may not work", _) => None,
            ("all F32", _) => Some("F32".to_owned()),
            ("Q2_K", "Medium") => Some("Q2_K".to_owned()),
            ("IQ3_S mix", _) => Some("IQ3_M".to_owned()),
            ("MXFP4 MoE", _) => Some("MXFP4_MOE".to_owned()),
            (base, "Small") => Some(format!("{base}_S")),
            (base, "Medium") => Some(format!("{base}_M")),
            (base, "Large") => Some(format!("{base}_L")),
            (base, _) => Some(base.to_owned()),
        };
        assert_eq!(
            file_type_name(id.into()),
            theirs.as_deref(),
            "file type {id}, `{name}`"
        );
    }
}
