//! What is compared: a GGUF told line by line, the deciding key-values and every tensor, and three digests
//! for each quantized type.

use std::{fmt::Write, fs, path::Path, path::PathBuf};

use sha2::{Digest, Sha256};
use swallow_gguf::{
    file_type::FileType,
    gguf::{Array, Gguf, Value, encode_header, escape},
};

/// The types that are compared, BF16 in full.
pub(super) const TYPES: [FileType; 4] = [
    FileType::BF16,
    FileType::Q8_0,
    FileType::Q4_K_M,
    FileType::IQ4_XS,
];

/// `golden/NAME.txt`.
pub(super) fn path(name: &str) -> PathBuf {
    Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/families/golden"
    ))
    .join(name)
    .with_extension("txt")
}

/// A line for each deciding key-value and each tensor of a file, in its order.
pub(super) fn lines(path: &Path) -> Vec<String> {
    let gguf = Gguf::open(path).unwrap();
    let bytes = fs::read(path).unwrap();
    let keys = gguf.key_values.iter().filter(|(key, _)| decides(key));
    let keys = keys.map(|(key, value)| format!("{key} = {}", told(value)));
    let tensors = gguf.tensors.iter().map(|tensor| {
        let begin = (gguf.data_offset + tensor.offset) as usize;
        let data = &bytes[begin..begin + tensor.size() as usize];
        let (name, dims, ty) = (&tensor.name, &tensor.dims, tensor.ty.name());
        format!("{name} {dims:?} {ty} {}", digest(data))
    });
    keys.chain(tensors).collect()
}

/// The digests of a file: its deciding key-values, its tensor table, its data; and the length of that.
pub(super) fn digests(path: &Path) -> String {
    let gguf = Gguf::open(path).unwrap();
    let bytes = fs::read(path).unwrap();
    let keys = gguf.key_values.iter().filter(|(key, _)| decides(key));
    let keys = digest(&encode_header(&keys.cloned().collect(), &[], 1));
    let tensors = digest(&encode_header(&Vec::new(), &gguf.tensors, 1));
    let data = &bytes[gguf.data_offset as usize..];
    let (data, len) = (digest(data), data.len());
    format!("keys {keys} tensors {tensors} data {data} bytes {len}")
}

/// All but what only describes the model, which we take from elsewhere.
fn decides(key: &str) -> bool {
    const GENERAL: [&str; 5] = [
        "general.architecture",
        "general.type",
        "general.quantization_version",
        "general.file_type",
        "general.alignment",
    ];
    !key.starts_with("general.") || GENERAL.contains(&key)
}

fn told(value: &Value) -> String {
    let ty = value.value_type().name();
    match value {
        Value::String(text) => format!("{ty} \"{}\"", escape(text)),
        Value::Array(array) => told_array(array),
        number => format!("{ty} {}", plain(number)),
    }
}

/// A number without its type, as short as it can be told exactly.
fn plain(value: &Value) -> String {
    match value {
        Value::F32(v) => format!("{v:?}"),
        Value::F64(v) => format!("{v:?}"),
        Value::Bool(v) => v.to_string(),
        Value::I8(v) => v.to_string(),
        Value::I16(v) => v.to_string(),
        Value::I32(v) => v.to_string(),
        Value::I64(v) => v.to_string(),
        Value::String(text) => format!("\"{}\"", escape(text)),
        other => other.as_u64().unwrap().to_string(),
    }
}

fn told_array(array: &Array) -> String {
    let (ty, len) = (array.element_type().name(), array.len());
    let elements = (0..len).filter_map(|i| array.get(i));
    if len > 8 {
        let value = Value::Array(array.clone());
        let bytes = encode_header(&vec![(String::new(), value)], &[], 1);
        return format!("[{ty}; {len}] {}", digest(&bytes));
    }
    let elements: Vec<_> = elements.map(|element| plain(&element)).collect();
    format!("[{ty}; {len}] [{}]", elements.join(", "))
}

fn digest(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in &Sha256::digest(bytes)[..8] {
        write!(text, "{byte:02x}").unwrap();
    }
    text
}

/// The lines in which two lists differ, `-` of llama.cpp and `+` of ours, at most 40.
pub(super) fn difference(theirs: &[String], ours: &[String]) -> String {
    let only = |sign: char, list: &[String], other: &[String]| {
        let missing = list.iter().filter(|line| !other.contains(line));
        missing
            .map(|line| format!("{sign} {line}\n"))
            .take(20)
            .collect::<String>()
    };
    let mut difference = only('-', theirs, ours) + &only('+', ours, theirs);
    if difference.is_empty() && theirs != ours {
        let at = std::iter::zip(theirs, ours).position(|(a, b)| a != b);
        let at = at.unwrap_or(theirs.len().min(ours.len()));
        let line = |list: &[String]| list.get(at).cloned().unwrap_or_default();
        writeln!(difference, "another order, from line {at} on:").unwrap();
        write!(difference, "- {}\n+ {}\n", line(theirs), line(ours)).unwrap();
    }
    difference
}

/// The first block in which the tensors of two files of the same table differ.
pub(super) fn first_differing_block(theirs: &Path, ours: &Path) -> String {
    let gguf = Gguf::open(theirs).unwrap();
    let our_offset = Gguf::open(ours).unwrap().data_offset;
    let (theirs, ours) = (fs::read(theirs).unwrap(), fs::read(ours).unwrap());
    for tensor in &gguf.tensors {
        let of = |bytes: &[u8], offset: u64| {
            let begin = (offset + tensor.offset) as usize;
            bytes[begin..begin + tensor.size() as usize].to_vec()
        };
        let (a, b) = (of(&theirs, gguf.data_offset), of(&ours, our_offset));
        if let Some(at) = std::iter::zip(&a, &b).position(|(a, b)| a != b) {
            let size = tensor.ty.block_bytes();
            let block = at / size;
            let bytes = block * size..(block + 1) * size;
            return format!(
                "{} {:?} {}, block {block}:\n- {:02x?}\n+ {:02x?}\n",
                tensor.name,
                tensor.dims,
                tensor.ty.name(),
                &a[bytes.clone()],
                &b[bytes]
            );
        }
    }
    "only the keys differ\n".to_owned()
}
