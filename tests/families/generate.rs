//! Writes the checkpoint of a recipe: the same bytes on every machine and for ever, because the digests in
//! `golden/` are of what llama.cpp makes of them.

use std::{fs, path::Path};

use half::{bf16, f16};
use serde_json::{Map, Value as Json, json};
use swallow_gguf::synthetic;

use super::{
    recipe::{Recipe, Tensor, Tokenizer},
    tokenizer,
};

/// Writes the checkpoint of `recipe` into folder `dir`, which is made.
pub(super) fn write(dir: &Path, recipe: &Recipe) {
    fs::create_dir_all(dir).unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(dir.join(name), bytes).unwrap();
    let pretty = |json: &Json| format!("{json:#}\n").into_bytes();
    write("config.json", &pretty(&recipe.config));
    match &recipe.tokenizer {
        Tokenizer::Spm { vocab_size, words } => {
            write(
                "tokenizer.model",
                &synthetic::tokenizer_model(*vocab_size, words),
            );
        }
        Tokenizer::Bpe(bpe) => write("tokenizer.json", &pretty(&tokenizer::json(bpe))),
        Tokenizer::Ranks { file, merges } => {
            write(file, tokenizer::ranks(*merges).as_bytes());
        }
    }
    for (name, content) in &recipe.files {
        match content {
            Json::String(text) => write(name, text.as_bytes()),
            json => write(name, &pretty(json)),
        }
    }
    let mut tensors = recipe.tensors();
    // As the safetensors library orders them.
    tensors.sort_by(|a, b| (bytes_each(b), &a.name).cmp(&(bytes_each(a), &b.name)));
    write("model.safetensors", &safetensors(&tensors, recipe.seed));
}

fn safetensors(tensors: &[Tensor], seed: u64) -> Vec<u8> {
    let mut header = Map::new();
    header.insert("__metadata__".into(), json!({"format": "pt"}));
    let mut data = Vec::new();
    for tensor in tensors {
        let begin = data.len();
        put_weights(&mut data, tensor, seed);
        let entry = json!({
            "dtype": tensor.options.dtype,
            "shape": tensor.shape,
            "data_offsets": [begin, data.len()],
        });
        let other = header.insert(tensor.name.clone(), entry);
        assert!(other.is_none(), "{} is there twice", tensor.name);
    }
    file(&header, &data)
}

/// A safetensors file.
pub(super) fn file(header: &Map<String, Json>, data: &[u8]) -> Vec<u8> {
    let mut header = serde_json::to_vec(header).unwrap();
    header.resize(header.len().next_multiple_of(8), b' ');
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header);
    file.extend(data);
    file
}

fn bytes_each(tensor: &Tensor) -> usize {
    match tensor.options.dtype.as_str() {
        "BF16" | "F16" => 2,
        "F32" => 4,
        other => panic!("{}: {other}", tensor.name),
    }
}

/// Weights about normal with a deviation of 0.02, a few of them much larger, and each row of another
/// size; norms around 1. Whole numbers until the last step, and that is one product of floats.
fn put_weights(out: &mut Vec<u8>, tensor: &Tensor, seed: u64) {
    let name_seed = mix(seed ^ fnv1a(&tensor.name));
    let is_norm = tensor.name.ends_with("weight")
        && tensor.shape.len() <= 2
        && (tensor.name.contains("norm") || tensor.name.contains("ln_"));
    let columns = match tensor.shape.len() {
        0 | 1 => 1,
        _ => tensor.shape.last().copied().unwrap(),
    };
    let unit = tensor.options.scale * 0.02 / 37837.0;
    let unit = if is_norm { unit * 4.0 } else { unit };
    for i in 0..tensor.shape.iter().product::<usize>() {
        let random = mix(name_seed.wrapping_add(i as u64));
        // The sum of four even numbers between 0 and 65535 has a deviation of 37837.
        let sum: i64 = (0..4).map(|n| (random >> (16 * n) & 0xffff) as i64).sum();
        let outlier = if mix(random).is_multiple_of(1021) {
            6
        } else {
            1
        };
        let row = i / columns;
        let row = match row < tensor.options.quiet {
            true => 1,
            false => 16 + (row % 13) as i64,
        };
        let weight = ((sum - 131_070) * outlier * row) as f32 * (unit / 22.0);
        let weight = match tensor.options.fill {
            Some(fill) => fill,
            None if is_norm => 1.0 + weight,
            None => weight,
        };
        match tensor.options.dtype.as_str() {
            "BF16" => out.extend(bf16::from_f32(weight).to_le_bytes()),
            "F16" => out.extend(f16::from_f32(weight).to_le_bytes()),
            _ => out.extend(weight.to_le_bytes()),
        }
    }
}

/// A number for a name (FNV-1a).
fn fnv1a(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// A number for a number, every bit of which depends on every bit (SplitMix64).
fn mix(number: u64) -> u64 {
    let n = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}
